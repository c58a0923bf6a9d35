#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace dealstream::reader {

// Which offsets of one partition are done, and what may be committed: the lowest that isn't.
// Offsets are added in order and may have gaps (compaction, transaction markers). Not thread-safe.
class OffsetTracker {
 public:
  // REQUIRES: larger than every offset added before.
  void Add(int64_t offset);
  void Done(int64_t offset);

  // The next offset to be committed when it has moved since the last call; else nothing.
  std::optional<int64_t> TakeCommit();
  // As TakeCommit, but leaves it to be taken again: for a commit that failed.
  void CommitFailed() { committed_ = -1; }

  // Offsets that are not done, or done behind one that isn't.
  size_t open() const { return offsets_.size(); }
  // The largest offset added; -1 before the first.
  int64_t last() const { return next_ - 1; }

 private:
  // Offset and whether it is done; done ones at the front are dropped.
  std::map<int64_t, bool> offsets_;
  int64_t next_ = 0;
  int64_t committed_ = -1;
};

}  // namespace dealstream::reader
