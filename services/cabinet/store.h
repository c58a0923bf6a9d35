#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "dealstream/integration/v1/integration.pb.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/kafka/kafka.h"

namespace dealstream::cabinet {

struct StoredIntegration {
  integration::v1::Integration integration;
  // Known here only; topics carry its hash.
  std::string webhook_token;
};

struct Backfill {
  std::string id;
  std::string integration_id;
  absl::Time from;
  // InfiniteFuture: until now.
  absl::Time to = absl::InfiniteFuture();
  absl::Time created_at;
};

// A record that is to be written to Kafka. Records of one key are written in the order of `seq`.
struct OutboxRecord {
  int64_t seq = 0;
  kafka::OutRecord record;
};

struct OutboxFigures {
  int64_t records = 0;
  // Absent when empty.
  std::optional<absl::Time> oldest;
};

struct Due {
  std::string integration_id;
  absl::Time at;
};

// The cabinet's tables. A change and the records that tell of it (the outbox) are written in one
// SQL transaction: neither is there without the other, whatever is killed when. Thread-safe.
// Errors: NotFound, Aborted (changed meanwhile), Unavailable (the database).
class Store {
 public:
  virtual ~Store() = default;

  // "sqlite3:///var/lib/dealstream/cabinet.db".
  static Result<std::unique_ptr<Store>> Open(const std::string& url, const Clock& clock);

  // A new integration, its records, and when it is to be swept first (absent: never).
  virtual Status Insert(const StoredIntegration& stored,
                        const std::vector<kafka::OutRecord>& outbox,
                        std::optional<absl::Time> due) = 0;
  // Aborted unless the version kept is `old_version`. `due` takes the place of the schedule kept,
  // unless that is earlier: what is overdue stays so. Absent: it is removed.
  virtual Status Update(const integration::v1::Integration& integration,
                        int64_t old_version,
                        const std::vector<kafka::OutRecord>& outbox,
                        std::optional<absl::Time> due) = 0;
  virtual Result<StoredIntegration> Get(const std::string& id) = 0;
  // Ordered by id, those after `after_id`; empty filters match all.
  virtual Result<std::vector<StoredIntegration>> List(const std::string& account_id,
                                                      const std::string& crm,
                                                      const std::string& after_id,
                                                      int64_t limit) = 0;
  virtual Status InsertBackfill(const Backfill& backfill, const kafka::OutRecord& tick) = 0;
  virtual Result<Backfill> GetBackfill(const std::string& id) = 0;

  // Schedules that are due at `now`, the oldest first.
  virtual Result<std::vector<Due>> DueAt(absl::Time now, int64_t limit) = 0;
  virtual Result<std::map<std::string, absl::Time>> Schedules() = 0;
  // Moves one on and stores its tick. Aborted when it isn't `due.at` any more (switched off, say).
  virtual Status Order(const Due& due, absl::Time next, const kafka::OutRecord& tick) = 0;
  // Sets (absent: removes) some without a tick, in one transaction.
  using ScheduleChange = std::pair<std::string, std::optional<absl::Time>>;
  virtual Status SetSchedules(const std::vector<ScheduleChange>& changes) = 0;

  // Writes the integrations, as they stand in the same transaction, to the outbox once more.
  using MakeRecord = std::function<kafka::OutRecord(const integration::v1::Integration&)>;
  virtual Status Republish(const std::vector<std::string>& integration_ids,
                           const MakeRecord& make) = 0;
  virtual Status Enqueue(const kafka::OutRecord& record) = 0;
  // The oldest record of each topic and key, oldest first.
  virtual Result<std::vector<OutboxRecord>> OutboxHeads(int64_t limit) = 0;
  virtual Status RemoveFromOutbox(const std::vector<int64_t>& seqs) = 0;
  virtual Result<OutboxFigures> Figures() = 0;

  // The database answers.
  virtual Status Ping() = 0;
};

}  // namespace dealstream::cabinet
