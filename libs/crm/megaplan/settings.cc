#include "libs/crm/megaplan/settings.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/crm/api/settings.h"
#include "libs/domain/money.h"

namespace dealstream::crm::megaplan {
namespace {

constexpr int kMostRequests = 50;

}  // namespace

Result<const v1::Settings*> SettingsInForce(const google::protobuf::Any& packed) {
  struct Last {
    bool filled = false;
    std::string type_url;
    std::string value;
    v1::Settings settings;
  };
  // A value of a pure function; see the header.
  thread_local Last last;
  if (!last.filled || last.value != packed.value() || last.type_url != packed.type_url()) {
    last.filled = false;
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, last.settings));
    last.type_url = packed.type_url();
    last.value = packed.value();
    last.filled = true;
  }
  return &last.settings;
}

Status CheckSettings(const v1::Settings& settings) {
  const std::string& region = settings.phone_region();
  if (region.size() != 2 || !std::all_of(region.begin(), region.end(), [](char c) {
        return absl::ascii_isupper(static_cast<unsigned char>(c));
      })) {
    return absl::InvalidArgumentError(fmt::format(
        "setting phone_region: got \"{}\", want two upper-case letters such as RU", region));
  }
  const std::string& currency = settings.base_currency();
  if (domain::CurrencyCode(currency) != currency) {
    return absl::InvalidArgumentError(fmt::format(
        "setting base_currency: got \"{}\", want an ISO 4217 code such as RUB", currency));
  }
  const int requests = settings.requests_per_second();
  if (requests < 1 || requests > kMostRequests) {
    return absl::InvalidArgumentError(
        fmt::format("setting requests_per_second: got {}, want 1 to {}", requests, kMostRequests));
  }
  return absl::OkStatus();
}

RateLimit LimitOf(const v1::Settings& settings) {
  RateLimit limit;
  // No limit is published; the default is a careful guess. Source: README.md#limits, inferred.
  limit.units = settings.requests_per_second();
  limit.interval = absl::Seconds(1);
  return limit;
}

}  // namespace dealstream::crm::megaplan
