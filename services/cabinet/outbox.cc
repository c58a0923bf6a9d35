#include "services/cabinet/outbox.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include <prometheus/gauge.h>

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
  std::map<int64_t, Status> failed;
};

// Whether trying again is of no use until somebody mends something.
bool IsRefused(const Status& status) {
  switch (DispositionOf(status)) {
    case Disposition::kDone:
    case Disposition::kRetry:
    case Disposition::kSlowDown:
    case Disposition::kStop:
      return false;
    default:
      return true;
  }
}

}  // namespace

OutboxPublisher::OutboxPublisher(Options options,
                                 Store& store,
                                 kafka::Producer& producer,
                                 obs::Health& health,
                                 obs::Metrics& metrics)
    : options_(options),
      store_(store),
      producer_(producer),
      heartbeat_(health.AddLoop("outbox")),
      refused_(metrics.GetGauge("outbox_refused_records")),
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
    const Result<size_t> tried = PublishOnce();
    if (!tried.ok()) {
      obs::Error("outbox_stuck", ToStd(tried.status().message()));
    }
    if (tried.ok() && *tried > 0) {
      const std::lock_guard lock(mutex_);
      go_on = absl::Now() < give_up_at_;
      continue;
    }
    go_on = Pause(options_.pause);
    // A record that came together with the signal to stop.
    const auto failed = static_cast<int64_t>(failed_.size());
    if (!go_on && tried.ok() && store_.Figures().value_or(OutboxFigures{}).records > failed) {
      const std::lock_guard lock(mutex_);
      go_on = absl::Now() < give_up_at_;
    }
    if (go_on) {
      ForgetFailures();
    }
  }
  const std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

Result<size_t> OutboxPublisher::PublishOnce() {
  const int64_t most = options_.batch + static_cast<int64_t>(failed_.size());
  DEALSTREAM_ASSIGN_OR_RETURN(std::vector<OutboxRecord> heads, store_.OutboxHeads(most));
  std::erase_if(heads, [this](const OutboxRecord& head) { return failed_.contains(head.seq); });
  if (heads.size() > static_cast<size_t>(options_.batch)) {
    heads.resize(static_cast<size_t>(options_.batch));
  }
  if (heads.empty()) {
    return 0;
  }
  const Delivery delivery = Deliver(heads);
  for (const OutboxRecord& head : heads) {
    const auto failed = delivery.failed.find(head.seq);
    if (failed != delivery.failed.end()) {
      Remember(head, failed->second);
    }
  }
  if (!delivery.acknowledged.empty()) {
    DEALSTREAM_RETURN_IF_ERROR(store_.RemoveFromOutbox(delivery.acknowledged));
  }
  return heads.size();
}

void OutboxPublisher::Remember(const OutboxRecord& head, const Status& status) {
  const bool refused = IsRefused(status);
  failed_[head.seq] = {absl::Now() + (refused ? options_.refused_pause : options_.pause), refused};
  if (refused) {
    refused_.Increment();
    obs::Error("outbox_record_refused",
               "Kafka refuses a record; what follows it under its key waits",
               {{"topic", head.record.topic},
                {"key", head.record.key},
                {"seq", head.seq},
                {"reason", ReasonOf(status)}});
  } else {
    obs::Warn("outbox_delivery_failed", ToStd(status.message()));
  }
}

void OutboxPublisher::ForgetFailures() {
  const absl::Time now = absl::Now();
  std::erase_if(failed_, [&](const auto& entry) {
    const bool is_over = entry.second.until <= now;
    refused_.Decrement(is_over && entry.second.refused ? 1 : 0);
    return is_over;
  });
}

OutboxPublisher::Delivery OutboxPublisher::Deliver(std::vector<OutboxRecord> batch) {
  std::vector<int64_t> seqs;
  auto reports = std::make_shared<Reports>();
  for (OutboxRecord& entry : batch) {
    {
      const std::lock_guard lock(reports->mutex);
      ++reports->missing;
    }
    seqs.push_back(entry.seq);
    const Status sent = producer_.Send(
        std::move(entry.record), [reports, seq = entry.seq](const Result<kafka::Position>& report) {
          const std::lock_guard lock(reports->mutex);
          if (report.ok()) {
            reports->delivered.push_back(seq);
          } else {
            reports->failed[seq] = report.status();
          }
          if (--reports->missing == 0) {
            reports->all_in.notify_all();
          }
        });
    if (!sent.ok()) {
      const std::lock_guard lock(reports->mutex);
      --reports->missing;
      reports->failed[entry.seq] = sent;
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
  Delivery delivery{std::exchange(reports->delivered, {}), std::exchange(reports->failed, {})};
  for (const int64_t seq : seqs) {
    const auto& acknowledged = delivery.acknowledged;
    if (std::find(acknowledged.begin(), acknowledged.end(), seq) == acknowledged.end()) {
      delivery.failed.try_emplace(seq, absl::DeadlineExceededError("Kafka has not answered"));
    }
  }
  return delivery;
}

}  // namespace dealstream::cabinet
