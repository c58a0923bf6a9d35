#include "services/webhook-ingest/id_source.h"

#include <algorithm>
#include <cstring>

namespace dealstream::ingest {
namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::string_view kHex = "0123456789abcdef";
constexpr size_t kTraceAt = 3;
constexpr size_t kSpanAt = 36;
constexpr size_t kSize = 55;

void PutHex(uint64_t value, char* at) {
  for (int i = 0; i < 16; ++i, value >>= 4) {
    at[i] = kHex[value & 15];
  }
}

// "00-<32 hex>-<16 hex>-<2 hex>", neither part all zeros.
bool IsTraceparent(std::string_view text) {
  if (text.size() != kSize || text.substr(0, kTraceAt) != "00-" || text[35] != '-' ||
      text[52] != '-') {
    return false;
  }
  const auto is_hex = [](std::string_view part) {
    return part.find_first_not_of(kHex) == std::string_view::npos;
  };
  const auto is_zero = [](std::string_view part) {
    return part.find_first_not_of('0') == std::string_view::npos;
  };
  const std::string_view trace = text.substr(kTraceAt, 32);
  const std::string_view span = text.substr(kSpanAt, 16);
  return is_hex(trace) && is_hex(span) && is_hex(text.substr(53)) && !is_zero(trace) &&
         !is_zero(span);
}

}  // namespace

std::string_view IdSource::Ulid(absl::Time now) {
  auto millis = static_cast<uint64_t>(absl::ToUnixMillis(now));
  for (size_t i = 10; i-- > 0; millis >>= 5) {
    ulid_[i] = kCrockford[millis & 31];
  }
  for (const size_t half : {10U, 18U}) {
    uint64_t bits = random_();
    for (size_t i = 0; i < 8; ++i, bits >>= 5) {
      ulid_[half + i] = kCrockford[bits & 31];
    }
  }
  return {ulid_.data(), ulid_.size()};
}

std::string_view IdSource::Traceparent(std::string_view parent) {
  if (IsTraceparent(parent)) {
    std::copy(parent.begin(), parent.end(), traceparent_.begin());
  } else {
    std::memcpy(traceparent_.data(), "00-", kTraceAt);
    // Ones are set so that no part is all zeros.
    PutHex(random_() | 1, traceparent_.data() + kTraceAt);
    PutHex(random_(), traceparent_.data() + kTraceAt + 16);
    traceparent_[35] = '-';
    std::memcpy(traceparent_.data() + 52, "-01", 3);
  }
  PutHex(random_() | 1, traceparent_.data() + kSpanAt);
  return {traceparent_.data(), traceparent_.size()};
}

}  // namespace dealstream::ingest
