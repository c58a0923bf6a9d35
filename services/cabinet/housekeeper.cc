#include "services/cabinet/housekeeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include "libs/base/ids.h"
#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "services/cabinet/schedule.h"

namespace dealstream::cabinet {
namespace {

constexpr int64_t kPage = 500;
// Gauges that walk all integrations.
constexpr absl::Duration kSurveyInterval = absl::Seconds(15);

}  // namespace

void PublishedVersions::Apply(const kafka::InRecord& record) {
  integration::v1::Integration integration;
  const std::lock_guard lock(mutex_);
  if (caught_up_) {
    return;  // only the start matters
  }
  if (!record.value || !integration.ParseFromString(*record.value)) {
    versions_.erase(record.key);
    return;
  }
  int64_t& version = versions_[record.key];
  version = std::max(version, integration.version());
}

void PublishedVersions::SetCaughtUp() {
  const std::lock_guard lock(mutex_);
  caught_up_ = true;
}

bool PublishedVersions::caught_up() const {
  const std::lock_guard lock(mutex_);
  return caught_up_;
}

int64_t PublishedVersions::VersionOf(const std::string& integration_id) const {
  const std::lock_guard lock(mutex_);
  const auto version = versions_.find(integration_id);
  return version == versions_.end() ? 0 : version->second;
}

Housekeeper::Housekeeper(Options options,
                         Clock& clock,
                         const crm::Registry& registry,
                         Store& store,
                         const ProgressTables& progress,
                         const PublishedVersions& published,
                         std::function<void()> on_outbox,
                         obs::Health::Heartbeat& heartbeat,
                         obs::Metrics& metrics)
    : options_(options),
      clock_(clock),
      registry_(registry),
      store_(store),
      progress_(progress),
      published_(published),
      on_outbox_(std::move(on_outbox)),
      heartbeat_(heartbeat),
      outbox_records_(metrics.GetGauge("outbox_records")),
      outbox_age_(metrics.GetGauge("outbox_oldest_age_seconds")) {
  for (const auto& [crm, table] : progress_) {
    gauges_[crm] = {
        .behind = &metrics.GetGauge("poll_behind", {{"crm", crm}}),
        .active = &metrics.GetGauge("integrations", {{"crm", crm}, {"active", "true"}}),
        .inactive = &metrics.GetGauge("integrations", {{"crm", crm}, {"active", "false"}}),
        .ordered = &metrics.GetCounter("polls_total", {{"crm", crm}, {"outcome", "ordered"}})};
  }
}

Status Housekeeper::Step() {
  Status first = AlignSchedules();
  for (const Status& status : {OrderSweeps(), RepairTopic(), UpdateGauges()}) {
    if (first.ok()) {
      first = status;
    }
  }
  return first;
}

Status Housekeeper::ForEachPage(const std::function<Status(const Page&)>& visit) {
  std::string after;
  size_t size = 0;
  do {
    heartbeat_.Beat();
    DEALSTREAM_ASSIGN_OR_RETURN(const Page page, store_.List("", "", after, kPage));
    DEALSTREAM_RETURN_IF_ERROR(visit(page));
    size = page.size();
    after = page.empty() ? "" : page.back().integration.id();
  } while (size == static_cast<size_t>(kPage));
  return absl::OkStatus();
}

Status Housekeeper::AlignSchedules() {
  if (is_aligned_) {
    return absl::OkStatus();
  }
  DEALSTREAM_ASSIGN_OR_RETURN(auto schedules, store_.Schedules());
  const absl::Time now = clock_.Now();
  DEALSTREAM_RETURN_IF_ERROR(ForEachPage([&](const Page& page) {
    std::vector<Store::ScheduleChange> changes;
    for (const StoredIntegration& stored : page) {
      const integration::v1::Integration& integration = stored.integration;
      const crm::Adapter* adapter =
          gauges_.contains(integration.crm()) ? registry_.Find(integration.crm()) : nullptr;
      const absl::Duration interval =
          adapter == nullptr || !integration.active()
              ? absl::ZeroDuration()
              : IntervalOf(*adapter, integration.purpose(), options_.poll_interval);
      const auto schedule = schedules.find(integration.id());
      const bool has_one = schedule != schedules.end();
      if (interval <= absl::ZeroDuration()) {
        if (has_one) {
          changes.emplace_back(integration.id(), std::nullopt);
        }
      } else if (!has_one || schedule->second > now + interval) {
        // What is overdue stays so: it is ordered at once.
        changes.emplace_back(integration.id(), NextDue(integration.id(), now, interval));
      }
    }
    return changes.empty() ? absl::OkStatus() : store_.SetSchedules(changes);
  }));
  is_aligned_ = true;
  return absl::OkStatus();
}

Status Housekeeper::OrderSweeps() {
  const absl::Time now = clock_.Now();
  DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<Due> due, store_.DueAt(now, kPage));
  for (const Due& entry : due) {
    heartbeat_.Beat();
    const Status ordered = OrderSweep(entry, now);
    // Aborted: changed meanwhile; the next look sees how.
    if (!ordered.ok() && ordered.code() != absl::StatusCode::kAborted) {
      return ordered;
    }
  }
  return absl::OkStatus();
}

Status Housekeeper::OrderSweep(const Due& due, absl::Time now) {
  const Result<StoredIntegration> stored = store_.Get(due.integration_id);
  if (stored.status().code() == absl::StatusCode::kNotFound) {
    return store_.SetSchedules({{due.integration_id, std::nullopt}});
  }
  DEALSTREAM_RETURN_IF_ERROR(stored.status());
  const integration::v1::Integration& integration = stored->integration;
  const crm::Adapter* adapter = registry_.Find(integration.crm());
  const absl::Duration interval =
      adapter == nullptr || !integration.active()
          ? absl::ZeroDuration()
          : IntervalOf(*adapter, integration.purpose(), options_.poll_interval);
  if (interval <= absl::ZeroDuration()) {
    return store_.SetSchedules({{due.integration_id, std::nullopt}});
  }
  const Tick tick{.poll_id = NewId("pol_", clock_),
                  .cause = SweepCauseOf(*adapter),
                  .from = std::nullopt,
                  .to = std::nullopt};
  DEALSTREAM_RETURN_IF_ERROR(store_.Order(
      due, NextDue(due.integration_id, now, interval), TickRecord(integration, tick, now)));
  on_outbox_();
  const auto gauges = gauges_.find(integration.crm());
  if (gauges != gauges_.end()) {
    gauges->second.ordered->Increment();
  }
  return absl::OkStatus();
}

Status Housekeeper::RepairTopic() {
  if (is_repaired_ || !published_.caught_up()) {
    return absl::OkStatus();
  }
  int64_t repaired = 0;
  DEALSTREAM_RETURN_IF_ERROR(ForEachPage([&](const Page& page) {
    std::vector<std::string> lacking;
    for (const StoredIntegration& stored : page) {
      if (published_.VersionOf(stored.integration.id()) < stored.integration.version()) {
        lacking.push_back(stored.integration.id());
      }
    }
    repaired += static_cast<int64_t>(lacking.size());
    return lacking.empty() ? absl::OkStatus() : store_.Republish(lacking, IntegrationRecord);
  }));
  if (repaired > 0) {
    // Those that wait in the outbox are among them; once more does no harm.
    obs::Info("integrations_republished",
              "the topic lacked integrations, or had older versions",
              {{"topic", kIntegrationsTopic}, {"integrations", repaired}});
    on_outbox_();
  }
  is_repaired_ = true;
  return absl::OkStatus();
}

Status Housekeeper::UpdateGauges() {
  DEALSTREAM_ASSIGN_OR_RETURN(const OutboxFigures figures, store_.Figures());
  const absl::Time now = clock_.Now();
  outbox_records_.Set(static_cast<double>(figures.records));
  outbox_age_.Set(figures.oldest ? std::max(0.0, absl::ToDoubleSeconds(now - *figures.oldest)) : 0);
  if (now < next_survey_) {
    return absl::OkStatus();
  }
  next_survey_ = now + kSurveyInterval;
  std::map<std::string, int64_t> behind;
  std::map<std::pair<std::string, bool>, int64_t> count;
  DEALSTREAM_RETURN_IF_ERROR(ForEachPage([&](const Page& page) {
    for (const StoredIntegration& stored : page) {
      const integration::v1::Integration& integration = stored.integration;
      ++count[{integration.crm(), integration.active()}];
      const auto table = progress_.find(integration.crm());
      const crm::Adapter* adapter = registry_.Find(integration.crm());
      if (table == progress_.end() || adapter == nullptr || !integration.active()) {
        continue;
      }
      const absl::Duration interval =
          IntervalOf(*adapter, integration.purpose(), options_.poll_interval);
      // Before the first sweep, from the last switch or change on.
      const absl::Time since =
          table->second->LastSweep(integration.id())
              .value_or(absl::FromUnixSeconds(integration.updated_at().seconds()));
      if (interval > absl::ZeroDuration() && now - since > 2 * interval) {
        ++behind[integration.crm()];
      }
    }
    return absl::OkStatus();
  }));
  for (const auto& [crm, gauges] : gauges_) {
    gauges.behind->Set(static_cast<double>(behind[crm]));
    gauges.active->Set(static_cast<double>(count[{crm, true}]));
    gauges.inactive->Set(static_cast<double>(count[{crm, false}]));
  }
  return absl::OkStatus();
}

HousekeepingLoop::HousekeepingLoop(Housekeeper& housekeeper,
                                   Store& store,
                                   obs::Health& health,
                                   obs::Health::Heartbeat& heartbeat)
    : housekeeper_(housekeeper),
      store_(store),
      health_(health),
      heartbeat_(heartbeat),
      thread_([this] { Run(); }) {}

HousekeepingLoop::~HousekeepingLoop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void HousekeepingLoop::Run() {
  while (true) {
    heartbeat_.Beat();
    const Status store = store_.Ping();
    health_.SetReady("store", store.ok(), ToStd(store.message()));
    const Status step = store.ok() ? housekeeper_.Step() : store;
    if (!step.ok()) {
      obs::Error("housekeeping_failed", ToStd(step.message()));
    }
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::seconds(1), [this] { return stopping_; })) {
      return;
    }
  }
}

}  // namespace dealstream::cabinet
