#include "services/deal-normalizer/counters.h"

#include <utility>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"

namespace dealstream::normalizer {
namespace {

constexpr std::string_view kOther = "other";

// Outcome and reason of everything the core and the shell decide.
constexpr std::pair<Outcome, std::string_view> kEndings[] = {
    {Outcome::kEmitted, ""},
    {Outcome::kRepeat, "unchanged"},
    {Outcome::kRepeat, "older_version"},
    {Outcome::kRepeat, "older_observation"},
    {Outcome::kRepeat, "already_deleted"},
    {Outcome::kIgnored, "never_seen"},
    {Outcome::kIgnored, "deleted_before_seen"},
    {Outcome::kIgnored, "not_a_request"},
    {Outcome::kIgnored, "other_purpose"},
};
constexpr std::pair<std::string_view, std::string_view> kDeadEndings[] = {
    {"decode", "unreadable_record"},
    {"decode", "incomplete_record"},
    {"decode", "wrong_crm"},
    {"decode", "unreadable_state"},
    {"map", "no_mapper"},
    {"map", "invalid_argument"},
    {"map", "data_loss"},
    {"map", "out_of_range"},
    {"map", "unimplemented"},
    {"map", "internal"},
    {"map", "other"},
    {"write", "refused"},
};

}  // namespace

Counters::Counters(std::string_view crm, obs::Metrics& metrics)
    : crm_(crm),
      metrics_(metrics),
      age_(metrics.GetHistogram("event_age_seconds", {{"crm", crm}})),
      last_event_(metrics.GetGauge("last_event_timestamp_seconds", {{"crm", crm}})),
      restore_seconds_(metrics.GetGauge("state_restore_seconds")),
      state_keys_(metrics.GetGauge("state_keys")) {
  metrics.GetGauge("events_in_progress", {{"crm", crm}}).Set(0);
  for (const std::string_view kind : {"deal", "request", "other"}) {
    in_[kind] = &metrics.GetCounter("events_in_total", {{"crm", crm}, {"kind", kind}});
  }
  for (const auto& [outcome, reason] : kEndings) {
    Done(outcome, std::string(reason));
  }
  for (const auto& [stage, reason] : kDeadEndings) {
    Done(Outcome::kDead, std::string(reason));
    DeadLetters(std::string(stage), std::string(reason));
  }
}

prometheus::Counter& Counters::Done(Outcome outcome, const std::string& reason) {
  auto found = done_.find({outcome, reason});
  if (found == done_.end()) {
    const std::string_view label = done_.size() < kMostReasons ? std::string_view(reason) : kOther;
    auto& counter = metrics_.GetCounter(
        "events_done_total", {{"crm", crm_}, {"outcome", ToText(outcome)}, {"reason", label}});
    found = done_.emplace(std::pair(outcome, std::string(label)), &counter).first;
  }
  return *found->second;
}

prometheus::Counter& Counters::DeadLetters(const std::string& stage, const std::string& reason) {
  auto found = dead_letters_.find({stage, reason});
  if (found == dead_letters_.end()) {
    const std::string_view label =
        dead_letters_.size() < kMostReasons ? std::string_view(reason) : kOther;
    auto& counter = metrics_.GetCounter("dead_letters_total",
                                        {{"crm", crm_}, {"stage", stage}, {"reason", label}});
    found = dead_letters_.emplace(std::pair(stage, std::string(label)), &counter).first;
  }
  return *found->second;
}

void Counters::CountCommitted(const std::vector<Ended>& ended, absl::Time now) {
  for (const Ended& end : ended) {
    in_.at(end.kind)->Increment();
    Done(end.outcome, end.reason).Increment();
    if (end.outcome == Outcome::kDead) {
      DeadLetters(end.stage, end.reason).Increment();
    }
    if (end.source_time != absl::InfinitePast()) {
      age_.Observe(absl::ToDoubleSeconds(now - end.source_time));
    }
  }
  if (!ended.empty()) {
    last_event_.Set(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  }
}

void Counters::SetRestoreTime(absl::Duration took) {
  restore_seconds_.Set(absl::ToDoubleSeconds(took));
}

void Counters::SetStateKeys(int64_t keys) { state_keys_.Set(static_cast<double>(keys)); }

}  // namespace dealstream::normalizer
