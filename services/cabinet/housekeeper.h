#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/crm/api/registry.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/health.h"
#include "libs/obs/metrics.h"
#include "services/cabinet/cabinet.h"
#include "services/cabinet/store.h"

namespace prometheus {
class Gauge;
}  // namespace prometheus

namespace dealstream::cabinet {

// What the topic integrations.v1 holds as of the start: id and version. Thread-safe.
class PublishedVersions {
 public:
  void Apply(const kafka::InRecord& record);
  void SetCaughtUp();
  bool caught_up() const;
  // 0 where there is none.
  int64_t VersionOf(const std::string& integration_id) const;

 private:
  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, int64_t> versions_;
  bool caught_up_ = false;
};

// What the cabinet does by itself, step by step: orders the sweeps that are due, publishes once
// more what the topic has lost, and keeps the gauges. Its steps are called by one thread (see
// Loop).
class Housekeeper {
 public:
  struct Options {
    // Zero: as each adapter says.
    absl::Duration poll_interval;
  };

  Housekeeper(Options options,
              Clock& clock,
              const crm::Registry& registry,
              Store& store,
              const ProgressTables& progress,
              const PublishedVersions& published,
              std::function<void()> on_outbox,
              obs::Health::Heartbeat& heartbeat,
              obs::Metrics& metrics);

  // All of them once; called every second. Beats at least once a page of what it walks. The first
  // error; the steps after it are taken anyway.
  Status Step();

  // Orders what is due.
  Status OrderSweeps();
  // Once at the start: every active integration of a CRM with sweeps has a schedule within its
  // interval (which the configuration may have changed), and no other has one.
  Status AlignSchedules();
  // Once, when the topic has been read: integrations that it lacks, or has in an older version, are
  // written once more. A broker that lost its data (the embedded one, after a restart) is healed
  // so.
  Status RepairTopic();
  Status UpdateGauges();

 private:
  struct CrmGauges {
    prometheus::Gauge* behind;
    prometheus::Gauge* active;
    prometheus::Gauge* inactive;
    prometheus::Counter* ordered;
  };
  // One that is due. Aborted: its schedule has changed since.
  Status OrderSweep(const Due& due, absl::Time now);
  // Every integration, page by page, with a beat before each: all of them may take minutes.
  using Page = std::vector<StoredIntegration>;
  Status ForEachPage(const std::function<Status(const Page&)>& visit);

  const Options options_;
  Clock& clock_;
  const crm::Registry& registry_;
  Store& store_;
  const ProgressTables& progress_;
  const PublishedVersions& published_;
  const std::function<void()> on_outbox_;
  obs::Health::Heartbeat& heartbeat_;
  std::map<std::string, CrmGauges, std::less<>> gauges_;
  prometheus::Gauge& outbox_records_;
  prometheus::Gauge& outbox_age_;
  bool is_aligned_ = false;
  bool is_repaired_ = false;
  absl::Time next_survey_ = absl::InfinitePast();
};

// Calls the housekeeper every second on a thread of its own, and tells health whether the store
// answers.
class HousekeepingLoop {
 public:
  HousekeepingLoop(Housekeeper& housekeeper,
                   Store& store,
                   obs::Health& health,
                   obs::Health::Heartbeat& heartbeat);
  ~HousekeepingLoop();
  HousekeepingLoop(const HousekeepingLoop&) = delete;
  HousekeepingLoop& operator=(const HousekeepingLoop&) = delete;

 private:
  void Run();

  Housekeeper& housekeeper_;
  Store& store_;
  obs::Health& health_;
  obs::Health::Heartbeat& heartbeat_;
  std::mutex mutex_;  // guards stopping_
  std::condition_variable changed_;
  bool stopping_ = false;

  std::thread thread_;  // last: uses all above
};

}  // namespace dealstream::cabinet
