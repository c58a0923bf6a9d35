#include "services/webhook-ingest/notice_bytes.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include <simdjson.h>

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/strings.h"

namespace dealstream::ingest {
namespace {

using raw::v1::HttpHeader;
using raw::v1::Notice;

// Wire format: a field's tag is number << 3 | 2, then the length, then the bytes.
void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) {
    out->push_back(static_cast<char>(value | 0x80));
  }
  out->push_back(static_cast<char>(value));
}

void AppendField(int number, std::string_view bytes, std::string* out) {
  AppendVarint(static_cast<uint64_t>(number) << 3 | 2, out);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) {
    ++size;
  }
  return size;
}

bool IsAscii(std::string_view text) {
  return std::all_of(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string PercentEncoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
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

void AppendHeader(std::string_view name, std::string_view value, std::string* out) {
  std::string converted;
  if (!IsAscii(value) && !simdjson::validate_utf8(value.data(), value.size())) {
    converted = FromLatin1(value);
    value = converted;
  }
  const size_t size =
      2 + VarintSize(name.size()) + name.size() + VarintSize(value.size()) + value.size();
  AppendVarint(uint64_t{Notice::kHeadersFieldNumber} << 3 | 2, out);
  AppendVarint(size, out);
  AppendField(HttpHeader::kNameFieldNumber, name, out);
  AppendField(HttpHeader::kValueFieldNumber, value, out);
}

}  // namespace

void AppendNoticeHead(std::string_view notice_id,
                      std::string_view crm,
                      const TokenTarget& target,
                      const RequestHead& head,
                      const std::vector<std::string_view>& kept,
                      std::string* out) {
  AppendField(Notice::kIdFieldNumber, notice_id, out);
  AppendField(Notice::kCrmFieldNumber, crm, out);
  AppendField(Notice::kCrmAccountIdFieldNumber, target.crm_account_id, out);
  AppendField(Notice::kIntegrationIdFieldNumber, target.integration_id, out);
  AppendField(Notice::kMethodFieldNumber, head.method, out);
  if (!head.query.empty()) {
    if (IsAscii(head.query)) {
      AppendField(Notice::kQueryFieldNumber, head.query, out);
    } else {
      AppendField(Notice::kQueryFieldNumber, PercentEncoded(head.query), out);
    }
  }
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
  out->reserve(out->size() + body.size() + 32);
  if (!body.empty()) {
    AppendField(Notice::kBodyFieldNumber, body, out);
  }
  google::protobuf::Timestamp time;
  const int64_t nanos = absl::ToUnixNanos(received_at);
  time.set_seconds(nanos / 1'000'000'000);
  time.set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  AppendVarint(uint64_t{Notice::kReceivedAtFieldNumber} << 3 | 2, out);
  AppendVarint(time.ByteSizeLong(), out);
  time.AppendToString(out);
}

}  // namespace dealstream::ingest
