#include "services/crm-reader/cursors.h"

#include <fmt/format.h>

#include "libs/obs/log.h"
#include "services/crm-reader/proto_time.h"

namespace dealstream::reader {

std::string Cursors::Key(const raw::v1::PollTick& tick) {
  switch (tick.cause()) {
    case deal::v1::CAUSE_POLL:
      return fmt::format("{}/poll", tick.integration_id());
    case deal::v1::CAUSE_RECONCILIATION:
      return fmt::format("{}/reconciliation", tick.integration_id());
    default:
      return fmt::format("{}/{}", tick.integration_id(), tick.poll_id());
  }
}

void Cursors::Apply(const kafka::InRecord& record) {
  if (!record.value.has_value()) {
    std::lock_guard lock(mutex_);
    by_key_.erase(record.key);
    return;
  }
  raw::v1::PollProgress progress;
  if (!progress.ParseFromString(*record.value)) {
    obs::Error("cursor_unreadable",
               "a record of the cursor topic is no PollProgress; it is left out",
               {{"offset", record.offset}});
    return;
  }
  Put(record.key, progress);
}

void Cursors::Put(const std::string& key, const raw::v1::PollProgress& progress) {
  std::lock_guard lock(mutex_);
  auto [at, is_new] = by_key_.try_emplace(key, progress);
  // What we put ourselves is ahead of what the topic brings.
  if (!is_new && FromProto(progress.updated_at()) >= FromProto(at->second.updated_at())) {
    at->second = progress;
  }
}

std::optional<raw::v1::PollProgress> Cursors::Find(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    return std::nullopt;
  }
  return found->second;
}

}  // namespace dealstream::reader
