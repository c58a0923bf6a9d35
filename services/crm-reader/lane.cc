#include "services/crm-reader/lane.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dealstream::reader {

std::string PageKey(const raw::v1::PollTick& tick) {
  return fmt::format("{}\n{}", tick.poll_id(), tick.page_token());
}

std::string Lane::KeyOf(const std::string& integration_id, const crm::ObjectRef& ref) {
  return fmt::format("{}\n{}\n{}", integration_id, ref.kind, ref.external_id);
}

void Lane::Push(std::deque<std::shared_ptr<Job>>& queue, std::shared_ptr<Job> job) {
  // Cancelled jobs are left where they are until they are many.
  if (queue.size() > 2 * live_jobs_ + 64) {
    std::erase_if(queue,
                  [](const std::shared_ptr<Job>& old) { return old->cancelled || old->begun; });
  }
  ++live_jobs_;
  queue.push_back(std::move(job));
}

bool Lane::Folds(const std::string& integration_id, const crm::ObjectRef& ref) const {
  auto open = open_.find(KeyOf(integration_id, ref));
  return open != open_.end() && !open->second->waiters.empty() &&
         open->second->waiters.size() < options_.most_folded;
}

Lane::AddedRead Lane::AddRead(const ReadRequest& request, Waiter waiter) {
  std::string key = KeyOf(request.integration_id, request.ref);
  auto open = open_.find(key);
  if (open != open_.end() && open->second->waiters.size() < options_.most_folded) {
    const std::shared_ptr<Job>& job = open->second;
    if (job->waiters.empty()) {
      // A page's read so far; notices go first. Its other entry is skipped once it has begun.
      job->cause = request.cause;
      job->traceparent = request.traceparent;
      notices_.push_back(job);
      ++awaited_jobs_;
    }
    // What was parked while its read waited has come back.
    auto same = std::find_if(job->waiters.begin(), job->waiters.end(), [&](const Waiter& old) {
      return !waiter.id.empty() && old.id == waiter.id;
    });
    if (same != job->waiters.end()) {
      same->item = waiter.item;
      return {job, same != job->waiters.begin()};
    }
    job->waiters.push_back(std::move(waiter));
    return {job, true};
  }
  auto job = std::make_shared<Job>();
  job->integration_id = request.integration_id;
  job->ref = request.ref;
  job->cause = request.cause;
  job->traceparent = request.traceparent;
  job->queued_at = request.now;
  job->waiters.push_back(std::move(waiter));
  open_[std::move(key)] = job;
  Push(notices_, job);
  ++awaited_jobs_;
  return {std::move(job), false};
}

void Lane::AddPageReads(const std::shared_ptr<Page>& page, absl::Time now) {
  for (const auto& [ref, version] : page->pending) {
    if (!page->queued.insert(ref).second) {
      continue;
    }
    std::string key = KeyOf(page->tick.integration_id(), ref);
    auto open = open_.find(key);
    if (open != open_.end()) {
      open->second->pages.push_back(page);
      continue;
    }
    auto job = std::make_shared<Job>();
    job->integration_id = page->tick.integration_id();
    job->ref = ref;
    job->cause = page->tick.cause();
    job->queued_at = now;
    job->pages.push_back(page);
    open_[std::move(key)] = job;
    Push(polls_, std::move(job));
  }
}

void Lane::AddListing(const std::shared_ptr<Page>& page, absl::Time now) {
  if (page->listing) {
    return;
  }
  page->listing = true;
  auto job = std::make_shared<Job>();
  job->integration_id = page->tick.integration_id();
  job->listing = page;
  job->queued_at = now;
  Push(polls_, std::move(job));
}

void Lane::PutBack(std::shared_ptr<Job> job) {
  ++live_jobs_;
  awaited_jobs_ += job->waiters.empty() ? 0 : 1;
  job->begun = false;
  if (job->listing == nullptr) {
    open_.try_emplace(KeyOf(job->integration_id, job->ref), job);
  }
  bool is_poll = job->listing != nullptr || job->waiters.empty();
  (is_poll ? polls_ : notices_).push_front(std::move(job));
}

std::shared_ptr<Job> Lane::Pop(std::deque<std::shared_ptr<Job>>& queue) {
  while (!queue.empty()) {
    std::shared_ptr<Job> job = std::move(queue.front());
    queue.pop_front();
    if (!job->cancelled && !job->begun) {
      job->begun = true;
      --live_jobs_;
      awaited_jobs_ -= job->waiters.empty() ? 0 : 1;
      return job;
    }
  }
  return nullptr;
}

std::shared_ptr<Job> Lane::Next() {
  bool polls_first = turn_ >= options_.notices_per_page_job;
  std::shared_ptr<Job> job = Pop(polls_first ? polls_ : notices_);
  turn_ = polls_first ? 0 : turn_ + 1;
  if (job == nullptr) {
    job = Pop(polls_first ? notices_ : polls_);
  }
  if (job != nullptr && job->listing == nullptr) {
    auto open = open_.find(KeyOf(job->integration_id, job->ref));
    if (open != open_.end() && open->second == job) {
      open_.erase(open);
    }
  }
  return job;
}

void Lane::Cancel(Job& job) {
  if (!job.cancelled) {
    job.cancelled = true;
    --live_jobs_;
  }
  if (job.listing == nullptr) {
    auto open = open_.find(KeyOf(job.integration_id, job.ref));
    if (open != open_.end() && open->second.get() == &job) {
      open_.erase(open);
    }
  }
}

void Lane::Detach(ItemId item, const std::vector<std::shared_ptr<Job>>& jobs) {
  items.erase(item);
  for (const std::shared_ptr<Job>& job : jobs) {
    if (job->begun || job->cancelled) {
      continue;
    }
    const bool was_awaited = !job->waiters.empty();
    std::erase_if(job->waiters, [&](const Waiter& waiter) { return waiter.item == item; });
    awaited_jobs_ -= was_awaited && job->waiters.empty() ? 1 : 0;
    if (job->waiters.empty() && job->pages.empty()) {
      Cancel(*job);
    }
  }
}

void Lane::Clear() {
  for (auto* queue : {&notices_, &polls_}) {
    for (const std::shared_ptr<Job>& job : *queue) {
      job->cancelled = true;
    }
  }
  notices_.clear();
  polls_.clear();
  open_.clear();
  live_jobs_ = 0;
  awaited_jobs_ = 0;
  for (auto& [key, page] : pages) {
    page->queued.clear();
    page->listing = running != nullptr && running->listing == page;
  }
}

void Lane::DropPages() {
  for (const std::shared_ptr<Job>& job : polls_) {
    if (job->cancelled || job->begun) {
      continue;
    }
    job->pages.clear();
    if (job->waiters.empty()) {
      Cancel(*job);
    }
  }
  for (const std::shared_ptr<Job>& job : notices_) {
    job->pages.clear();
  }
  for (auto& [key, page] : pages) {
    // A record of it may still be on its way.
    page->ending = true;
  }
  pages.clear();
}

void Lane::DropPage(const std::shared_ptr<Page>& page) {
  page->ending = true;
  page->pending.clear();
  page->given.clear();
  for (auto* queue : {&notices_, &polls_}) {
    for (const std::shared_ptr<Job>& job : *queue) {
      std::erase(job->pages, page);
      const bool is_idle = job->listing == page ||
                           (job->listing == nullptr && job->pages.empty() && job->waiters.empty());
      if (is_idle && !job->begun) {
        Cancel(*job);
      }
    }
  }
  auto kept = pages.find(page->key);
  if (kept != pages.end() && kept->second == page) {
    pages.erase(kept);
  }
}

void Lane::DropPagesUnusedSince(absl::Time time) {
  absl::erase_if(pages, [time](const auto& entry) {
    const Page& page = *entry.second;
    return page.item == 0 && page.queued.empty() && !page.listing && !page.ending &&
           page.used_at < time;
  });
}

}  // namespace dealstream::reader
