#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/clock.h"
#include "libs/kafka/kafka.h"
#include "services/deal-normalizer/normalizer.h"
#include "services/deal-normalizer/state_store.h"

namespace dealstream::normalizer {

// Topics of one CRM's normalizer, without the prefix.
struct Topics {
  explicit Topics(std::string_view crm);
  std::string records;
  std::string state;
  std::string dead_letters;
  std::string deals = "deals.v1";
  std::string snapshots = "deals.snapshot.v1";
  std::string requests = "requests.v1";
};

// How one record ended; for the counters, once the batch is committed.
struct Ended {
  Outcome outcome;
  // "deal", "request" or "other".
  std::string_view kind;
  std::string reason;
  // Of a dead letter.
  std::string stage;
  // When the oldest notice came in; InfinitePast where there is none.
  absl::Time source_time;
};

// Records that become one transaction: decides about each against the state as the ones before it
// leave it, and gathers what is to be written. No I/O but reading the store. One thread.
class Batch {
 public:
  // All outlive it.
  Batch(std::string_view crm, Normalizer& normalizer, const StateStore& store, const Clock& clock);

  void Clear();

  // A failure means that the store can't be read: nothing more can be decided. `refused` not empty:
  // Kafka wouldn't take what became of this record; it ends as a dead letter for this reason.
  Status Add(const kafka::InRecord& in, std::string_view refused = "");

  size_t size() const { return ended_.size(); }
  const Topics& topics() const { return topics_; }

  // To be sent, in order; given away by TakeOutputs. The state records are the last ones, one for
  // each entity that changed.
  struct Output {
    kafka::OutRecord record;
    // Which record of the batch it came of; npos for state.
    size_t source = std::string::npos;
  };
  std::vector<Output> TakeOutputs();
  // Offsets of the input to be committed.
  kafka::Offsets NextOffsets() const;
  // For StateStore::Apply once committed.
  std::vector<kv::Write> TakeWrites();
  const std::vector<Ended>& ended() const { return ended_; }

 private:
  struct Pending {
    // Of writes_.
    size_t index = 0;
    int32_t partition = 0;
    kafka::Headers headers;
  };

  Decision Decide(const kafka::InRecord& in);
  void AddEvent(const kafka::InRecord& in, Decision& decision);
  void AddDeadLetter(const kafka::InRecord& in, const Decision& decision);
  void KeepState(const kafka::InRecord& in, Decision& decision);
  absl::Time EventTime(const kafka::InRecord& in) const;
  void AddFirstTraceparent(const kafka::InRecord& in, kafka::Headers& headers) const;

  const std::string crm_;
  const Topics topics_;
  Normalizer& normalizer_;
  const StateStore& store_;
  const Clock& clock_;

  raw::v1::Record record_;
  std::string entity_key_;
  std::string stored_;
  std::string traceparent_;
  std::string source_;

  std::vector<Output> outputs_;
  // What is to be kept; seen by the records that follow.
  std::vector<kv::Write> writes_;
  std::unordered_map<std::string, Pending> overlay_;
  std::map<int32_t, int64_t> next_;
  std::vector<Ended> ended_;
};

}  // namespace dealstream::normalizer
