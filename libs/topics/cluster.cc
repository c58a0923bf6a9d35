#include <algorithm>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"

#include "libs/kafka/admin.h"
#include "libs/kafka/kafka.h"
#include "libs/topics/topics.h"

namespace dealstream::topics {
namespace {

// A new topic is known to all brokers within seconds.
constexpr absl::Duration kThereLimit = absl::Seconds(60);

using TopicSettings = std::map<std::string, std::string>;

Spec Limited(Spec spec, const Policy& policy) {
  if (policy.replication_limit > 0) {
    spec.replication = std::min(spec.replication, policy.replication_limit);
    spec.min_insync_replicas = std::min(spec.min_insync_replicas, spec.replication);
  }
  return spec;
}

int64_t ToNumber(const std::string& text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Lowering a limit loses records, or refuses what was taken before. The broker's own isn't known
// here, so setting one over it may lower it.
bool MayLowerLimit(const Found& found, const std::string& key, const std::string& to) {
  if (key != "retention.ms" && key != "max.message.bytes") {
    return false;
  }
  const auto from = found.settings.find(key);
  if (from == found.settings.end()) {
    return true;
  }
  const int64_t before = ToNumber(from->second);
  // A retention of -1 is for ever.
  return before < 0 || ToNumber(to) < before;
}

void ComparePartitions(const Spec& spec,
                       const Found& found,
                       const Policy& policy,
                       std::vector<Change>& changes) {
  if (found.partitions == spec.partitions) {
    return;
  }
  const std::string what = fmt::format("partitions {} -> {}", found.partitions, spec.partitions);
  if (found.partitions < spec.partitions && policy.allow_risky) {
    changes.push_back({Change::Kind::kAddPartitions, spec.name, what});
    return;
  }
  const std::string_view why = found.partitions > spec.partitions
                                   ? "partitions can't be taken away"
                                   : "keys would move to other partitions";
  changes.push_back({Change::Kind::kRefused, spec.name, fmt::format("{} ({})", what, why)});
}

void CompareSettings(const Spec& spec,
                     const Found& found,
                     const Policy& policy,
                     std::vector<Change>& changes) {
  for (const auto& [key, value] : Settings(spec)) {
    const auto present = found.settings.find(key);
    if (present != found.settings.end() && present->second == value) {
      continue;
    }
    const std::string from = present == found.settings.end() ? "(broker's)" : present->second;
    const std::string what = fmt::format("{} {} -> {}", key, from, value);
    if (MayLowerLimit(found, key, value) && !policy.allow_risky) {
      changes.push_back(
          {Change::Kind::kRefused, spec.name, fmt::format("{} (may lower it)", what)});
    } else {
      changes.push_back({Change::Kind::kSet, spec.name, what});
    }
  }
}

// What the topic's own settings become: those found, with those declared over them.
TopicSettings Merged(const Spec& spec, const Found& found, const Policy& policy) {
  TopicSettings settings = found.settings;
  for (const auto& [key, value] : Settings(spec)) {
    if (!MayLowerLimit(found, key, value) || policy.allow_risky) {
      settings[key] = value;
    }
  }
  return settings;
}

Status ApplyOne(kafka::Admin& admin,
                const std::string& full_name,
                const Spec& spec,
                const std::map<std::string, Found>& found,
                const Policy& policy) {
  const auto present = found.find(spec.name);
  if (present == found.end()) {
    const Status status =
        admin.CreateTopic(full_name, {spec.partitions, spec.replication, Settings(spec)});
    // Another one was quicker.
    return ReasonOf(status) == "kafka_topic_already_exists" ? absl::OkStatus() : status;
  }
  std::vector<Change> settings;
  CompareSettings(spec, present->second, policy, settings);
  const bool set = std::any_of(settings.begin(), settings.end(), [](const Change& change) {
    return change.kind == Change::Kind::kSet;
  });
  if (set) {
    DEALSTREAM_RETURN_IF_ERROR(
        admin.ReplaceSettings(full_name, Merged(spec, present->second, policy)));
  }
  if (present->second.partitions < spec.partitions && policy.allow_risky) {
    return admin.AddPartitions(full_name, spec.partitions);
  }
  return absl::OkStatus();
}

Result<std::map<std::string, Found>> ReadFrom(kafka::Admin& admin, const std::string& prefix) {
  DEALSTREAM_ASSIGN_OR_RETURN(auto listed, admin.List());
  std::map<std::string, Found> found;
  for (auto& [name, topic] : listed) {
    if (name.compare(0, prefix.size(), prefix) == 0) {
      found.emplace(name.substr(prefix.size()),
                    Found{topic.partitions, topic.replication, std::move(topic.settings)});
    }
  }
  return found;
}

// A controller takes a topic before the brokers know it.
Status WaitUntilThere(const kafka::ClientConfig& client, const std::vector<Spec>& specs) {
  std::vector<std::string> names;
  for (const Spec& spec : specs) {
    names.push_back(spec.name);
  }
  const absl::Time limit = absl::Now() + kThereLimit;
  while (true) {
    const Status there = kafka::PartitionCounts(client, names).status();
    if (there.ok() || absl::Now() >= limit) {
      return there;
    }
    absl::SleepFor(absl::Milliseconds(200));
  }
}

}  // namespace

std::vector<Change> Compare(const std::vector<Spec>& specs,
                            const std::map<std::string, Found>& found,
                            const Policy& policy) {
  std::vector<Change> changes;
  for (const Spec& declared : specs) {
    const Spec spec = Limited(declared, policy);
    const auto present = found.find(spec.name);
    if (present == found.end()) {
      changes.push_back({Change::Kind::kCreate,
                         spec.name,
                         fmt::format("{} partitions, replication {}, {}",
                                     spec.partitions,
                                     spec.replication,
                                     spec.compacted ? "compacted" : "deleted by age")});
      continue;
    }
    ComparePartitions(spec, present->second, policy, changes);
    if (present->second.replication != spec.replication) {
      changes.push_back({Change::Kind::kRefused,
                         spec.name,
                         fmt::format("replication {} -> {} (needs a reassignment)",
                                     present->second.replication,
                                     spec.replication)});
    }
    CompareSettings(spec, present->second, policy, changes);
  }
  return changes;
}

Result<std::map<std::string, Found>> ReadCluster(const kafka::ClientConfig& client) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto admin, kafka::Admin::Create(client));
  return ReadFrom(*admin, client.topic_prefix);
}

Result<std::vector<Change>> Diff(const kafka::ClientConfig& client,
                                 const std::vector<Spec>& specs,
                                 const Policy& policy) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto found, ReadCluster(client));
  return Compare(specs, found, policy);
}

Result<std::vector<Change>> Apply(const kafka::ClientConfig& client,
                                  const std::vector<Spec>& specs,
                                  const Policy& policy) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto admin, kafka::Admin::Create(client));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto found, ReadFrom(*admin, client.topic_prefix));
  for (const Spec& spec : specs) {
    DEALSTREAM_RETURN_IF_ERROR(
        ApplyOne(*admin, client.topic_prefix + spec.name, Limited(spec, policy), found, policy));
  }
  DEALSTREAM_RETURN_IF_ERROR(WaitUntilThere(client, specs));
  return Compare(specs, found, policy);
}

}  // namespace dealstream::topics
