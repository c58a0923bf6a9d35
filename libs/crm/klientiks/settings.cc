#include "libs/crm/klientiks/settings.h"

#include "libs/crm/api/settings.h"
#include "libs/domain/money.h"

namespace dealstream::crm::klientiks {
namespace {

Status Fill(const google::protobuf::Any& packed, SettingsView& view) {
  DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, view.settings));
  const v1::Settings& settings = view.settings;
  DEALSTREAM_ASSIGN_OR_RETURN(view.zone, LoadZone("time_zone", settings.time_zone()));
  view.currency = domain::CurrencyCode(settings.currency());
  if (view.currency.empty()) {
    return BadSetting("currency", settings.currency(), "an ISO 4217 code such as RUB");
  }
  DEALSTREAM_RETURN_IF_ERROR(
      CheckChoice("traffic_type", *v1::TrafficType_descriptor(), settings.traffic_type()));
  DEALSTREAM_RETURN_IF_ERROR(
      CheckChoice("token_place", *v1::TokenPlace_descriptor(), settings.token_place()));
  return CheckRange("requests_per_minute", settings.requests_per_minute(), 1, 600);
}

// What requests without a session are given is one group, and a whole one; that neither source nor
// site is chosen is the default. No part of Fill: settings that were kept before stay in force.
Status CheckTraffic(const v1::Settings& settings) {
  if (settings.traffic_type() == v1::TRAFFIC_TYPE_CAMPAIGN) {
    return !settings.campaign().empty()
               ? absl::OkStatus()
               : BadSetting("campaign", "", "a campaign, for traffic_type is campaign");
  }
  if (settings.source().empty() == settings.site().empty()) {
    return absl::OkStatus();
  }
  return settings.site().empty() ? BadSetting("site", "", "a site, for there is a source")
                                 : BadSetting("source", "", "a source, for there is a site");
}

}  // namespace

Result<const SettingsView*> SettingsInForce(const google::protobuf::Any& packed) {
  // A value of a pure function; see the header.
  thread_local LastSettings<SettingsView> last;
  return last.Get(packed, Fill);
}

Status CheckSettings(const google::protobuf::Any& packed, Purpose purpose) {
  DEALSTREAM_ASSIGN_OR_RETURN(const SettingsView* view, SettingsInForce(packed));
  return purpose == Purpose::PURPOSE_REQUESTS ? CheckTraffic(view->settings) : absl::OkStatus();
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
