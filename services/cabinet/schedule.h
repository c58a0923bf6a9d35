#pragma once

#include <optional>
#include <string_view>

#include "absl/time/time.h"

#include "dealstream/integration/v1/integration.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/clock.h"
#include "libs/crm/api/adapter.h"
#include "libs/kafka/kafka.h"

// When sweeps are due and what their ticks look like. Pure.
namespace dealstream::cabinet {

// How often an integration of this adapter and purpose is swept; zero: never. `override` (a test's)
// wins where the adapter has sweeps at all.
absl::Duration IntervalOf(const crm::Adapter& adapter,
                          crm::Purpose purpose,
                          absl::Duration override);

// RECONCILIATION for a CRM with webhooks, POLL for one without.
deal::v1::Cause SweepCauseOf(const crm::Adapter& adapter);

// The first moment after `now` that is due: each integration has its own phase in the interval, by
// a hash of its id, so that the sweeps of all spread evenly (over the day, with an interval of
// one). REQUIRES: interval > 0.
absl::Time NextDue(std::string_view integration_id, absl::Time now, absl::Duration interval);

// What is ordered, and when the next one is due; the tick's record for crm.poll.<crm>.
struct Tick {
  std::string poll_id;
  deal::v1::Cause cause = deal::v1::CAUSE_UNSPECIFIED;
  // Only with a backfill.
  std::optional<absl::Time> from;
  std::optional<absl::Time> to;
};
kafka::OutRecord TickRecord(const integration::v1::Integration& integration,
                            const Tick& tick,
                            absl::Time now);

// The integration's record for integrations.v1. Its event id is made of id and version, so that a
// repeat has the same.
kafka::OutRecord IntegrationRecord(const integration::v1::Integration& integration);

// Names of topics, without the prefix.
constexpr std::string_view kIntegrationsTopic = "integrations.v1";
std::string PollTopic(std::string_view crm);
std::string CursorTopic(std::string_view crm);

}  // namespace dealstream::cabinet
