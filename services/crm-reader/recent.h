#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"

namespace dealstream::reader {

// The last so many values by a 64-bit hash of their key: at least `size` and at most twice as many
// of those put or found last. Forgetting is always safe for its users, so collisions (one in 10^13
// at this size) matter only where they would be taken for a hit. Not thread-safe.
template <typename Value>
class Recent {
 public:
  explicit Recent(size_t size) : size_(size) {}

  void Put(uint64_t key, Value value) {
    young_[key] = std::move(value);
    Age();
  }

  std::optional<Value> Find(uint64_t key) {
    auto found = young_.find(key);
    if (found != young_.end()) {
      return found->second;
    }
    found = old_.find(key);
    if (found == old_.end()) {
      return std::nullopt;
    }
    Value value = found->second;
    young_[key] = value;
    Age();
    return value;
  }

  void Erase(uint64_t key) {
    young_.erase(key);
    old_.erase(key);
  }

 private:
  void Age() {
    if (young_.size() >= size_) {
      old_ = std::move(young_);
      young_ = {};
    }
  }

  size_t size_;
  absl::flat_hash_map<uint64_t, Value> young_;
  absl::flat_hash_map<uint64_t, Value> old_;
};

}  // namespace dealstream::reader
