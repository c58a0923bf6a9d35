#include "services/crm-reader/reader.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "services/crm-reader/poll_pass.h"
#include "services/crm-reader/proto_time.h"

// Taking in, and the ends of items. What is done for them is in reader_work.cc.
namespace dealstream::reader {
namespace {

// Part of the bytes in memory that retries of one delay may hold.
constexpr size_t kRetryShare = 8;
constexpr absl::Duration kMeasureEvery = absl::Seconds(1);
constexpr absl::Duration kSweepLanesEvery = absl::Minutes(1);
// How long what the credential bars is parked; the second, once it has been barred that long.
constexpr absl::Duration kBarredDelay = absl::Minutes(10);
constexpr absl::Duration kLongBarredDelay = absl::Hours(1);

// Sent again by an operator: never a repeat, whatever became of its delivery before.
bool IsRedriven(const kafka::Headers& headers) {
  return !kafka::FindHeader(headers, kRedrivenFrom).empty();
}

// A text without what must not be seen: statuses hold none.
std::string TextOf(const Status& status) { return std::string(ToStd(status.message())); }

Status ReasonStatus(std::string_view reason, const std::string& message) {
  return WithReason(absl::InvalidArgumentError(message), reason);
}

double CallsPerSecond(const crm::RateLimit& limit) {
  return limit.units * limit.reader_share / limit.unit_price /
         absl::ToDoubleSeconds(limit.interval);
}

}  // namespace

Reader::Reader(Options options, const Deps& deps)
    : options_(std::move(options)), deps_(deps), ledger_(deps.metrics) {}

Reader::~Reader() = default;

void Reader::Locked(const std::function<void()>& body) {
  std::vector<std::pair<kafka::OutRecord, Settled>> out;
  {
    std::lock_guard lock(mutex_);
    body();
    out.swap(out_);
  }
  for (auto& [record, settled] : out) {
    deps_.outbox.Send(std::move(record),
                      [this, then = std::move(settled)](const Result<kafka::Position>& result) {
                        Locked([&] { then(result); });
                      });
  }
}

void Reader::Put(kafka::OutRecord record, Settled settled) {
  out_.emplace_back(std::move(record), std::move(settled));
}

Reader::Item* Reader::Find(ItemId id) {
  auto found = items_.find(id);
  return found == items_.end() ? nullptr : found->second.get();
}

Reader::Item* Reader::FindWaiting(ItemId id) {
  Item* item = Find(id);
  return item == nullptr || item->writing ? nullptr : item;
}

size_t Reader::in_progress() const {
  std::lock_guard lock(mutex_);
  return items_.size();
}

size_t Reader::pages() const {
  std::lock_guard lock(mutex_);
  size_t pages = 0;
  for (const auto& [id, lane] : lanes_) {
    pages += lane->pages.size();
  }
  return pages;
}

void Reader::Abort() { aborting_ = true; }

// ---- Partitions ---------------------------------------------------------------------------------

void Reader::Assign(const std::vector<kafka::TopicPartition>& partitions) {
  std::lock_guard lock(mutex_);
  for (const kafka::TopicPartition& partition : partitions) {
    trackers_.insert_or_assign(partition, OffsetTracker());
    if (partition.topic.starts_with("crm.retry.")) {
      ledger_.Assign(partition);
    }
  }
}

kafka::Offsets Reader::Revoke(const std::vector<kafka::TopicPartition>& partitions) {
  kafka::Offsets offsets;
  Locked([&] {
    std::set<kafka::TopicPartition> gone(partitions.begin(), partitions.end());
    std::set<int32_t> numbers;
    for (const kafka::TopicPartition& partition : partitions) {
      numbers.insert(partition.partition);
      auto tracker = trackers_.find(partition);
      if (tracker != trackers_.end()) {
        if (auto offset = tracker->second.TakeCommit()) {
          offsets.emplace_back(partition, *offset);
        }
        trackers_.erase(tracker);
      }
      auto held = held_.find(partition);
      if (held != held_.end()) {
        for (const std::unique_ptr<Item>& item : held->second) {
          held_bytes_[partition.topic] -= item->bytes;
        }
        held_.erase(held);
      }
      ledger_.Revoke(partition);
    }
    // Some of them may lie there; for the others, one tick more is parked at most.
    parked_sweeps_.clear();
    std::vector<Item*> forgotten;
    for (auto& [id, item] : items_) {
      if (gone.contains(item->from)) {
        forgotten.push_back(item.get());
      }
    }
    for (Item* item : forgotten) {
      Forget(*item);
    }
    for (auto& [id, lane] : lanes_) {
      if (numbers.contains(lane->partition)) {
        lane->Clear();
        lane->DropPages();
        if (lane->running != nullptr) {
          lane->running->pages.clear();
        }
      }
    }
  });
  return offsets;
}

kafka::Offsets Reader::TakeCommits() {
  std::lock_guard lock(mutex_);
  kafka::Offsets offsets;
  for (auto& [partition, tracker] : trackers_) {
    if (auto offset = tracker.TakeCommit()) {
      offsets.emplace_back(partition, *offset);
    }
  }
  return offsets;
}

void Reader::CommitFailed(const kafka::Offsets& offsets) {
  std::lock_guard lock(mutex_);
  for (const auto& [partition, offset] : offsets) {
    auto tracker = trackers_.find(partition);
    if (tracker != trackers_.end()) {
      tracker->second.CommitFailed();
    }
  }
}

std::set<kafka::TopicPartition> Reader::Paused() const {
  std::lock_guard lock(mutex_);
  std::set<kafka::TopicPartition> paused;
  bool full = items_.size() >= options_.most_items || bytes_ >= options_.most_bytes;
  for (const auto& [partition, tracker] : trackers_) {
    auto held = held_.find(partition);
    auto bytes = held_bytes_.find(partition.topic);
    // A full delay waits for its own heads, so that nobody waits longer than twice the delay.
    bool delay_is_full =
        bytes != held_bytes_.end() && bytes->second >= options_.most_bytes / kRetryShare;
    if (full || delay_is_full || (held != held_.end() && !held->second.empty())) {
      paused.insert(partition);
    }
  }
  return paused;
}

// ---- Taking in ----------------------------------------------------------------------------------

std::unique_ptr<Reader::Item> Reader::Parse(kafka::InRecord record) const {
  auto item = std::make_unique<Item>();
  item->origin = OriginOf(record);
  item->from = {record.topic, record.partition};
  item->offset = record.offset;
  item->bytes = record.value.has_value() ? record.value->size() + 256 : 256;
  bool readable = false;
  std::string value = std::move(record.value).value_or("");
  if (record.topic.starts_with("crm.notice.")) {
    readable = item->retry.mutable_notice()->ParseFromString(value) &&
               !item->retry.notice().integration_id().empty();
  } else if (record.topic.starts_with("crm.poll.")) {
    readable = item->retry.mutable_tick()->ParseFromString(value) &&
               !item->retry.tick().integration_id().empty();
  } else {
    readable = item->retry.ParseFromString(value) &&
               item->retry.item_case() != raw::v1::Retry::ITEM_NOT_SET;
  }
  if (readable) {
    item->integration_id = item->retry.has_notice() ? item->retry.notice().integration_id()
                                                    : item->retry.tick().integration_id();
  } else {
    item->unreadable = std::move(value);
    item->retry.Clear();
  }
  item->key = std::move(record.key);
  item->headers = std::move(record.headers);
  return item;
}

void Reader::Accept(std::vector<kafka::InRecord> records) {
  for (kafka::InRecord& record : records) {
    std::unique_ptr<Item> item = Parse(std::move(record));
    Locked([&] {
      auto tracker = trackers_.find(item->from);
      if (tracker == trackers_.end()) {
        // Polled before a rebalance took the partition: to commit behind it would pass by what was
        // forgotten. Its next owner reads it.
        return;
      }
      tracker->second.Add(item->offset);
      if (!item->from.topic.starts_with("crm.retry.")) {
        deps_.metrics.In(item->from.topic.starts_with("crm.poll.") ? "tick" : "notice");
        Enter(std::move(item));
        return;
      }
      ledger_.Seen(item->from, item->offset, item->retry.reason());
      ParksSweep(item->retry);
      Hold(std::move(item));
    });
  }
  Locked([&] { ReleaseDue(); });
}

void Reader::Hold(std::unique_ptr<Item> item) {
  held_bytes_[item->from.topic] += item->bytes;
  held_[item->from].push_back(std::move(item));
}

bool Reader::IsAwake(const Item& item) const {
  const std::string& reason = item.retry.reason();
  if (reason != "credential_refused" && reason != "credential_missing") {
    return false;
  }
  auto integration = deps_.integrations.Find(item.integration_id);
  return integration != nullptr && !refused_.contains(integration->credential_id);
}

void Reader::ReleaseDue() {
  absl::Time now = deps_.clock.Now();
  for (auto& [partition, waiting] : held_) {
    // Due times rise within a partition; who is awake may be anywhere.
    std::deque<std::unique_ptr<Item>> due;
    while (!waiting.empty() && FromProto(waiting.front()->retry.due_at()) <= now) {
      due.push_back(std::move(waiting.front()));
      waiting.pop_front();
    }
    for (std::unique_ptr<Item>& item : waiting) {
      if (IsAwake(*item)) {
        due.push_back(std::move(item));
      }
    }
    std::erase(waiting, nullptr);
    for (std::unique_ptr<Item>& item : due) {
      held_bytes_[item->from.topic] -= item->bytes;
      ledger_.Taken(item->from, item->offset);
      Enter(std::move(item));
    }
  }
}

void Reader::Enter(std::unique_ptr<Item> item) {
  item->id = next_item_++;
  item->accepted_at = deps_.clock.Now();
  bytes_ += item->bytes;
  deps_.metrics.InProgress(1);
  deadlines_.emplace_back(item->accepted_at, item->id);
  Item& entered = *item;
  items_[entered.id] = std::move(item);
  Admit(entered);
}

void Reader::Admit(Item& item) {
  if (!item.unreadable.empty() || item.retry.item_case() == raw::v1::Retry::ITEM_NOT_SET) {
    Die(item,
        "decode",
        ReasonStatus("unreadable",
                     fmt::format("{}: {} bytes are no message of this topic",
                                 item.from.topic,
                                 item.unreadable.size())));
    return;
  }
  std::shared_ptr<const Integration> integration = deps_.integrations.Find(item.integration_id);
  if (integration == nullptr) {
    if (item.retry.attempt() >= options_.retry.max_unknown_attempts) {
      Die(item,
          "decode",
          ReasonStatus("unknown_integration",
                       fmt::format("there is no integration {} of this CRM", item.integration_id)));
      return;
    }
    item.retry.set_attempt(item.retry.attempt() + 1);
    Park(item,
         "unknown_integration",
         RetryPolicy::AfterFailure(item.retry.attempt()),
         Keep::kNothing);
    return;
  }
  if (!integration->active && !item.retry.has_due_at()) {
    // The door stores nothing for what is switched off, and switching on orders a sweep at once:
    // our table may be the one that is behind.
    Park(item, "inactive", RetryPolicy::AfterFailure(1), Keep::kNothing);
    return;
  }
  if (!integration->active) {
    DropPageOf(*LaneOf(*integration), item.retry.tick());
    FailPassOf(item, "the integration is switched off", [this, id = item.id] {
      if (Item* still = Find(id)) {
        Finish(*still, "ignored", "inactive");
      }
    });
    return;
  }
  item.lane = LaneOf(*integration);
  item.lane->partition = item.from.partition;
  item.lane->integrations.try_emplace(item.integration_id);
  // What is parked before the first call is parked for as long as its turn takes.
  UpdateLimit(*item.lane);
  if (item.lane->items.size() >= options_.most_items_of_lane) {
    Park(item, "busy", RetryPolicy::AfterFailure(1), Keep::kNothing);
    return;
  }
  item.lane->items.insert(item.id);
  absl::Duration open = item.lane->limits.breaker.OpenFor(item.accepted_at);
  if (open > absl::ZeroDuration()) {
    Park(item, "circuit_open", RetryPolicy::AtLeast(open), Keep::kNothing);
    return;
  }
  if (item.retry.has_notice()) {
    AdmitNotice(item, *integration);
  } else if (item.retry.objects_size() > 0) {
    AdmitObjects(item, item.retry.tick().cause());
  } else {
    AdmitPage(item, *integration);
  }
}

bool Reader::FoldsIntoDelivery(Item& item, const std::string& delivery_id) {
  if (delivery_id.empty() || item.retry.has_due_at() || IsRedriven(item.headers)) {
    return false;
  }
  // With the bytes: should a CRM ever give one id to two deliveries, none is lost.
  uint64_t key = absl::HashOf(item.integration_id, delivery_id, item.retry.notice().body());
  std::optional<ItemId> first = item.lane->deliveries.Find(key);
  if (!first.has_value()) {
    item.lane->deliveries.Put(key, item.id);
    item.delivery = key;
    return false;
  }
  deps_.metrics.Coalesced();
  if (Item* leader = Find(*first)) {
    // Not done before the first one is: that is the only copy until then.
    leader->followers.push_back(item.id);
    return true;
  }
  Finish(item, "repeat", "same_delivery");
  return true;
}

void Reader::AdmitNotice(Item& item, const Integration& integration) {
  if (deps_.adapter.record_source() == nullptr || deps_.adapter.notice_decoder() == nullptr) {
    Die(item, "decode", absl::UnimplementedError("this CRM has no objects to be read"));
    return;
  }
  if (item.retry.objects_size() == 0) {
    auto decoded = deps_.adapter.notice_decoder()->Decode(item.retry.notice(), integration.purpose);
    if (!decoded.ok()) {
      Die(item, "decode", decoded.status());
      return;
    }
    if (decoded->objects.empty()) {
      Finish(item, "ignored", decoded->ignored.empty() ? "no_objects" : decoded->ignored.front());
      return;
    }
    for (const crm::ObjectRef& ref : decoded->objects) {
      raw::v1::ObjectRef& object = *item.retry.add_objects();
      object.set_kind(ref.kind);
      object.set_external_id(ref.external_id);
    }
    if (FoldsIntoDelivery(item, decoded->delivery_id)) {
      return;
    }
    for (const std::string& reason : decoded->ignored) {
      deps_.metrics.In("object");
      deps_.metrics.Done("ignored", reason);
    }
    if (!decoded->unreadable.ok()) {
      BuryPart(item, decoded->unreadable);
    }
  }
  const bool redriven = IsRedriven(item.headers);
  AdmitObjects(item, redriven ? deal::v1::CAUSE_REDRIVE : deal::v1::CAUSE_WEBHOOK);
}

void Reader::BuryPart(Item& item, const Status& status) {
  auto part = std::make_unique<Item>();
  part->id = next_item_++;
  part->from = item.from;
  part->origin = item.origin;
  part->accepted_at = item.accepted_at;
  part->key = item.key;
  part->headers = item.headers;
  part->integration_id = item.integration_id;
  *part->retry.mutable_notice() = item.retry.notice();
  item.buried_part = part->id;
  deps_.metrics.In("object");
  deps_.metrics.InProgress(1);
  Item& made = *part;
  items_[made.id] = std::move(part);
  Die(made, "decode", status);
}

void Reader::AdmitObjects(Item& item, deal::v1::Cause cause) {
  const bool is_notice = item.retry.has_notice();
  const std::string& id = is_notice ? item.retry.notice().id() : item.retry.tick().poll_id();
  // A hostile notice names thousands.
  absl::flat_hash_set<crm::ObjectRef> seen;
  for (const raw::v1::ObjectRef& object : item.retry.objects()) {
    crm::ObjectRef ref{object.kind(), object.external_id()};
    bool is_satisfied = item.lane->satisfied.Find(absl::HashOf(id, ref)).has_value();
    if (!is_satisfied && seen.insert(ref).second) {
      item.remaining.push_back(std::move(ref));
    }
  }
  if (item.remaining.empty()) {
    Finish(item, "repeat", "already_read");
    return;
  }
  Waiter waiter;
  waiter.item = item.id;
  waiter.id = id;
  waiter.is_notice = is_notice;
  waiter.received_at =
      is_notice ? FromProto(item.retry.notice().received_at()) : absl::InfiniteFuture();
  for (const crm::ObjectRef& ref : item.remaining) {
    bool is_full = item.lane->awaited_jobs() >= options_.most_items_of_lane;
    if (is_full && !item.lane->Folds(item.integration_id, ref)) {
      continue;
    }
    Lane::ReadRequest request{item.integration_id,
                              ref,
                              cause,
                              std::string(kafka::FindHeader(item.headers, "traceparent")),
                              item.accepted_at};
    Lane::AddedRead added = item.lane->AddRead(request, waiter);
    if (added.folded) {
      deps_.metrics.Coalesced();
    }
    item.jobs.push_back(std::move(added.job));
  }
  item.awaited += item.jobs.size();
  if (item.jobs.empty()) {
    ParkBusy(item, Keep::kNothing);
    return;
  }
  Schedule(item.lane);
}

void Reader::AdmitPage(Item& item, const Integration& integration) {
  const raw::v1::PollTick& tick = item.retry.tick();
  const crm::RecordSource* source = deps_.adapter.record_source();
  if (source == nullptr || !source->Lists(integration.purpose)) {
    Finish(item, "ignored", "cannot_list");
    return;
  }
  std::string key = PageKey(tick);
  if (item.lane->done_pages.Find(absl::HashOf(key)).has_value()) {
    Finish(item, "repeat", "same_page");
    return;
  }
  switch (JudgePage(
      tick, deps_.cursors.Find(Cursors::Key(tick)), item.accepted_at, options_.pass_stale_after)) {
    case PageVerdict::kSamePage:
      Finish(item, "repeat", "same_page");
      return;
    case PageVerdict::kPassRunning:
      deps_.metrics.PollEnded("skipped");
      DropPageOf(*item.lane, tick);
      Finish(item, "ignored", "pass_running");
      return;
    case PageVerdict::kRun:
      break;
  }
  std::shared_ptr<Page>& place = item.lane->pages[key];
  if (place == nullptr) {
    place = std::make_shared<Page>();
    place->key = key;
    place->lane = item.lane->id;
    place->tick = tick;
  }
  std::shared_ptr<Page> page = place;
  if (Find(page->item) != nullptr) {
    // The first copy holds its own place in its partition until the page is done.
    Finish(item, "repeat", "same_page");
    return;
  }
  page->item = item.id;
  page->used_at = item.accepted_at;
  item.page = page;
  item.retry.set_attempt(item.retry.attempt() + std::exchange(page->failures, 0));
  if (item.retry.attempt() > options_.retry.max_attempts) {
    Die(item, "list", ReasonStatus("retries_exhausted", "the listing of a page failed too often"));
    return;
  }
  const Status barred = std::exchange(page->barred, absl::OkStatus());
  if (DispositionOf(barred) == Disposition::kPark) {
    ParkBarred(item, barred);
    return;
  }
  if (!barred.ok()) {
    Die(item, "list", barred);
    return;
  }
  std::shared_ptr<Lane> lane = item.lane;
  if (page->listed) {
    lane->AddPageReads(page, item.accepted_at);
    EndPageIfDone(page);
  } else {
    lane->AddListing(page, item.accepted_at);
  }
  Schedule(lane);
}

std::shared_ptr<Lane> Reader::LaneOf(const Integration& integration) {
  std::string id = fmt::format("{}\n{}", integration.account_id, integration.crm_account_id);
  std::shared_ptr<Lane>& lane = lanes_[id];
  if (lane == nullptr) {
    lane = std::make_shared<Lane>(id, integration.crm_account_id, options_.lane, options_.breaker);
  }
  lane->last_used = deps_.clock.Now();
  return lane;
}

void Reader::UpdateLimit(Lane& lane) {
  bool changed = false;
  for (auto& [id, seen] : lane.integrations) {
    auto current = deps_.integrations.Find(id);
    changed = changed || current != seen;
    seen = std::move(current);
  }
  if (!changed) {
    return;
  }
  std::optional<crm::RateLimit> strictest;
  for (const auto& [id, seen] : lane.integrations) {
    if (seen == nullptr || !seen->active) {
      continue;
    }
    const crm::RateLimit limit = deps_.adapter.Limit(seen->settings);
    if (!strictest.has_value() || CallsPerSecond(limit) < CallsPerSecond(*strictest)) {
      strictest = limit;
    }
  }
  if (strictest.has_value()) {
    lane.limits.limiter.Configure(*strictest);
  }
}

// ---- Time ---------------------------------------------------------------------------------------

void Reader::Tick() {
  deps_.outbox.Tick();
  Locked([&] {
    absl::Time now = deps_.clock.Now();
    ReleaseDue();
    while (!deadlines_.empty() && deadlines_.front().first + options_.park_after <= now) {
      Item* item = Find(deadlines_.front().second);
      deadlines_.pop_front();
      if (item != nullptr && !item->writing) {
        ParkOverdue(*item);
      }
    }
    WakeSleepers(now);
    if (now - measured_at_ >= kMeasureEvery) {
      measured_at_ = now;
      Measure();
    }
    if (now - swept_at_ >= kSweepLanesEvery) {
      swept_at_ = now;
      absl::erase_if(lanes_, [&](const auto& entry) {
        Lane& lane = *entry.second;
        lane.DropPagesUnusedSince(now - options_.lane_idle);
        return lane.items.empty() && lane.pages.empty() && !lane.HasJobs() && !lane.scheduled &&
               lane.running == nullptr && !lane.limits.breaker.tripped() &&
               now - lane.last_used > options_.lane_idle;
      });
    }
  });
}

void Reader::Measure() {
  size_t jobs = 0;
  int64_t open = 0;
  for (const auto& [id, lane] : lanes_) {
    jobs += lane->jobs();
    open += lane->limits.breaker.tripped() ? 1 : 0;
  }
  deps_.metrics.Queue(static_cast<int64_t>(jobs));
  deps_.metrics.CircuitsOpen(open);
}

void Reader::ParkOverdue(Item& item) {
  bool follows = item.jobs.empty() && item.page == nullptr;
  if (item.lane == nullptr || follows) {
    // A follower ends with the one it follows, which is older.
    return;
  }
  Lane& lane = *item.lane;
  if (item.page != nullptr) {
    // What the listing gave costs nothing.
    auto reads = static_cast<double>(item.page->pending.size() - item.page->given.size() + 1);
    Park(item, "page_unfinished", RetryPolicy::AtLeast(TurnOf(lane, reads)), Keep::kReads);
    return;
  }
  bool begun = std::any_of(item.jobs.begin(), item.jobs.end(), [](const auto& job) {
    return job->begun && !job->cancelled;
  });
  if (begun) {
    CountAndPark(
        item, "slow", absl::DeadlineExceededError("the CRM takes long to answer"), Keep::kReads);
    return;
  }
  // Its read will be done in its turn; it comes back to find it done.
  ParkBusy(item, lane.jobs() < options_.most_items_of_lane ? Keep::kReads : Keep::kNothing);
}

absl::Duration Reader::TurnOf(const Lane& lane, double reads) const {
  const RateLimiter& limiter = lane.limits.limiter;
  return std::max(limiter.DurationOf(lane.expected_units * reads),
                  limiter.Wait(lane.expected_units, deps_.clock.Now()));
}

void Reader::ParkBusy(Item& item, Keep keep) {
  Lane& lane = *item.lane;
  absl::Time now = deps_.clock.Now();
  absl::Duration wait = TurnOf(lane, static_cast<double>(lane.jobs() + 1));
  bool limited = lane.limits.limiter.Wait(lane.expected_units, now) > absl::ZeroDuration();
  Park(item, limited ? "rate_limited" : "busy", RetryPolicy::AtLeast(wait), keep);
}

// ---- Ends ---------------------------------------------------------------------------------------

void Reader::Remove(Item& item) {
  if (item.lane != nullptr) {
    item.lane->items.erase(item.id);
    item.lane->last_used = deps_.clock.Now();
  }
  if (item.page != nullptr && item.page->item == item.id) {
    item.page->item = 0;
  }
  deps_.metrics.InProgress(-1);
  bytes_ -= item.bytes;
  items_.erase(item.id);
}

void Reader::OffsetDone(const Item& item) {
  if (item.offset < 0) {
    return;
  }
  if (Item* part = Find(item.buried_part)) {
    // The rest of the notice ends without its dead letter, which nobody would write again.
    part->offset = item.offset;
    return;
  }
  auto tracker = trackers_.find(item.from);
  if (tracker != trackers_.end()) {
    tracker->second.Done(item.offset);
  }
}

void Reader::Finish(Item& item, std::string_view outcome, std::string_view reason) {
  OffsetDone(item);
  if (item.lane != nullptr) {
    item.lane->Detach(item.id, item.jobs);
  }
  deps_.metrics.Done(outcome, reason);
  deps_.metrics.Event(deps_.clock.Now());
  std::vector<ItemId> followers = std::move(item.followers);
  std::shared_ptr<Page> split_from = std::move(item.split_from);
  crm::ObjectRef split_ref = std::move(item.split_ref);
  if (item.retry.has_tick() && item.retry.objects_size() == 0) {
    SweepBegun(item.retry.tick());
  }
  Remove(item);
  for (ItemId follower : followers) {
    if (Item* still = Find(follower)) {
      Finish(*still, "repeat", "same_delivery");
    }
  }
  if (split_from != nullptr) {
    PageObjectDone(split_from, split_ref);
  }
}

void Reader::Forget(Item& item) {
  if (item.lane != nullptr) {
    item.lane->Detach(item.id, item.jobs);
    if (item.delivery.has_value()) {
      item.lane->deliveries.Erase(*item.delivery);
    }
  }
  deps_.metrics.Done("handed_over", "rebalanced");
  Remove(item);
}

void Reader::ObjectsDone(Item& item) {
  if (item.awaited > 0 || item.writing) {
    return;
  }
  if (!item.remaining.empty()) {
    // More than the lane had room for: the others in another turn.
    ParkBusy(item, Keep::kNothing);
  } else if (!item.dead.ok()) {
    Die(item, "read", item.dead);
  } else if (item.led) {
    Finish(item, "emitted", "read");
  } else {
    Finish(item, "repeat", "folded");
  }
}

bool Reader::ParksSweep(const raw::v1::Retry& retry) {
  if (!retry.has_tick() || retry.objects_size() > 0 || !IsSweepStart(retry.tick())) {
    return true;
  }
  const std::string& id = retry.tick().poll_id();
  return parked_sweeps_.try_emplace(Cursors::Key(retry.tick()), id).first->second == id;
}

void Reader::SweepBegun(const raw::v1::PollTick& tick) {
  auto parked = parked_sweeps_.find(Cursors::Key(tick));
  if (parked != parked_sweeps_.end() && parked->second == tick.poll_id()) {
    parked_sweeps_.erase(parked);
  }
}

void Reader::Park(Item& item, std::string_view reason, absl::Duration delay, Keep keep) {
  absl::Time now = deps_.clock.Now();
  bool is_listed = item.page != nullptr && item.page->listed;
  if (!is_listed && !ParksSweep(item.retry)) {
    // An account that is barred for days would gather hundreds.
    if (item.page != nullptr) {
      item.lane->DropPage(item.page);
    }
    deps_.metrics.PollEnded("skipped");
    Finish(item, "ignored", "superseded");
    return;
  }
  bool waited_long = item.retry.has_first_failed_at() &&
                     now - FromProto(item.retry.first_failed_at()) > options_.retry.give_up_after;
  if (waited_long) {
    Die(item,
        item.page != nullptr ? "list" : "read",
        ReasonStatus("gave_up",
                     fmt::format("waited for {} in vain, last for: {}",
                                 absl::FormatDuration(options_.retry.give_up_after),
                                 reason)));
    return;
  }
  item.writing = true;
  if (item.lane != nullptr) {
    item.lane->items.erase(item.id);
    if (keep == Keep::kNothing) {
      item.lane->Detach(item.id, item.jobs);
    }
  }
  if (!item.retry.has_first_failed_at()) {
    *item.retry.mutable_first_failed_at() = ToProto(now);
  }
  item.retry.set_reason(std::string(reason));
  if (!item.remaining.empty()) {
    item.retry.clear_objects();
    for (const auto* refs : {&item.remaining, &item.dead_objects}) {
      for (const crm::ObjectRef& ref : *refs) {
        raw::v1::ObjectRef& object = *item.retry.add_objects();
        object.set_kind(ref.kind);
        object.set_external_id(ref.external_id);
      }
    }
  }
  kafka::OutRecord record =
      MakeRetry(options_.crm, item.retry, item.key, item.origin, item.headers, delay, now);
  std::string topic = record.topic;
  Put(std::move(record),
      [this, id = item.id, topic, why = std::string(reason)](
          const Result<kafka::Position>& result) { Parked(id, topic, why, result); });
}

void Reader::Parked(ItemId id,
                    const std::string& topic,
                    const std::string& reason,
                    const Result<kafka::Position>& result) {
  Item* item = Find(id);
  if (item == nullptr) {
    return;
  }
  if (!result.ok()) {
    Die(*item, "read", result.status(), "record_too_large");
    return;
  }
  ledger_.Parked({topic, result->partition}, result->offset, reason);
  OffsetDone(*item);
  std::vector<ItemId> followers = std::move(item->followers);
  std::shared_ptr<Page> split_from = std::move(item->split_from);
  crm::ObjectRef split_ref = std::move(item->split_ref);
  Remove(*item);
  for (ItemId follower : followers) {
    if (Item* still = Find(follower)) {
      Finish(*still, "repeat", "same_delivery");
    }
  }
  if (split_from != nullptr) {
    PageObjectDone(split_from, split_ref);
  }
}

void Reader::CountAndPark(Item& item, std::string_view reason, const Status& status, Keep keep) {
  int attempt = item.retry.attempt() + 1;
  item.retry.set_attempt(attempt);
  if (!item.retry.has_first_failed_at()) {
    *item.retry.mutable_first_failed_at() = ToProto(deps_.clock.Now());
  }
  if (attempt > options_.retry.max_attempts) {
    Die(item,
        item.page != nullptr ? "list" : "read",
        Annotate(status, fmt::format("failed {} times, last", attempt)),
        "retries_exhausted");
    return;
  }
  Park(item, reason, RetryPolicy::AfterFailure(attempt), keep);
}

void Reader::ParkBarred(Item& item, const Status& status) {
  bool is_old = item.retry.has_first_failed_at() &&
                deps_.clock.Now() - FromProto(item.retry.first_failed_at()) > kLongBarredDelay;
  Park(item, ReasonOf(status), is_old ? kLongBarredDelay : kBarredDelay, Keep::kNothing);
}

void Reader::ParkLane(Lane& lane, std::string_view reason, absl::Duration delay) {
  lane.Clear();
  std::vector<ItemId> ids(lane.items.begin(), lane.items.end());
  std::sort(ids.begin(), ids.end());
  for (ItemId id : ids) {
    Item* item = Find(id);
    // A follower ends with the one it follows.
    if (item != nullptr && !item->writing && (!item->jobs.empty() || item->page != nullptr)) {
      Park(*item, reason, delay, Keep::kNothing);
    }
  }
}

void Reader::Die(Item& item,
                 std::string_view stage,
                 const Status& status,
                 std::string_view reason) {
  item.writing = true;
  if (item.lane != nullptr) {
    item.lane->Detach(item.id, item.jobs);
  }
  absl::Time now = deps_.clock.Now();
  DeadLetterFacts facts;
  facts.origin = item.origin;
  facts.key = item.key;
  facts.headers = item.headers;
  if (item.retry.has_due_at()) {
    // They tell of the retry, not of what it wraps.
    std::erase_if(facts.headers,
                  [](const kafka::Header& header) { return header.first.starts_with("ce_"); });
  }
  facts.stage = stage;
  facts.reason = reason.empty() ? ReasonOf(status) : std::string(reason);
  facts.message = TextOf(status);
  facts.attempts = item.retry.attempt() + 1;
  facts.first_failed_at =
      item.retry.has_first_failed_at() ? FromProto(item.retry.first_failed_at()) : now;
  facts.now = now;
  facts.integration_id = item.integration_id;
  bool is_object_of_page = item.retry.has_tick() && item.retry.objects_size() > 0;
  if (item.retry.item_case() == raw::v1::Retry::ITEM_NOT_SET) {
    facts.value = item.unreadable;
  } else if (is_object_of_page) {
    // Sent again, it is a retry of that object, not of the page.
    facts.origin = {RetryPolicy::Topic(options_.crm, RetryPolicy::AfterFailure(1)), -1, -1};
    raw::v1::Retry again = item.retry;
    again.clear_attempt();
    again.clear_first_failed_at();
    facts.value = again.SerializeAsString();
  } else if (item.retry.has_notice()) {
    facts.value = item.retry.notice().SerializeAsString();
  } else {
    facts.value = item.retry.tick().SerializeAsString();
  }
  obs::Warn("dead_letter",
            "an item can't be read; it is kept as a dead letter",
            {{"crm", options_.crm},
             {"integration_id", item.integration_id},
             {"stage", facts.stage},
             {"reason", facts.reason}});
  deps_.metrics.DeadLetter(stage, facts.reason);
  std::string label = facts.reason;
  std::string message = facts.message;
  auto record = std::make_shared<kafka::OutRecord>(MakeDeadLetter(options_.crm, std::move(facts)));
  // A pass that ends here says so first: else the next one would wait for it.
  FailPassOf(item, message, [this, id = item.id, label, record] {
    Put(std::move(*record), [this, id, label](const Result<kafka::Position>& result) {
      Item* still = Find(id);
      if (!result.ok()) {
        obs::Error("dead_letter_refused",
                   "the broker refuses a dead letter",
                   {{"crm", options_.crm}, {"error", TextOf(result.status())}});
      }
      if (still != nullptr) {
        Finish(*still, "dead", label);
      }
    });
  });
}

void Reader::FailPassOf(Item& item, const std::string& error, const std::function<void()>& then) {
  bool is_page = item.retry.has_tick() && item.retry.objects_size() == 0;
  if (!is_page) {
    then();
    return;
  }
  item.writing = true;
  const raw::v1::PollTick& tick = item.retry.tick();
  if (item.lane != nullptr && item.page != nullptr) {
    item.lane->DropPage(item.page);
  }
  std::string key = Cursors::Key(tick);
  auto kept = deps_.cursors.Find(key);
  bool is_same = kept.has_value() && kept->poll_id() == tick.poll_id();
  bool is_done = is_same && kept->state() == raw::v1::POLL_STATE_DONE;
  bool other_runs = kept.has_value() && !is_same && kept->state() == raw::v1::POLL_STATE_RUNNING;
  // An old tick that has waited in vain: how it went since is known already.
  bool other_came_since = kept.has_value() && !is_same && tick.has_created_at() &&
                          FromProto(kept->updated_at()) > FromProto(tick.created_at());
  if (is_done || other_runs || other_came_since) {
    then();
    return;
  }
  deps_.metrics.PollEnded("failed");
  absl::Time now = deps_.clock.Now();
  raw::v1::PollProgress progress = FailPass(tick, kept, error, now);
  Put(MakeProgress(options_.crm, key, progress, now),
      [this, key, progress, then](const Result<kafka::Position>& result) {
        if (result.ok()) {
          deps_.cursors.Put(key, progress);
        }
        then();
      });
}

}  // namespace dealstream::reader
