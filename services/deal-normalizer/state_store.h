#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"
#include "libs/kv/key_value.h"

namespace dealstream::normalizer {

// What is known of each entity, by partition: a cache of the state topic and nothing more. Holds,
// with the entities and in one write, how far in the topic it has come. Keys:
//   's' partition(4, big endian) entity id   EntityState
//   'c' partition(4, big endian)             next offset of the state topic (8, big endian)
// Thread-safe for different partitions.
class StateStore {
 public:
  explicit StateStore(std::unique_ptr<kv::Store> store) : store_(std::move(store)) {}

  static std::string EntityKey(int32_t partition, std::string_view entity_id);

  // By EntityKey. False: nothing is known. `state` is the caller's so that its memory is used
  // again.
  Result<bool> Get(std::string_view entity_key, std::string& state) const {
    return store_->Get(entity_key, state);
  }
  // The next offset of the state topic to be read; absent when nothing is kept.
  Result<std::optional<int64_t>> Checkpoint(int32_t partition) const;

  // Keys by EntityKey. All or nothing.
  Status Apply(std::vector<kv::Write> entities, const std::vector<kafka::Position>& checkpoints);

  // Forgets a partition whole.
  Status Forget(int32_t partition);

  int64_t EstimateKeys() const { return store_->EstimateKeys(); }

 private:
  const std::unique_ptr<kv::Store> store_;
};

}  // namespace dealstream::normalizer
