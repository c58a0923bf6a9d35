#include "services/webhook-ingest/notice_bytes.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "absl/strings/match.h"
#include <simdjson.h>

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/strings.h"

namespace dealstream::ingest {
namespace {

using google::protobuf::Timestamp;
using raw::v1::HttpHeader;
using raw::v1::Notice;

// Wire format: a field's tag is number << 3 | type (2: a length and so many bytes, 0: a number),
// one byte for the numbers below 16, which all of ours are. Numbers are varints: 7 bits a byte, low
// ones first.
constexpr unsigned kBytes = 2;
constexpr unsigned kNumber = 0;
constexpr size_t kMaxVarint = 10;
// Tag and length of a field.
constexpr size_t kMaxFieldHead = 1 + kMaxVarint;

char* PutVarint(uint64_t value, char* at) {
  for (; value >= 0x80; value >>= 7) {
    *at++ = static_cast<char>(value | 0x80);
  }
  *at++ = static_cast<char>(value);
  return at;
}

char* PutTag(int number, unsigned type, char* at) {
  *at++ = static_cast<char>(static_cast<unsigned>(number) << 3 | type);
  return at;
}

char* PutBytes(int number, std::string_view bytes, char* at) {
  at = PutVarint(bytes.size(), PutTag(number, kBytes, at));
  std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) {
    ++size;
  }
  return size;
}

bool IsAscii(std::string_view text) {
  char all = 0;
  for (const char c : text) {
    all = static_cast<char>(all | c);
  }
  return static_cast<unsigned char>(all) < 0x80;
}

std::string PercentEncoded(std::string_view text) {
  constexpr std::string_view kUpperHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += '%';
      out += kUpperHex[byte >> 4];
      out += kUpperHex[byte & 15];
    }
  }
  return out;
}

std::string FromLatin1(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xC0 | byte >> 6);
      out += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return out;
}

char* PutHeader(std::string_view name, std::string_view value, char* at) {
  const size_t size =
      2 + VarintSize(name.size()) + name.size() + VarintSize(value.size()) + value.size();
  at = PutVarint(size, PutTag(Notice::kHeadersFieldNumber, kBytes, at));
  at = PutBytes(HttpHeader::kNameFieldNumber, name, at);
  return PutBytes(HttpHeader::kValueFieldNumber, value, at);
}

void AppendHeader(std::string_view name, std::string_view value, std::string* out) {
  std::string converted;
  if (!IsAscii(value) && !simdjson::validate_utf8(value.data(), value.size())) {
    converted = FromLatin1(value);
    value = converted;
  }
  const size_t size = out->size();
  out->resize(size + name.size() + value.size() + 3 * kMaxFieldHead);
  out->resize(static_cast<size_t>(PutHeader(name, value, out->data() + size) - out->data()));
}

}  // namespace

void AppendNoticeHead(std::string_view notice_id,
                      std::string_view crm,
                      const TokenTarget& target,
                      const RequestHead& head,
                      const std::vector<std::string_view>& kept,
                      std::string* out) {
  std::string converted;
  std::string_view query = head.query;
  if (!IsAscii(query)) {
    converted = PercentEncoded(query);
    query = converted;
  }
  const size_t size = out->size();
  out->resize(size + notice_id.size() + crm.size() + target.crm_account_id.size() +
              target.integration_id.size() + head.method.size() + query.size() + 6 * kMaxFieldHead);
  char* at = out->data() + size;
  at = PutBytes(Notice::kIdFieldNumber, notice_id, at);
  at = PutBytes(Notice::kCrmFieldNumber, crm, at);
  at = PutBytes(Notice::kCrmAccountIdFieldNumber, target.crm_account_id, at);
  at = PutBytes(Notice::kIntegrationIdFieldNumber, target.integration_id, at);
  at = PutBytes(Notice::kMethodFieldNumber, head.method, at);
  if (!query.empty()) {
    at = PutBytes(Notice::kQueryFieldNumber, query, at);
  }
  out->resize(static_cast<size_t>(at - out->data()));
  for (const HeaderView& header : head.headers) {
    for (const std::string_view name : kept) {
      if (header.name.size() == name.size() &&
          absl::EqualsIgnoreCase(ToAbsl(header.name), ToAbsl(name))) {
        AppendHeader(name, header.value, out);
        break;
      }
    }
  }
}

void AppendNoticeBody(std::string_view body, absl::Time received_at, std::string* out) {
  std::array<char, 2 * kMaxFieldHead + 2 * kMaxVarint> buffer{};
  out->reserve(out->size() + body.size() + 2 * buffer.size());
  if (!body.empty()) {
    char* end = PutVarint(body.size(), PutTag(Notice::kBodyFieldNumber, kBytes, buffer.data()));
    out->append(buffer.data(), end);
    out->append(body);
  }
  const int64_t nanos = absl::ToUnixNanos(received_at);
  const auto seconds = static_cast<uint64_t>(nanos / 1'000'000'000);
  const auto rest = static_cast<uint64_t>(nanos % 1'000'000'000);
  char* at = PutTag(Notice::kReceivedAtFieldNumber, kBytes, buffer.data());
  at = PutVarint(2 + VarintSize(seconds) + VarintSize(rest), at);
  at = PutVarint(seconds, PutTag(Timestamp::kSecondsFieldNumber, kNumber, at));
  at = PutVarint(rest, PutTag(Timestamp::kNanosFieldNumber, kNumber, at));
  out->append(buffer.data(), at);
}

}  // namespace dealstream::ingest
