#include "services/crm-reader/notes.h"

#include <algorithm>
#include <utility>

namespace dealstream::reader {

const std::string* Notes::Find(std::string_view key, absl::Time now, absl::Duration at_most) {
  const auto found = std::find_if(
      entries_.begin(), entries_.end(), [key](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end() || now - found->noted_at > at_most) {
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, found);
  return &entries_.front().value;
}

void Notes::Put(std::string_view key, std::string value, absl::Time now) {
  const auto found = std::find_if(
      entries_.begin(), entries_.end(), [key](const Entry& entry) { return entry.key == key; });
  if (found != entries_.end()) {
    bytes_ -= found->key.size() + found->value.size();
    entries_.erase(found);
  }
  const size_t size = key.size() + value.size();
  if (size > options_.most_bytes) {
    return;
  }
  bytes_ += size;
  entries_.push_front({std::string(key), std::move(value), now});
  while (bytes_ > options_.most_bytes) {
    bytes_ -= entries_.back().key.size() + entries_.back().value.size();
    entries_.pop_back();
  }
}

}  // namespace dealstream::reader
