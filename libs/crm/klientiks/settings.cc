#include "libs/crm/klientiks/settings.h"

#include <string>

#include <fmt/format.h>

#include "libs/crm/api/settings.h"
#include "libs/domain/money.h"

namespace dealstream::crm::klientiks {
namespace {

constexpr int kMostRequests = 600;

Status Fill(const google::protobuf::Any& packed, SettingsView& view) {
  DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, view.settings));
  const v1::Settings& settings = view.settings;
  DEALSTREAM_ASSIGN_OR_RETURN(view.zone, LoadZone("time_zone", settings.time_zone()));
  view.currency = domain::CurrencyCode(settings.currency());
  if (view.currency.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("setting currency: got \"{}\", want an ISO 4217 code such as RUB",
                    settings.currency().substr(0, 100)));
  }
  if (!v1::TrafficType_IsValid(settings.traffic_type()) ||
      settings.traffic_type() == v1::TRAFFIC_TYPE_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        fmt::format("setting traffic_type: got {}, want source or campaign",
                    static_cast<int>(settings.traffic_type())));
  }
  if (!v1::TokenPlace_IsValid(settings.token_place()) ||
      settings.token_place() == v1::TOKEN_PLACE_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        fmt::format("setting token_place: got {}, want header or path",
                    static_cast<int>(settings.token_place())));
  }
  if (settings.requests_per_minute() < 1 || settings.requests_per_minute() > kMostRequests) {
    return absl::InvalidArgumentError(
        fmt::format("setting requests_per_minute: got {}, want 1 to {}",
                    settings.requests_per_minute(),
                    kMostRequests));
  }
  return absl::OkStatus();
}

}  // namespace

Result<const SettingsView*> SettingsInForce(const google::protobuf::Any& packed) {
  struct Last {
    bool filled = false;
    std::string type_url;
    std::string value;
    SettingsView view;
  };
  // A value of a pure function; see the header.
  thread_local Last last;
  if (!last.filled || last.value != packed.value() || last.type_url != packed.type_url()) {
    last.filled = false;
    DEALSTREAM_RETURN_IF_ERROR(Fill(packed, last.view));
    last.type_url = packed.type_url();
    last.value = packed.value();
    last.filled = true;
  }
  return &last.view;
}

Status CheckSettings(const google::protobuf::Any& packed) {
  return SettingsInForce(packed).status();
}

RateLimit LimitOf(const v1::Settings& settings) {
  RateLimit limit;
  // One request a second, two at once. Source: README.md#limits, three public clients.
  limit.units = 2;
  limit.interval = absl::Minutes(1) * limit.units / settings.requests_per_minute();
  // Nobody else calls: telephony isn't built, and bookings are read by the same process.
  limit.reader_share = 1;
  return limit;
}

}  // namespace dealstream::crm::klientiks
