#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/crm/api/adapter.h"
#include "services/crm-reader/integrations.h"
#include "services/crm-reader/recent.h"
#include "services/crm-reader/session.h"

namespace dealstream::reader {

using ItemId = uint64_t;

// One page of a pass. Outlives its tick's item when that is parked: what it listed goes on being
// read, its end is written, and the tick finds it done when it comes back.
struct Page {
  // Poll id and page token.
  std::string key;
  // Id of its lane.
  std::string lane;
  raw::v1::PollTick tick;
  // The tick's item, or 0 while that is parked: the page is done all the same.
  ItemId item = 0;
  bool listed = false;
  // A job stands for its listing.
  bool listing = false;
  crm::ListPage result;
  // Its end is being written.
  bool ending = false;
  // Listed, not known in that version, and neither recorded nor parked yet.
  absl::flat_hash_map<crm::ObjectRef, int64_t> pending;
  // Of those, the ones that a job stands for.
  absl::flat_hash_set<crm::ObjectRef> queued;
  // Of those pending, what the listing gave whole; the others are read. Shared with the job that is
  // being done.
  absl::flat_hash_map<crm::ObjectRef, std::shared_ptr<const crm::ReadObject>> given;
  absl::Time listed_at;
  int64_t read = 0;
  // Listings that failed while the tick was parked.
  int failures = 0;
  // What the last of them ended with, where another would end so too.
  Status barred;
  // When a tick last brought it, or it was listed.
  absl::Time used_at = absl::InfinitePast();
};

// Of the page that a tick orders.
std::string PageKey(const raw::v1::PollTick& tick);

// A notice (or an object of a page that was parked for itself) that waits for a read.
struct Waiter {
  ItemId item = 0;
  // Of the notice, or of the pass.
  std::string id;
  bool is_notice = true;
  absl::Time received_at;
};

// One conversation with the CRM: the read of an object, or the listing of a page.
struct Job {
  std::string integration_id;
  absl::Time queued_at;
  // Waits no more: skipped when its turn comes.
  bool cancelled = false;
  // Taken by a worker: nothing can be folded into it any more.
  bool begun = false;

  // A listing: the page, shared with the lane. Null for a read.
  std::shared_ptr<Page> listing;

  // A read.
  crm::ObjectRef ref;
  deal::v1::Cause cause = deal::v1::CAUSE_UNSPECIFIED;
  std::string traceparent;
  // In the order of arrival; the first one asked for the read, the others were folded into it.
  std::vector<Waiter> waiters;
  // Whose objects it is; shared with the lane.
  std::vector<std::shared_ptr<Page>> pages;
  // What a listing gave of it: nothing is asked then. Shared with the page.
  std::shared_ptr<const crm::ReadObject> given;
  absl::Time given_at;
};

// What is to be done for one CRM account of one of our customers, in order, by one worker at a
// time. Reads of one object that have not begun are one read. Two customers who name the same CRM
// account have a lane each: a login only claims to belong to it, and what one does must not slow
// the other down, nor may it see what the other's adapter noted. No clock, no I/O; not thread-safe,
// but for `limits`.
class Lane {
 public:
  struct Options {
    // Notices that one read stands for; the next one starts another read.
    size_t most_folded = 200;
    // See Recent.
    size_t recent_versions = 2048;
    size_t recent_deliveries = 2048;
    // Notices are served so many times before a page's turn comes.
    int notices_per_page_job = 4;
  };

  Lane(std::string lane_id,
       std::string crm_account_id,
       Options options,
       CircuitBreaker::Options breaker)
      : id(std::move(lane_id)),
        account(std::move(crm_account_id)),
        limits(breaker),
        versions(options.recent_versions),
        deliveries(options.recent_deliveries),
        satisfied(options.recent_deliveries),
        done_pages(256),
        options_(options) {}

  struct ReadRequest {
    std::string integration_id;
    crm::ObjectRef ref;
    deal::v1::Cause cause = deal::v1::CAUSE_UNSPECIFIED;
    std::string traceparent;
    absl::Time now;
  };
  struct AddedRead {
    // Shared with the lane and the item.
    std::shared_ptr<Job> job;
    // It was folded into a read that waits already.
    bool folded = false;
  };
  AddedRead AddRead(const ReadRequest& request, Waiter waiter);
  // Queues reads for what is pending of the page and not queued.
  void AddPageReads(const std::shared_ptr<Page>& page, absl::Time now);
  // Nothing when that waits or is under way already.
  void AddListing(const std::shared_ptr<Page>& page, absl::Time now);
  // Before all others.
  void PutBack(std::shared_ptr<Job> job);

  // The next job to be done; null when there is none. It can't be folded into any more.
  std::shared_ptr<Job> Next();
  bool HasJobs() const { return live_jobs_ > 0; }
  size_t jobs() const { return live_jobs_; }
  // Of those, the ones that a notice (or an object parked for itself) waits for.
  size_t awaited_jobs() const { return awaited_jobs_; }
  // Whether AddRead would take it without another awaited job.
  bool Folds(const std::string& integration_id, const crm::ObjectRef& ref) const;

  // The item no longer waits for those of its reads that have not begun; those that nothing else
  // waits for go. Reads that have begun keep its name.
  void Detach(ItemId item, const std::vector<std::shared_ptr<Job>>& jobs);
  // Drops all that has not begun. Items and pages must be seen to by the caller.
  void Clear();
  // Drops the pages and their jobs.
  void DropPages();
  // Drops one: its end is not written, whatever is read of it yet.
  void DropPage(const std::shared_ptr<Page>& page);
  // Drops those that no tick has brought since, and nothing is done for: what ended their passes
  // knew nothing of them. Should a tick come back all the same, its page is listed again.
  void DropPagesUnusedSince(absl::Time time);

  // Of our customer and the CRM account, for the reader's table.
  const std::string id;
  // The CRM account.
  const std::string account;
  AccountLimits limits;
  // Those whose work came here, as they were when `limits` was last made to suit them all.
  absl::flat_hash_map<std::string, std::shared_ptr<const Integration>> integrations;
  // Items that wait for this lane.
  absl::flat_hash_set<ItemId> items;
  // By page key.
  absl::flat_hash_map<std::string, std::shared_ptr<Page>> pages;
  // Version of an object (under a version of its integration) whose record is durable.
  Recent<int64_t> versions;
  // Item by delivery: while the item lives a repeat follows it, after that it is durable.
  Recent<ItemId> deliveries;
  // Notice (or pass) and object whose read ended well after what waited for it had been parked.
  Recent<bool> satisfied;
  Recent<bool> done_pages;
  // Being done right now; shared with the worker.
  std::shared_ptr<Job> running;
  // The running job counts among those of failing accounts.
  bool running_as_failing = false;
  // In the scheduler's lists.
  bool scheduled = false;
  // Partition of the account's topics, as last seen.
  int32_t partition = -1;
  absl::Time last_used = absl::InfinitePast();
  // What a job costs, in units: the dearest of late.
  double expected_units = 1;

 private:
  static std::string KeyOf(const std::string& integration_id, const crm::ObjectRef& ref);
  void Push(std::deque<std::shared_ptr<Job>>& queue, std::shared_ptr<Job> job);
  void Cancel(Job& job);
  std::shared_ptr<Job> Pop(std::deque<std::shared_ptr<Job>>& queue);

  const Options options_;
  std::deque<std::shared_ptr<Job>> notices_;
  std::deque<std::shared_ptr<Job>> polls_;
  // Reads that can be folded into, by integration and object.
  absl::flat_hash_map<std::string, std::shared_ptr<Job>> open_;
  size_t live_jobs_ = 0;
  size_t awaited_jobs_ = 0;
  int turn_ = 0;
};

}  // namespace dealstream::reader
