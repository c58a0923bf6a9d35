#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/kafka/kafka.h"

namespace dealstream::reader {

// How far each pass of polling has come, from `crm.cursor.<crm>`. Thread-safe.
class Cursors {
 public:
  // "<integration>/<cause>" for sweeps: one pass follows another and hands on its cursor;
  // "<integration>/<poll_id>" for a backfill.
  static std::string Key(const raw::v1::PollTick& tick);

  // A record of the topic.
  void Apply(const kafka::InRecord& record);
  // What has just become durable; doesn't wait for the topic to bring it back.
  void Put(const std::string& key, const raw::v1::PollProgress& progress);
  std::optional<raw::v1::PollProgress> Find(const std::string& key) const;

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, raw::v1::PollProgress> by_key_;
};

}  // namespace dealstream::reader
