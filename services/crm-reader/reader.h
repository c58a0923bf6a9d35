#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/clock.h"
#include "libs/crm/api/adapter.h"
#include "libs/http/transport.h"
#include "libs/kafka/kafka.h"
#include "services/crm-reader/access_cache.h"
#include "services/crm-reader/cursors.h"
#include "services/crm-reader/integrations.h"
#include "services/crm-reader/lane.h"
#include "services/crm-reader/messages.h"
#include "services/crm-reader/metrics.h"
#include "services/crm-reader/offset_tracker.h"
#include "services/crm-reader/outbox.h"
#include "services/crm-reader/parked_ledger.h"
#include "services/crm-reader/retry_policy.h"

namespace dealstream::reader {

// The reader without its shell: takes in notices, ticks and retries, has their objects read lane by
// lane, writes records, retries, dead letters, ticks and progress, and says which offsets may be
// committed. An offset is done when what came of it is durable.
//
// Accept, Assign, Revoke, Tick, TakeCommits and Paused are called by the polling thread; RunOne by
// any number of workers. Nothing but RunOne blocks on the CRM.
class Reader {
 public:
  struct Options {
    std::string crm;
    // What isn't done this long after it was taken in is parked, so that its partition's position
    // moves on. A parked item's read goes on if it can.
    absl::Duration park_after = absl::Milliseconds(1200);
    // Beyond these, partitions are paused. Retries that are not due count for themselves: beyond an
    // eighth of the bytes, all partitions of their delay.
    size_t most_items = 20'000;
    size_t most_bytes = 128 << 20;
    // Of one lane: items, and reads that they wait for (a notice may name thousands of objects).
    // What comes beyond is parked at once.
    size_t most_items_of_lane = 1'000;
    // Workers that may be busy with accounts whose last call failed; the others keep free of them.
    int workers_for_failing = 8;
    // A pass without progress for so long is taken for dead.
    absl::Duration pass_stale_after = absl::Hours(24);
    // A lane without work is forgotten after.
    absl::Duration lane_idle = absl::Minutes(10);
    // How often the vault is asked whether a refused credential has changed.
    absl::Duration look_after_refused = absl::Seconds(15);
    RetryPolicy retry;
    Lane::Options lane;
    CircuitBreaker::Options breaker;
    CallSession::Options session;
  };

  // All outlive the reader.
  struct Deps {
    Clock& clock;
    const crm::Adapter& adapter;
    http::Transport& transport;
    AccessCache& access;
    const Integrations& integrations;
    Cursors& cursors;
    Outbox& outbox;
    ReaderMetrics& metrics;
  };

  Reader(Options options, const Deps& deps);
  // REQUIRES: no worker in RunOne, no report under way.
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void Assign(const std::vector<kafka::TopicPartition>& partitions);
  // Forgets all that came from there; returns what may still be committed.
  kafka::Offsets Revoke(const std::vector<kafka::TopicPartition>& partitions);
  void Accept(std::vector<kafka::InRecord> records);
  // Parks what is overdue and takes in retries that are due. Call it at least every 100 ms.
  void Tick();
  // What has become committable since the last call.
  kafka::Offsets TakeCommits();
  // A commit failed: TakeCommits gives these again.
  void CommitFailed(const kafka::Offsets& offsets);
  // Partitions that should not be fetched now.
  std::set<kafka::TopicPartition> Paused() const;

  // Does one job, if there is one to be done now; false when not.
  bool RunOne();
  // Waits until there may be a job that there wasn't when `seen` was taken (before RunOne), at most
  // so long.
  uint64_t work_seen() const;
  void WaitForWork(uint64_t seen, absl::Duration most);

  // Reads under way end with Cancelled, and what they were for stays uncommitted.
  void Abort();
  size_t in_progress() const;
  // Pages of passes that are kept in memory.
  size_t pages() const;

 private:
  // One accepted notice, tick or retry; ends in exactly one way.
  struct Item {
    ItemId id = 0;
    kafka::TopicPartition from;
    // Negative: made here (an object of a page, for itself).
    int64_t offset = -1;
    absl::Time accepted_at;
    std::string key;
    kafka::Headers headers;
    Origin origin;
    // The notice or tick, wrapped; attempt 0 when it never was parked.
    raw::v1::Retry retry;
    // Bytes that are no message.
    std::string unreadable;
    std::string integration_id;
    size_t bytes = 0;

    // Null before it has got to its lane; shared with the engine.
    std::shared_ptr<Lane> lane;
    // Objects not recorded yet, and the reads they wait for: not for all, where they are many.
    std::vector<crm::ObjectRef> remaining;
    std::vector<std::shared_ptr<Job>> jobs;
    // How many of the objects have a read that hasn't ended.
    size_t awaited = 0;
    // A page tick's page.
    std::shared_ptr<Page> page;
    // For an object of a page: the page that waits for it.
    std::shared_ptr<Page> split_from;
    crm::ObjectRef split_ref;
    // Repeats of the same delivery.
    std::vector<ItemId> followers;
    std::optional<uint64_t> delivery;
    // A part of a notice that can't be read, while its dead letter is on the way; or 0.
    ItemId buried_part = 0;
    // It asked for a read, rather than being folded into one.
    bool led = false;
    // Its end is on the way to the broker.
    bool writing = false;
    // The first object that can never pass; and all of them, to be read again should the others
    // be parked.
    Status dead;
    std::vector<crm::ObjectRef> dead_objects;
  };

  struct ReadResult {
    Result<crm::ReadObject> object = Status(absl::StatusCode::kUnknown, "not read");
    std::shared_ptr<const Integration> integration;
    double units = 0;
    absl::Time at;
  };
  struct ListResult {
    Result<crm::ListPage> page = Status(absl::StatusCode::kUnknown, "not listed");
    double units = 0;
    absl::Time at;
  };
  using Settled = std::function<void(const Result<kafka::Position>&)>;

  // Runs with the lock, then sends what was put out.
  void Locked(const std::function<void()>& body);
  // `settled` runs with the lock.
  void Put(kafka::OutRecord record, Settled settled);

  // Taking in.
  std::unique_ptr<Item> Parse(kafka::InRecord record) const;
  void Enter(std::unique_ptr<Item> item);
  void Admit(Item& item);
  void AdmitNotice(Item& item, const Integration& integration);
  // Makes a dead letter of the notice, for a part of it; the item goes on for the others.
  void BuryPart(Item& item, const Status& status);
  void AdmitObjects(Item& item, deal::v1::Cause cause);
  void AdmitPage(Item& item, const Integration& integration);
  bool FoldsIntoDelivery(Item& item, const std::string& delivery_id);
  void ReleaseDue();
  void Hold(std::unique_ptr<Item> item);
  // Parked for a credential that isn't known as refused any more: its time has come already.
  bool IsAwake(const Item& item) const;
  void Measure();
  std::shared_ptr<Lane> LaneOf(const Integration& integration);
  // Takes the strictest limit of the lane's active integrations into force, when one is new or has
  // changed: they share an account, and the CRM counts their calls together.
  void UpdateLimit(Lane& lane);

  // Working.
  std::pair<std::shared_ptr<Lane>, std::shared_ptr<Job>> Pick();
  void Schedule(const std::shared_ptr<Lane>& lane);
  void WakeSleepers(absl::Time now);
  void Signal();
  bool IsKnown(Lane& lane, const Job& job) const;
  // Asks for access with a refused credential, when one is due to be asked for; false: none is.
  bool LookAfterRefused();
  // Takes what a listing gave of the job's object, where that is enough.
  static void UseGiven(Job& job);
  // Opens a session for the integration and lets `call` (Session&, const Integration&) use it; a
  // second time, with fresh access, when the CRM refuses the first. Adds up the units.
  template <typename Call>
  auto Converse(Lane& lane,
                const std::shared_ptr<const Integration>& integration,
                double& units,
                const Call& call);
  Result<std::shared_ptr<const Integration>> ActiveIntegration(const std::string& id) const;
  void DoRead(const std::shared_ptr<Lane>& lane, const std::shared_ptr<Job>& job);
  void DoList(const std::shared_ptr<Lane>& lane, const std::shared_ptr<Job>& job);
  void JobEnded(const std::shared_ptr<Lane>& lane, double units);
  void ReadEnded(const std::shared_ptr<Lane>& lane,
                 const std::shared_ptr<Job>& job,
                 ReadResult result);
  // Whether an object that isn't there may only be late.
  bool LooksAgain(Lane& lane, const Job& job, const Integration& integration);
  void Recorded(Lane& lane, const Job& job, uint64_t version_key, int64_t version);
  void ListEnded(const std::shared_ptr<Lane>& lane,
                 const std::shared_ptr<Job>& job,
                 ListResult result);
  // Listed, and not known in that version. Takes the parts.
  static void AddPending(Page& page, crm::ListedObject& object);
  void JobFailed(const std::shared_ptr<Lane>& lane,
                 const std::shared_ptr<Job>& job,
                 const Status& status);
  // Whose fault it was that a job failed: what of a page is to be parked with it.
  enum class Fault { kObject, kAccount };
  // Applies `end` to each item that waits for the job. Of a page it stands for, the object gets an
  // item of its own when the fault is the object's; else the whole tick waits.
  void EndWaiters(const std::shared_ptr<Lane>& lane,
                  const Job& job,
                  Fault fault,
                  const std::function<void(Item&)>& end);
  Item& Split(const std::shared_ptr<Lane>& lane,
              const std::shared_ptr<Page>& page,
              const crm::ObjectRef& ref);
  void ObjectDead(const std::shared_ptr<Lane>& lane, const Job& job, const Status& status);
  void PageObjectDone(const std::shared_ptr<Page>& page, const crm::ObjectRef& ref);
  void EndPageIfDone(const std::shared_ptr<Page>& page);
  // The broker refuses what the pass needs to go on, or to be done.
  void PassRefused(const std::shared_ptr<Page>& page, const Status& status);
  void PageEnded(const std::shared_ptr<Page>& page,
                 std::string_view outcome,
                 std::string_view reason);
  // The tick ends without its page, which it may have left when it was parked.
  static void DropPageOf(Lane& lane, const raw::v1::PollTick& tick);

  // Ends of an item.
  void ObjectsDone(Item& item);
  void Finish(Item& item, std::string_view outcome, std::string_view reason);
  // What came of the item is durable.
  void OffsetDone(const Item& item);
  void Remove(Item& item);
  enum class Keep { kReads, kNothing };
  void Park(Item& item, std::string_view reason, absl::Duration delay, Keep keep);
  // Notes the tick as the parked one that begins a sweep; false when another one is that.
  bool ParksSweep(const raw::v1::Retry& retry);
  // It isn't that any more.
  void SweepBegun(const raw::v1::PollTick& tick);
  void CountAndPark(Item& item, std::string_view reason, const Status& status, Keep keep);
  // What the credential bars, or the CRM forbids.
  void ParkBarred(Item& item, const Status& status);
  void ParkOverdue(Item& item);
  // How long the lane needs for so many reads, by its limit and a pause that the CRM asked for.
  absl::Duration TurnOf(const Lane& lane, double reads) const;
  // As long as the lane needs for what waits before it.
  void ParkBusy(Item& item, Keep keep);
  void ParkLane(Lane& lane, std::string_view reason, absl::Duration delay);
  void Parked(ItemId id,
              const std::string& topic,
              const std::string& reason,
              const Result<kafka::Position>& result);
  void Die(Item& item, std::string_view stage, const Status& status, std::string_view reason = "");
  void FailPassOf(Item& item, const std::string& error, const std::function<void()>& then);
  void Forget(Item& item);

  Item* Find(ItemId id);
  // As Find, unless its end is on the way to the broker.
  Item* FindWaiting(ItemId id);

  const Options options_;
  const Deps deps_;
  std::atomic<bool> aborting_{false};

  mutable std::mutex mutex_;
  std::condition_variable work_;
  ItemId next_item_ = 1;
  absl::flat_hash_map<ItemId, std::unique_ptr<Item>> items_;
  size_t bytes_ = 0;
  // In the order of acceptance.
  std::deque<std::pair<absl::Time, ItemId>> deadlines_;
  std::map<kafka::TopicPartition, OffsetTracker> trackers_;
  // Retries that are not due, by the partition they lie in.
  std::map<kafka::TopicPartition, std::deque<std::unique_ptr<Item>>> held_;
  // Their bytes, by topic.
  std::map<std::string, size_t> held_bytes_;
  ParkedLedger ledger_;
  // Poll ids of parked ticks that begin a sweep, by Cursors::Key: while one waits, others like it
  // needn't.
  absl::flat_hash_map<std::string, std::string> parked_sweeps_;

  // By Lane::id; shared with workers and items.
  absl::flat_hash_map<std::string, std::shared_ptr<Lane>> lanes_;
  std::deque<std::shared_ptr<Lane>> ready_;
  std::multimap<absl::Time, std::shared_ptr<Lane>> sleeping_;
  int busy_with_failing_ = 0;
  // Credentials that the CRM refuses, by when they are looked after next.
  struct Refused {
    absl::Time since;
    absl::Time look_at;
  };
  std::map<std::string, Refused> refused_;
  bool looking_after_refused_ = false;
  // Grows whenever there may be something new to be done.
  uint64_t work_generation_ = 0;
  absl::Time measured_at_ = absl::InfinitePast();
  absl::Time swept_at_ = absl::InfinitePast();
  std::vector<std::pair<kafka::OutRecord, Settled>> out_;
};

}  // namespace dealstream::reader
