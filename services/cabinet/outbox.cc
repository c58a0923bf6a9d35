#include "services/cabinet/outbox.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/obs/log.h"

namespace dealstream::cabinet {
namespace {

// The reports of one batch. Shared by the publisher and the producer's callbacks, which may come
// after the publisher has given up waiting.
struct Reports {
  std::mutex mutex;
  std::condition_variable all_in;
  size_t missing = 0;
  std::vector<int64_t> delivered;
  Status error;
};

}  // namespace

OutboxPublisher::OutboxPublisher(Options options,
                                 Store& store,
                                 kafka::Producer& producer,
                                 obs::Health& health)
    : options_(options),
      store_(store),
      producer_(producer),
      heartbeat_(health.AddLoop("outbox")),
      thread_([this] { Run(); }) {}

OutboxPublisher::~OutboxPublisher() {
  Stop(absl::InfinitePast()).IgnoreError();
  thread_.join();
}

void OutboxPublisher::Wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
}

Status OutboxPublisher::Stop(absl::Time deadline) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  give_up_at_ = std::min(give_up_at_, deadline);
  changed_.notify_all();
  const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
  changed_.wait_for(lock, absl::ToChronoMilliseconds(std::min(left, absl::Hours(1))), [this] {
    return finished_;
  });
  if (!finished_) {
    return absl::DeadlineExceededError("outbox: a batch is still under way; it stays in the store");
  }
  return absl::OkStatus();
}

bool OutboxPublisher::Pause(absl::Duration duration) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(
      lock, absl::ToChronoMilliseconds(duration), [this] { return woken_ || stopping_; });
  woken_ = false;
  return !stopping_;
}

void OutboxPublisher::Run() {
  bool go_on = true;
  while (go_on) {
    heartbeat_.Beat();
    const Result<size_t> published = PublishOnce();
    if (!published.ok()) {
      obs::Error("outbox_stuck", ToStd(published.status().message()));
    }
    if (published.ok() && *published > 0) {
      const std::lock_guard lock(mutex_);
      go_on = absl::Now() < give_up_at_;
      continue;
    }
    go_on = Pause(options_.pause);
    // A record that came together with the signal to stop.
    if (!go_on && published.ok() && store_.Figures().value_or(OutboxFigures{}).records > 0) {
      const std::lock_guard lock(mutex_);
      go_on = absl::Now() < give_up_at_;
    }
  }
  const std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

Result<size_t> OutboxPublisher::PublishOnce() {
  DEALSTREAM_ASSIGN_OR_RETURN(std::vector<OutboxRecord> batch, store_.OutboxHeads(options_.batch));
  if (batch.empty()) {
    return 0;
  }
  const size_t size = batch.size();
  const std::vector<int64_t> delivered = Deliver(std::move(batch));
  if (!delivered.empty()) {
    DEALSTREAM_RETURN_IF_ERROR(store_.RemoveFromOutbox(delivered));
  }
  if (delivered.size() < size) {
    return absl::UnavailableError(
        fmt::format("{} of {} records were not acknowledged by Kafka; they are tried again",
                    size - delivered.size(),
                    size));
  }
  return size;
}

std::vector<int64_t> OutboxPublisher::Deliver(std::vector<OutboxRecord> batch) {
  auto reports = std::make_shared<Reports>();
  for (OutboxRecord& entry : batch) {
    {
      const std::lock_guard lock(reports->mutex);
      ++reports->missing;
    }
    const Status sent = producer_.Send(
        std::move(entry.record), [reports, seq = entry.seq](const Result<kafka::Position>& report) {
          const std::lock_guard lock(reports->mutex);
          if (report.ok()) {
            reports->delivered.push_back(seq);
          } else {
            reports->error = report.status();
          }
          if (--reports->missing == 0) {
            reports->all_in.notify_all();
          }
        });
    if (!sent.ok()) {
      const std::lock_guard lock(reports->mutex);
      --reports->missing;
      reports->error = sent;
    }
  }
  const absl::Time give_up = absl::Now() + options_.delivery_timeout;
  std::unique_lock lock(reports->mutex);
  while (reports->missing > 0 && absl::Now() < give_up) {
    reports->all_in.wait_for(lock, std::chrono::milliseconds(200));
    heartbeat_.Beat();
    lock.unlock();
    const bool is_over = [this] {
      const std::lock_guard own(mutex_);
      return stopping_ && absl::Now() >= give_up_at_;
    }();
    lock.lock();
    if (is_over) {
      break;
    }
  }
  if (!reports->error.ok()) {
    obs::Warn("outbox_delivery_failed", ToStd(reports->error.message()));
  }
  return std::exchange(reports->delivered, {});
}

}  // namespace dealstream::cabinet
