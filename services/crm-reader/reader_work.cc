#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/hash/hash.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "services/crm-reader/poll_pass.h"
#include "services/crm-reader/proto_time.h"
#include "services/crm-reader/reader.h"

// What is done in the lanes: reads and listings, and what their outcome means.
namespace dealstream::reader {
namespace {

// How long an account rests when the CRM says "slower" and not for how long.
constexpr absl::Duration kDefaultPause = absl::Seconds(3);
// For longer ones, nothing is kept in memory.
constexpr absl::Duration kLongPause = absl::Minutes(1);
// A refused credential is looked after so long after it last failed.
constexpr absl::Duration kLookedAfterFor = absl::Hours(2);

uint64_t VersionKey(const Integration& integration, const crm::ObjectRef& ref) {
  // A change of the settings makes everything worth reading again.
  return absl::HashOf(integration.id, integration.version, ref);
}

// Of an object that a listing gives whole. With its content: a CRM's times may be too coarse to
// tell two changes, and what is given anyway need not be skipped by its version alone.
uint64_t GivenKey(const Integration& integration,
                  const crm::ObjectRef& ref,
                  const std::vector<std::pair<std::string, std::string>>& parts) {
  return absl::HashOf(integration.id, integration.version, ref, parts);
}

bool RefusesCredential(const Status& status) {
  if (status.code() != absl::StatusCode::kUnauthenticated &&
      status.code() != absl::StatusCode::kPermissionDenied) {
    return false;
  }
  std::string reason = ReasonOf(status);
  return reason != "host_not_allowed" && reason != "credential_refused";
}

// Whether a read is barred for this one object only, as the adapter says.
bool IsOfObject(const Job& job, const Status& status) {
  return job.listing == nullptr && status.code() == absl::StatusCode::kFailedPrecondition &&
         ReasonOf(status) == crm::kObjectForbidden;
}

}  // namespace

// ---- Scheduling ---------------------------------------------------------------------------------

void Reader::Schedule(const std::shared_ptr<Lane>& lane) {
  if (lane->scheduled || lane->running != nullptr || !lane->HasJobs()) {
    return;
  }
  lane->scheduled = true;
  ready_.push_back(lane);
  Signal();
}

void Reader::Signal() {
  ++work_generation_;
  work_.notify_one();
}

void Reader::WakeSleepers(absl::Time now) {
  while (!sleeping_.empty() && sleeping_.begin()->first <= now) {
    ready_.push_back(std::move(sleeping_.begin()->second));
    sleeping_.erase(sleeping_.begin());
    Signal();
  }
}

uint64_t Reader::work_seen() const {
  std::lock_guard lock(mutex_);
  return work_generation_;
}

void Reader::WaitForWork(uint64_t seen, absl::Duration most) {
  std::unique_lock lock(mutex_);
  work_.wait_for(lock, absl::ToChronoMicroseconds(most), [&] { return work_generation_ != seen; });
}

std::pair<std::shared_ptr<Lane>, std::shared_ptr<Job>> Reader::Pick() {
  absl::Time now = deps_.clock.Now();
  WakeSleepers(now);
  // Each lane that is ready is looked at once.
  for (size_t left = ready_.size(); left > 0; --left) {
    std::shared_ptr<Lane> lane = std::move(ready_.front());
    ready_.pop_front();
    lane->scheduled = false;
    bool failing = lane->limits.breaker.failures_in_a_row() > 0;
    if (failing && busy_with_failing_ >= options_.workers_for_failing) {
      lane->scheduled = true;
      ready_.push_back(std::move(lane));
      continue;
    }
    absl::Duration open = lane->limits.breaker.OpenFor(now);
    if (open > absl::ZeroDuration()) {
      ParkLane(*lane, "circuit_open", RetryPolicy::AtLeast(open));
      continue;
    }
    UpdateLimit(*lane);
    absl::Duration wait = lane->limits.limiter.Wait(lane->expected_units, now);
    if (lane->HasJobs() && wait > absl::ZeroDuration()) {
      lane->scheduled = true;
      sleeping_.emplace(now + wait, std::move(lane));
      continue;
    }
    while (std::shared_ptr<Job> job = lane->Next()) {
      if (job->listing == nullptr && IsKnown(*lane, *job)) {
        // A notice has had it read since the page was listed.
        for (const std::shared_ptr<Page>& page : job->pages) {
          PageObjectDone(page, job->ref);
        }
        continue;
      }
      UseGiven(*job);
      deps_.metrics.Waited(now - job->queued_at);
      lane->running = job;
      lane->last_used = now;
      busy_with_failing_ += failing ? 1 : 0;
      lane->running_as_failing = failing;
      return {std::move(lane), std::move(job)};
    }
  }
  return {};
}

bool Reader::IsKnown(Lane& lane, const Job& job) const {
  if (!job.waiters.empty() || job.pages.empty()) {
    return job.waiters.empty() && job.pages.empty();
  }
  auto integration = deps_.integrations.Find(job.integration_id);
  if (integration == nullptr) {
    return false;
  }
  std::optional<int64_t> known = lane.versions.Find(VersionKey(*integration, job.ref));
  return known.has_value() &&
         std::all_of(job.pages.begin(), job.pages.end(), [&](const auto& page) {
           auto pending = page->pending.find(job.ref);
           return pending == page->pending.end() ||
                  (pending->second <= *known && !page->given.contains(job.ref));
         });
}

void Reader::UseGiven(Job& job) {
  job.given = nullptr;
  // A notice may know of a change that came after the listing.
  if (!job.waiters.empty()) {
    return;
  }
  for (const std::shared_ptr<Page>& page : job.pages) {
    auto given = page->given.find(job.ref);
    if (given != page->given.end() &&
        (job.given == nullptr || given->second->version > job.given->version)) {
      job.given = given->second;
      job.given_at = page->listed_at;
    }
  }
}

bool Reader::LookAfterRefused() {
  std::string credential;
  {
    std::lock_guard lock(mutex_);
    if (refused_.empty() || looking_after_refused_) {
      return false;
    }
    absl::Time now = deps_.clock.Now();
    auto due = std::find_if(refused_.begin(), refused_.end(), [now](const auto& entry) {
      return entry.second.look_at <= now;
    });
    if (due == refused_.end()) {
      return false;
    }
    credential = due->first;
    due->second.look_at = now + options_.look_after_refused;
    looking_after_refused_ = true;
  }
  const Status status = deps_.access.Get(credential).status();
  Locked([&] {
    looking_after_refused_ = false;
    auto found = refused_.find(credential);
    // Without work for it, it is nobody's business; who comes back will find out for himself.
    if (found != refused_.end() &&
        (status.ok() || deps_.clock.Now() - found->second.since > kLookedAfterFor)) {
      refused_.erase(found);
      ReleaseDue();
    }
  });
  return true;
}

bool Reader::RunOne() {
  if (LookAfterRefused()) {
    return true;
  }
  std::pair<std::shared_ptr<Lane>, std::shared_ptr<Job>> picked;
  Locked([&] { picked = Pick(); });
  const auto& [lane, job] = picked;
  if (job == nullptr) {
    return false;
  }
  if (job->listing != nullptr) {
    DoList(lane, job);
  } else {
    DoRead(lane, job);
  }
  return true;
}

// ---- Talking to the CRM -------------------------------------------------------------------------

Result<std::shared_ptr<const Integration>> Reader::ActiveIntegration(const std::string& id) const {
  auto integration = deps_.integrations.Find(id);
  if (integration == nullptr || !integration->active) {
    return WithReason(absl::FailedPreconditionError("the integration is switched off"), "inactive");
  }
  return integration;
}

template <typename Call>
auto Reader::Converse(Lane& lane,
                      const std::shared_ptr<const Integration>& integration,
                      double& units,
                      const Call& call) {
  using Outcome = std::invoke_result_t<Call, crm::Session&, const Integration&>;
  bool is_second = false;
  while (true) {
    auto access = deps_.access.Get(integration->credential_id);
    if (!access.ok()) {
      return Outcome(access.status());
    }
    CallSession session(
        options_.session,
        {deps_.clock, deps_.transport, lane.limits, **access, deps_.metrics, aborting_});
    Outcome outcome = call(session, *integration);
    units += session.units();
    if (outcome.ok() || !RefusesCredential(outcome.status())) {
      return outcome;
    }
    deps_.metrics.AuthFailure();
    bool is_fresh = deps_.access.Refused(integration->credential_id, (*access)->version);
    if (!is_fresh || is_second) {
      return Outcome(WithReason(outcome.status(), "credential_refused"));
    }
    is_second = true;
  }
}

void Reader::DoRead(const std::shared_ptr<Lane>& lane, const std::shared_ptr<Job>& job) {
  ReadResult result;
  auto integration = ActiveIntegration(job->integration_id);
  if (!integration.ok()) {
    result.object = integration.status();
  } else if (job->given != nullptr) {
    result.integration = *integration;
    result.object = *job->given;
    result.at = job->given_at;
  } else {
    result.integration = *integration;
    result.object = Converse(
        *lane, *integration, result.units, [&](crm::Session& session, const Integration& which) {
          return deps_.adapter.record_source()->Read(job->ref, which.settings, session);
        });
    result.at = deps_.clock.Now();
  }
  Locked([&] { ReadEnded(lane, job, std::move(result)); });
}

void Reader::DoList(const std::shared_ptr<Lane>& lane, const std::shared_ptr<Job>& job) {
  ListResult result;
  auto integration = ActiveIntegration(job->integration_id);
  if (integration.ok()) {
    const raw::v1::PollTick& tick = job->listing->tick;
    crm::ListRequest request =
        MakeListRequest(tick, deps_.cursors.Find(Cursors::Key(tick)), **integration);
    result.page = Converse(
        *lane, *integration, result.units, [&](crm::Session& session, const Integration& which) {
          return deps_.adapter.record_source()->List(
              request, which.purpose, which.settings, session);
        });
  } else {
    result.page = integration.status();
  }
  result.at = deps_.clock.Now();
  Locked([&] { ListEnded(lane, job, std::move(result)); });
}

void Reader::JobEnded(const std::shared_ptr<Lane>& lane, double units) {
  // The dearest of late, so that a read that has begun seldom waits in the middle.
  constexpr double kForget = 0.1;
  if (units > 0) {
    lane->expected_units =
        std::max(units, lane->expected_units + kForget * (units - lane->expected_units));
  }
  busy_with_failing_ -= lane->running_as_failing ? 1 : 0;
  lane->running = nullptr;
  lane->last_used = deps_.clock.Now();
  Schedule(lane);
  if (!ready_.empty()) {
    // Maybe a failing account that waited for this worker.
    Signal();
  }
}

// ---- Outcomes -----------------------------------------------------------------------------------

void Reader::ReadEnded(const std::shared_ptr<Lane>& lane,
                       const std::shared_ptr<Job>& job,
                       ReadResult result) {
  if (!result.object.ok()) {
    JobFailed(lane, job, result.object.status());
    JobEnded(lane, result.units);
    return;
  }
  if (result.object->perhaps_not_yet && LooksAgain(*lane, *job, *result.integration)) {
    EndWaiters(lane, *job, Fault::kObject, [this](Item& item) {
      item.retry.set_attempt(item.retry.attempt() + 1);
      Park(item, "not_there_yet", RetryPolicy::AfterFailure(item.retry.attempt()), Keep::kNothing);
    });
    JobEnded(lane, result.units);
    return;
  }
  ReadContext context;
  context.cause = job->cause;
  context.observed_at = result.at;
  context.traceparent = job->traceparent;
  for (const Waiter& waiter : job->waiters) {
    if (waiter.is_notice && !waiter.id.empty()) {
      context.notice_ids.push_back(waiter.id);
      context.oldest_notice_at = std::min(context.oldest_notice_at, waiter.received_at);
    }
  }
  int64_t version = result.object->gone ? 0 : result.object->version;
  const crm::ObjectRef ref = result.object->ref.value_or(job->ref);
  uint64_t key = VersionKey(*result.integration, ref);
  std::optional<uint64_t> given_key;
  if (job->given != nullptr) {
    given_key = GivenKey(*result.integration, ref, job->given->parts);
  }
  Put(MakeRecord(
          options_.crm, *result.integration, ref, *std::move(result.object), std::move(context)),
      [this, lane, job, key, given_key, version](const Result<kafka::Position>& recorded) {
        if (recorded.ok()) {
          if (given_key.has_value()) {
            lane->versions.Put(*given_key, version);
          }
          Recorded(*lane, *job, key, version);
        } else {
          ObjectDead(lane, *job, WithReason(recorded.status(), "record_too_large"));
        }
      });
  JobEnded(lane, result.units);
}

bool Reader::LooksAgain(Lane& lane, const Job& job, const Integration& integration) {
  // What a page listed has been there, and so has what was recorded before: it is gone.
  if (!job.pages.empty() || lane.versions.Find(VersionKey(integration, job.ref)).has_value()) {
    return false;
  }
  return std::all_of(job.waiters.begin(), job.waiters.end(), [this](const Waiter& waiter) {
    const Item* item = Find(waiter.item);
    return item == nullptr || item->retry.attempt() < options_.retry.max_looks;
  });
}

void Reader::Recorded(Lane& lane, const Job& job, uint64_t version_key, int64_t version) {
  if (version > 0) {
    lane.versions.Put(version_key, std::max(version, lane.versions.Find(version_key).value_or(0)));
  }
  bool is_first = true;
  for (const Waiter& waiter : job.waiters) {
    Item* item = Find(waiter.item);
    if (item == nullptr || item->writing) {
      // Parked meanwhile: it will come back, and need not be read again.
      if (!waiter.id.empty()) {
        lane.satisfied.Put(absl::HashOf(waiter.id, job.ref), true);
      }
    } else {
      item->led = item->led || is_first;
      item->awaited -= std::erase(item->remaining, job.ref);
      ObjectsDone(*item);
    }
    is_first = false;
  }
  for (const std::shared_ptr<Page>& page : job.pages) {
    ++page->read;
    PageObjectDone(page, job.ref);
  }
}

void Reader::ListEnded(const std::shared_ptr<Lane>& lane,
                       const std::shared_ptr<Job>& job,
                       ListResult result) {
  const std::shared_ptr<Page>& page = job->listing;
  page->listing = false;
  if (!result.page.ok()) {
    JobFailed(lane, job, result.page.status());
    JobEnded(lane, result.units);
    return;
  }
  auto integration = deps_.integrations.Find(job->integration_id);
  page->listed = true;
  page->listed_at = result.at;
  page->used_at = result.at;
  page->result = *std::move(result.page);
  for (crm::ListedObject& object : page->result.objects) {
    auto known = integration == nullptr ? std::nullopt
                 : object.parts.empty()
                     ? lane->versions.Find(VersionKey(*integration, object.ref))
                     : lane->versions.Find(GivenKey(*integration, object.ref, object.parts));
    if (!known.has_value() || *known < object.version) {
      AddPending(*page, object);
    }
    object.parts.clear();
  }
  auto kept = lane->pages.find(page->key);
  if (kept != lane->pages.end() && kept->second == page) {
    lane->AddPageReads(page, deps_.clock.Now());
    EndPageIfDone(page);
  }
  JobEnded(lane, result.units);
}

void Reader::AddPending(Page& page, crm::ListedObject& object) {
  auto [pending, is_new] = page.pending.try_emplace(object.ref, object.version);
  if (!is_new && object.version <= pending->second) {
    return;
  }
  pending->second = object.version;
  if (object.parts.empty()) {
    page.given.erase(object.ref);
    return;
  }
  crm::ReadObject given;
  given.version = object.version;
  given.parts = std::move(object.parts);
  page.given[object.ref] = std::make_shared<const crm::ReadObject>(std::move(given));
}

void Reader::JobFailed(const std::shared_ptr<Lane>& lane,
                       const std::shared_ptr<Job>& job,
                       const Status& status) {
  // It is over: a lane that is cleared below must not take its listing for one under way.
  lane->running = nullptr;
  absl::Time now = deps_.clock.Now();
  std::string reason = ReasonOf(status);
  Disposition disposition = DispositionOf(status);
  if (disposition == Disposition::kStop) {
    return;
  }
  if (disposition == Disposition::kSlowDown) {
    deps_.metrics.RateLimited();
    absl::Duration pause = RetryAfter(status).value_or(kDefaultPause);
    if (reason != kOwnLimit) {
      lane->limits.limiter.PauseUntil(now + pause);
    }
    lane->PutBack(job);
    if (job->listing != nullptr) {
      job->listing->listing = true;
    }
    if (pause > kLongPause) {
      ParkLane(*lane, "rate_limited", RetryPolicy::AtLeast(pause));
    }
    return;
  }
  if (reason == "circuit_open") {
    absl::Duration open = RetryAfter(status).value_or(absl::ZeroDuration());
    EndWaiters(lane, *job, Fault::kAccount, [&](Item& item) {
      Park(item, reason, RetryPolicy::AtLeast(open), Keep::kNothing);
    });
    return;
  }
  if (reason == "vault_unavailable" || reason == "inactive") {
    EndWaiters(lane, *job, Fault::kAccount, [&](Item& item) {
      bool first = item.retry.attempt() == 0 && !item.retry.has_due_at();
      Park(item, reason, RetryPolicy::AfterFailure(first ? 1 : 2), Keep::kNothing);
    });
    return;
  }
  const Fault fault = disposition == Disposition::kPark && !IsOfObject(*job, status)
                          ? Fault::kAccount
                          : Fault::kObject;
  switch (disposition) {
    case Disposition::kPark:
      if (reason == "credential_refused" || reason == "credential_missing") {
        if (auto integration = deps_.integrations.Find(job->integration_id)) {
          refused_[integration->credential_id] = {now, now + options_.look_after_refused};
        }
      }
      if (job->listing != nullptr && FindWaiting(job->listing->item) == nullptr) {
        job->listing->barred = status;
      }
      EndWaiters(lane, *job, fault, [&](Item& item) { ParkBarred(item, status); });
      return;
    case Disposition::kRetry:
      EndWaiters(lane, *job, fault, [&](Item& item) {
        bool timed_out = status.code() == absl::StatusCode::kDeadlineExceeded;
        CountAndPark(item, timed_out ? "timeout" : "crm_unavailable", status, Keep::kNothing);
      });
      break;
    default:
      if (disposition == Disposition::kBug) {
        obs::Error("read_failed_oddly",
                   "a read failed in a way that only a fault of ours explains",
                   {{"crm", options_.crm}, {"reason", reason}});
      }
      ObjectDead(lane, *job, status);
      return;
  }
  absl::Duration open = lane->limits.breaker.OpenFor(now);
  if (open > absl::ZeroDuration()) {
    ParkLane(*lane, "circuit_open", RetryPolicy::AtLeast(open));
  }
}

void Reader::EndWaiters(const std::shared_ptr<Lane>& lane,
                        const Job& job,
                        Fault fault,
                        const std::function<void(Item&)>& end) {
  for (const Waiter& waiter : job.waiters) {
    Item* item = Find(waiter.item);
    if (item != nullptr && !item->writing) {
      end(*item);
    }
  }
  std::vector<std::shared_ptr<Page>> pages = job.pages;
  if (job.listing != nullptr) {
    pages.push_back(job.listing);
  }
  for (const std::shared_ptr<Page>& page : pages) {
    if (fault == Fault::kObject && page != job.listing) {
      if (page->pending.contains(job.ref)) {
        end(Split(lane, page, job.ref));
      }
      continue;
    }
    page->queued.erase(job.ref);
    Item* item = Find(page->item);
    if (item != nullptr && !item->writing) {
      end(*item);
    } else if (fault == Fault::kObject) {
      ++page->failures;
    }
  }
}

Reader::Item& Reader::Split(const std::shared_ptr<Lane>& lane,
                            const std::shared_ptr<Page>& page,
                            const crm::ObjectRef& ref) {
  // It may have been read for an earlier page of the pass; this one lists a newer version.
  lane->satisfied.Erase(absl::HashOf(page->tick.poll_id(), ref));
  auto item = std::make_unique<Item>();
  item->id = next_item_++;
  // Of the page's partition, so that it is forgotten with it.
  item->from = {fmt::format("crm.poll.{}", options_.crm), lane->partition};
  item->origin = {item->from.topic, -1, -1};
  item->accepted_at = deps_.clock.Now();
  item->key = lane->account;
  item->integration_id = page->tick.integration_id();
  *item->retry.mutable_tick() = page->tick;
  raw::v1::ObjectRef& object = *item->retry.add_objects();
  object.set_kind(ref.kind);
  object.set_external_id(ref.external_id);
  item->lane = lane;
  item->remaining = {ref};
  item->split_from = page;
  item->split_ref = ref;
  item->writing = true;
  deps_.metrics.In("object");
  deps_.metrics.InProgress(1);
  Item& made = *item;
  items_[made.id] = std::move(item);
  return made;
}

void Reader::ObjectDead(const std::shared_ptr<Lane>& lane, const Job& job, const Status& status) {
  if (job.listing != nullptr) {
    if (Item* item = FindWaiting(job.listing->item)) {
      Die(*item, "list", status);
    } else {
      job.listing->barred = status;
    }
    return;
  }
  for (const Waiter& waiter : job.waiters) {
    Item* item = Find(waiter.item);
    if (item == nullptr || item->writing) {
      continue;
    }
    if (item->dead.ok()) {
      item->dead = status;
    }
    item->awaited -= std::erase(item->remaining, job.ref);
    item->dead_objects.push_back(job.ref);
    ObjectsDone(*item);
  }
  for (const std::shared_ptr<Page>& page : job.pages) {
    if (page->pending.contains(job.ref)) {
      Die(Split(lane, page, job.ref), "read", status);
    }
  }
}

// ---- Pages --------------------------------------------------------------------------------------

void Reader::PageObjectDone(const std::shared_ptr<Page>& page, const crm::ObjectRef& ref) {
  page->pending.erase(ref);
  page->queued.erase(ref);
  page->given.erase(ref);
  EndPageIfDone(page);
}

void Reader::EndPageIfDone(const std::shared_ptr<Page>& page) {
  if (!page->listed || !page->pending.empty() || page->ending) {
    return;
  }
  page->ending = true;
  absl::Time now = deps_.clock.Now();
  std::string key = Cursors::Key(page->tick);
  PageVerdict verdict =
      JudgePage(page->tick, deps_.cursors.Find(key), now, options_.pass_stale_after);
  if (verdict == PageVerdict::kPassRunning) {
    // Another pass has taken over: its progress must not be overwritten. The tick will see it.
    PageEnded(page, "ignored", "pass_running");
    return;
  }
  PageEnd end = EndPage(page->tick, deps_.cursors.Find(key), page->result, page->read, now);
  bool is_last = !end.next.has_value();
  auto put_progress = [this, page, key, is_last, progress = end.progress, now] {
    Put(MakeProgress(options_.crm, key, progress, now),
        [this, page, key, is_last, progress, now](const Result<kafka::Position>& result) {
          if (result.ok()) {
            deps_.cursors.Put(key, progress);
          } else if (is_last) {
            PassRefused(page, result.status());
            return;
          }
          if (is_last) {
            deps_.metrics.PollEnded("done");
            deps_.metrics.PollSucceeded(now);
          }
          PageEnded(page, "emitted", "page");
        });
  };
  if (is_last) {
    put_progress();
    return;
  }
  Put(MakeTick(options_.crm, *end.next, now),
      [this, page, put_progress](const Result<kafka::Position>& result) {
        if (result.ok()) {
          put_progress();
        } else {
          PassRefused(page, result.status());
        }
      });
}

void Reader::PassRefused(const std::shared_ptr<Page>& page, const Status& status) {
  obs::Error("pass_refused",
             "the broker refuses the next tick or the progress of a pass",
             {{"crm", options_.crm},
              {"integration_id", page->tick.integration_id()},
              {"reason", ReasonOf(status)}});
  deps_.metrics.PollEnded("failed");
  absl::Time now = deps_.clock.Now();
  std::string key = Cursors::Key(page->tick);
  raw::v1::PollProgress progress =
      FailPass(page->tick, deps_.cursors.Find(key), std::string(ToStd(status.message())), now);
  Put(MakeProgress(options_.crm, key, progress, now),
      [this, page, key, progress](const Result<kafka::Position>& result) {
        if (result.ok()) {
          deps_.cursors.Put(key, progress);
        }
        // What the page listed is recorded.
        PageEnded(page, "emitted", "page");
      });
}

void Reader::PageEnded(const std::shared_ptr<Page>& page,
                       std::string_view outcome,
                       std::string_view reason) {
  SweepBegun(page->tick);
  auto lane = lanes_.find(page->lane);
  if (lane != lanes_.end()) {
    lane->second->done_pages.Put(absl::HashOf(page->key), true);
    auto kept = lane->second->pages.find(page->key);
    if (kept != lane->second->pages.end() && kept->second == page) {
      lane->second->pages.erase(kept);
    }
  }
  Item* item = Find(page->item);
  if (item != nullptr && !item->writing) {
    Finish(*item, outcome, reason);
  }
}

void Reader::DropPageOf(Lane& lane, const raw::v1::PollTick& tick) {
  auto kept = lane.pages.find(PageKey(tick));
  // With an item, it is another copy of the tick that the page belongs to.
  if (kept != lane.pages.end() && kept->second->item == 0 && !kept->second->ending) {
    lane.DropPage(std::shared_ptr<Page>(kept->second));
  }
}

}  // namespace dealstream::reader
