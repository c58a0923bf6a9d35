#include "services/crm-reader/outbox.h"

#include <utility>

#include "libs/obs/log.h"

namespace dealstream::reader {
namespace {

constexpr absl::Duration kAgainAfter = absl::Milliseconds(500);

bool IsPassing(const Status& status) {
  Disposition disposition = DispositionOf(status);
  return disposition != Disposition::kDone && disposition != Disposition::kDeadLetter;
}

}  // namespace

void Outbox::Send(kafka::OutRecord record, Done done) {
  auto entry = std::make_shared<Entry>(Entry{std::move(record), std::move(done)});
  {
    std::lock_guard lock(mutex_);
    ++pending_;
  }
  Try(entry);
}

void Outbox::Try(const std::shared_ptr<Entry>& entry) {
  Status status = producer_.Send(
      entry->record,
      [this, entry](const Result<kafka::Position>& result) { Finish(entry, result); });
  if (!status.ok()) {
    Finish(entry, status);
  }
}

void Outbox::Finish(const std::shared_ptr<Entry>& entry, const Result<kafka::Position>& result) {
  if (!result.ok() && IsPassing(result.status())) {
    obs::Warn("produce_failed",
              "the broker did not take a record; it is sent again",
              {{"topic", entry->record.topic}, {"reason", ReasonOf(result.status())}});
    std::lock_guard lock(mutex_);
    again_.emplace_back(clock_.Now() + kAgainAfter, entry);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    --pending_;
  }
  entry->done(result);
}

void Outbox::Tick() {
  while (true) {
    std::shared_ptr<Entry> entry;
    {
      std::lock_guard lock(mutex_);
      if (again_.empty() || again_.front().first > clock_.Now()) {
        return;
      }
      entry = std::move(again_.front().second);
      again_.pop_front();
    }
    Try(entry);
  }
}

size_t Outbox::pending() const {
  std::lock_guard lock(mutex_);
  return pending_;
}

}  // namespace dealstream::reader
