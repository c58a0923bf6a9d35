#include "services/crm-reader/offset_tracker.h"

namespace dealstream::reader {

void OffsetTracker::Add(int64_t offset) {
  offsets_.emplace_hint(offsets_.end(), offset, false);
  next_ = offset + 1;
}

void OffsetTracker::Done(int64_t offset) {
  auto found = offsets_.find(offset);
  if (found == offsets_.end()) {
    return;
  }
  found->second = true;
  while (!offsets_.empty() && offsets_.begin()->second) {
    offsets_.erase(offsets_.begin());
  }
}

std::optional<int64_t> OffsetTracker::TakeCommit() {
  int64_t position = offsets_.empty() ? next_ : offsets_.begin()->first;
  if (position == 0 || position == committed_) {
    return std::nullopt;
  }
  committed_ = position;
  return position;
}

}  // namespace dealstream::reader
