#include "libs/kafka/cloudevents.h"

#include <array>
#include <cstdint>
#include <utility>

#include "absl/random/random.h"
#include "fmt/format.h"

#include "libs/base/ids.h"

namespace dealstream::kafka {
namespace {

// Trace ids must be unique, not secret.
std::string RandomHex(size_t digits) {
  thread_local absl::InsecureBitGen random;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text(digits, '0');
  uint64_t bits = 0;
  bool nonzero = false;
  while (!nonzero) {
    for (size_t i = 0; i < digits; ++i) {
      if (i % 16 == 0) {
        bits = random();
      }
      text[i] = kHex[bits & 15];
      nonzero = nonzero || text[i] != '0';
      bits >>= 4;
    }
  }
  return text;
}

bool IsHex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// "00-<32 hex>-<16 hex>-<2 hex>", trace not all zero.
bool IsTraceparent(std::string_view text) {
  return text.size() == 55 && text.substr(0, 3) == "00-" && text[35] == '-' && text[52] == '-' &&
         IsHex(text.substr(3, 32)) && IsHex(text.substr(36, 16)) && IsHex(text.substr(53)) &&
         text.substr(3, 32).find_first_not_of('0') != std::string_view::npos;
}

// RFC 3339 in UTC with milliseconds.
std::string TimeText(absl::Time time) {
  const absl::CivilSecond second = absl::ToCivilSecond(time, absl::UTCTimeZone());
  const int64_t millis = absl::ToUnixMillis(time) - absl::ToUnixSeconds(time) * 1000;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                     second.year(),
                     second.month(),
                     second.day(),
                     second.hour(),
                     second.minute(),
                     second.second(),
                     millis);
}

}  // namespace

Headers ToHeaders(const EventAttributes& attributes) {
  Headers headers;
  headers.reserve(9);
  headers.emplace_back("ce_specversion", "1.0");
  headers.emplace_back("ce_id", attributes.id);
  headers.emplace_back("ce_source", attributes.source);
  headers.emplace_back("ce_type", attributes.type);
  headers.emplace_back("ce_subject", attributes.subject);
  headers.emplace_back("ce_time", TimeText(attributes.time));
  headers.emplace_back("ce_dataschema", attributes.data_schema);
  headers.emplace_back("content-type", "application/protobuf");
  headers.emplace_back("traceparent",
                       attributes.traceparent.empty() ? NewTraceparent() : attributes.traceparent);
  return headers;
}

std::string NewTraceparent(std::string_view parent) {
  if (IsTraceparent(parent)) {
    return fmt::format("{}-{}-{}", parent.substr(0, 35), RandomHex(16), parent.substr(53));
  }
  return fmt::format("00-{}-{}-01", RandomHex(32), RandomHex(16));
}

std::string_view FindHeader(const Headers& headers, std::string_view key) {
  for (const auto& [name, value] : headers) {
    if (name == key) {
      return value;
    }
  }
  return {};
}

}  // namespace dealstream::kafka
