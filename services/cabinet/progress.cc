#include "services/cabinet/progress.h"

#include <algorithm>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include "libs/obs/log.h"
#include "libs/obs/metrics.h"
#include "services/cabinet/times.h"

namespace dealstream::cabinet {

ProgressTable::ProgressTable(const std::string& crm, absl::Time started_at, obs::Metrics& metrics)
    : started_at_(started_at),
      done_(metrics.GetCounter("polls_total", {{"crm", crm}, {"outcome", "done"}})),
      failed_(metrics.GetCounter("polls_total", {{"crm", crm}, {"outcome", "failed"}})),
      last_success_(metrics.GetGauge("poll_last_success_timestamp_seconds", {{"crm", crm}})) {}

void ProgressTable::Apply(const kafka::InRecord& record) {
  const std::lock_guard lock(mutex_);
  if (!record.value) {
    const auto old = backfills_.find(record.key);
    if (old != backfills_.end()) {
      backfill_keys_.erase({old->second.integration_id(), old->second.poll_id()});
      backfills_.erase(old);
    }
    return;
  }
  raw::v1::PollProgress progress;
  if (!progress.ParseFromString(*record.value)) {
    obs::Error("progress_unreadable",
               "a record of a cursor topic can't be read; left out",
               {{"topic", record.topic}, {"partition", record.partition}});
    return;
  }
  CountLocked(progress);
  if (progress.cause() == deal::v1::CAUSE_BACKFILL) {
    backfill_keys_[{progress.integration_id(), progress.poll_id()}] = record.key;
    backfills_[record.key] = std::move(progress);
  }
}

void ProgressTable::CountLocked(const raw::v1::PollProgress& progress) {
  const absl::Time at = FromProto(progress.updated_at());
  const bool is_done = progress.state() == raw::v1::POLL_STATE_DONE;
  if (is_done && progress.cause() != deal::v1::CAUSE_BACKFILL) {
    absl::Time& last = last_sweeps_.try_emplace(progress.integration_id(), at).first->second;
    last = std::max(last, at);
    last_success_.Set(
        std::max(last_success_.Value(), static_cast<double>(absl::ToUnixSeconds(at))));
  }
  if (at < started_at_) {
    return;
  }
  if (is_done) {
    done_.Increment();
  } else if (progress.state() == raw::v1::POLL_STATE_FAILED) {
    failed_.Increment();
  }
}

std::optional<raw::v1::PollProgress> ProgressTable::Backfill(const std::string& integration_id,
                                                             const std::string& backfill_id) const {
  const std::lock_guard lock(mutex_);
  const auto key = backfill_keys_.find({integration_id, backfill_id});
  if (key == backfill_keys_.end()) {
    return std::nullopt;
  }
  return backfills_.at(key->second);
}

std::optional<absl::Time> ProgressTable::LastSweep(const std::string& integration_id) const {
  const std::lock_guard lock(mutex_);
  const auto last = last_sweeps_.find(integration_id);
  if (last == last_sweeps_.end()) {
    return std::nullopt;
  }
  return last->second;
}

}  // namespace dealstream::cabinet
