#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace dealstream::kafka {
struct ClientConfig;
}

// The declared topics (deploy/topics.yaml) as data, and a cluster brought in line with them.
namespace dealstream::topics {

// One topic as declared, placeholders filled in. Name without the client's prefix.
struct Spec {
  std::string name;
  // What the key is, in words.
  std::string key;
  // Full name of the value's protobuf message.
  std::string value;
  int partitions = 0;
  int replication = 0;
  int min_insync_replicas = 0;
  bool compacted = false;
  // Zero for a compacted topic.
  absl::Duration retention;
  // max.message.bytes.
  int64_t max_bytes = 0;
  std::string owner;
  std::vector<std::string> writers;
  std::vector<std::string> readers;
  // For other teams.
  bool is_public = false;
  // Empty where the topic is for all CRMs.
  std::string crm;
};

// Reads the file and expands <crm> and <delay>. The error names the topic and key, what was found
// and what was expected; an unknown key is an error.
Result<std::vector<Spec>> Load(const std::string& path);
Result<std::vector<Spec>> Parse(std::string_view yaml);

// Null when there is none.
const Spec* Find(const std::vector<Spec>& specs, std::string_view name);

// Topic-level settings of a spec as Kafka names them.
std::map<std::string, std::string> Settings(const Spec& spec);

// ---- The cluster -----------------------------------------------------------------------------

// How a topic is found to be.
struct Found {
  int partitions = 0;
  int replication = 0;
  // Settings of the topic itself (not those inherited from the broker), as Kafka names them.
  std::map<std::string, std::string> settings;
};

struct Change {
  enum class Kind {
    kCreate,
    kAddPartitions,
    kSet,
    // Needs a hand: lowering, or what can't be changed in place.
    kRefused,
  };
  Kind kind = Kind::kCreate;
  std::string topic;
  // "partitions 6 -> 12", "retention.ms 604800000 -> 86400000".
  std::string what;
};

struct Policy {
  // Declared replication (and min.insync.replicas) are cut to this; 0: as declared.
  int replication_limit = 0;
  // Retention and message size may be lowered; partitions of keyed topics may grow. Partitions are
  // never lowered.
  bool allow_risky = false;
};

// What must change for the topics to be as declared. Pure.
std::vector<Change> Compare(const std::vector<Spec>& specs,
                            const std::map<std::string, Found>& found,
                            const Policy& policy);

// Topics of the cluster that bear the client's prefix, by short name.
Result<std::map<std::string, Found>> ReadCluster(const kafka::ClientConfig& client);

Result<std::vector<Change>> Diff(const kafka::ClientConfig& client,
                                 const std::vector<Spec>& specs,
                                 const Policy& policy);
// Brings the cluster in line; running it twice changes nothing more. Gives back what was done and
// what was refused.
Result<std::vector<Change>> Apply(const kafka::ClientConfig& client,
                                  const std::vector<Spec>& specs,
                                  const Policy& policy);

}  // namespace dealstream::topics
