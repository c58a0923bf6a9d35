#include <charconv>
#include <set>
#include <utility>

#include "fmt/format.h"
#include "yaml-cpp/yaml.h"

#include "libs/base/strings.h"
#include "libs/topics/topics.h"

namespace dealstream::topics {
namespace {

constexpr std::string_view kCrm = "<crm>";
constexpr std::string_view kDelay = "<delay>";
constexpr int kMostPartitions = 1000;

Status Bad(std::string_view topic,
           std::string_view key,
           std::string_view found,
           std::string_view want) {
  return absl::InvalidArgumentError(fmt::format(
      "topics: {}{}{}: found \"{}\", want {}", topic, topic.empty() ? "" : ": ", key, found, want));
}

std::string Replace(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// "2MiB", "512KiB", "100".
Result<int64_t> ParseBytes(const std::string& text) {
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  const int64_t factor = unit.empty()    ? 1
                         : unit == "KiB" ? int64_t{1} << 10
                         : unit == "MiB" ? int64_t{1} << 20
                         : unit == "GiB" ? int64_t{1} << 30
                                         : 0;
  if (error != std::errc() || number <= 0 || factor == 0) {
    return absl::InvalidArgumentError("a size, like 2MiB");
  }
  return number * factor;
}

// absl knows no days.
Result<absl::Duration> ParseRetention(const std::string& text) {
  int64_t days = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), days);
  if (error == std::errc() && days > 0 && std::string_view(rest) == "d") {
    return absl::Hours(24) * days;
  }
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("a time, like 7d or 12h");
  }
  return duration;
}

Status KnownKeys(const YAML::Node& node,
                 std::string_view topic,
                 const std::set<std::string>& known) {
  for (const auto& item : node) {
    const auto key = item.first.as<std::string>();
    if (!known.contains(key)) {
      return Bad(topic, "key", key, fmt::format("one of {}", fmt::join(known, ", ")));
    }
  }
  return absl::OkStatus();
}

// One topic's entry, or the defaults.
class Entry {
 public:
  Entry(const YAML::Node& node, const YAML::Node& defaults)
      : node_(node), defaults_(defaults), name_(Text("name")) {}

  const std::string& name() const { return name_; }

  std::string Text(const char* key) const {
    if (node_[key]) {
      return node_[key].as<std::string>();
    }
    return defaults_ && defaults_[key] ? defaults_[key].as<std::string>() : std::string();
  }

  std::vector<std::string> List(const char* key) const {
    return node_[key] ? node_[key].as<std::vector<std::string>>() : std::vector<std::string>();
  }

  Result<int> Number(const char* key) const {
    const std::string text = Text(key);
    int number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || rest != text.data() + text.size() || number < 1 ||
        number > kMostPartitions) {
      return Bad(name_, key, text, fmt::format("a number, 1 to {}", kMostPartitions));
    }
    return number;
  }

 private:
  const YAML::Node node_;
  const YAML::Node defaults_;
  const std::string name_;
};

Status ReadRetention(const Entry& entry, Spec& spec) {
  const std::string cleanup = entry.Text("cleanup");
  if (cleanup != "delete" && cleanup != "compact") {
    return Bad(spec.name, "cleanup", cleanup, "delete or compact");
  }
  spec.compacted = cleanup == "compact";
  const std::string retention = entry.Text("retention");
  if (spec.compacted) {
    return retention.empty() ? absl::OkStatus()
                             : Bad(spec.name, "retention", retention, "none: it is compacted");
  }
  const Result<absl::Duration> duration = ParseRetention(retention);
  if (!duration.ok()) {
    return Bad(spec.name, "retention", retention, ToStd(duration.status().message()));
  }
  spec.retention = *duration;
  return absl::OkStatus();
}

Result<Spec> ReadSpec(const Entry& entry) {
  Spec spec;
  spec.name = entry.name();
  spec.key = entry.Text("key");
  spec.value = entry.Text("value");
  spec.owner = entry.Text("owner");
  spec.writers = entry.List("writers");
  spec.readers = entry.List("readers");
  if (spec.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-<>") !=
          std::string::npos ||
      spec.name.empty()) {
    return Bad(spec.name, "name", spec.name, "lower case, digits, dots and dashes");
  }
  for (const auto& [key, text] : {std::pair("key", spec.key),
                                  std::pair("value", spec.value),
                                  std::pair("owner", spec.owner)}) {
    if (text.empty()) {
      return Bad(spec.name, key, text, "a text");
    }
  }
  DEALSTREAM_ASSIGN_OR_RETURN(spec.replication, entry.Number("replication"));
  DEALSTREAM_ASSIGN_OR_RETURN(spec.min_insync_replicas, entry.Number("min_insync_replicas"));
  if (entry.Text("partitions_of").empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(spec.partitions, entry.Number("partitions"));
  }
  DEALSTREAM_RETURN_IF_ERROR(ReadRetention(entry, spec));
  const Result<int64_t> bytes = ParseBytes(entry.Text("max_size"));
  if (!bytes.ok()) {
    return Bad(spec.name, "max_size", entry.Text("max_size"), ToStd(bytes.status().message()));
  }
  spec.max_bytes = *bytes;
  const std::string visibility = entry.Text("visibility");
  if (visibility != "public" && visibility != "internal") {
    return Bad(spec.name, "visibility", visibility, "public or internal");
  }
  spec.is_public = visibility == "public";
  return spec;
}

// Fills in the placeholders.
std::vector<Spec> Expand(const Spec& spec,
                         const std::vector<std::string>& crms,
                         const std::vector<std::string>& delays) {
  std::vector<Spec> made = {spec};
  const auto fill =
      [&made](std::string_view what, const std::vector<std::string>& values, bool is_crm) {
        std::vector<Spec> filled;
        for (const Spec& one : made) {
          if (one.name.find(what) == std::string::npos) {
            filled.push_back(one);
            continue;
          }
          for (const std::string& value : values) {
            Spec& added = filled.emplace_back(one);
            added.name = Replace(one.name, what, value);
            if (is_crm) {
              added.crm = value;
            }
          }
        }
        made = std::move(filled);
      };
  fill(kCrm, crms, true);
  fill(kDelay, delays, false);
  return made;
}

struct File {
  YAML::Node root;
  std::vector<std::string> crms;
  std::vector<std::string> delays;
};

Result<std::vector<Spec>> ReadTopics(const File& file) {
  static const std::set<std::string> kKeys = {"name",
                                              "key",
                                              "value",
                                              "partitions",
                                              "partitions_of",
                                              "replication",
                                              "min_insync_replicas",
                                              "owner",
                                              "writers",
                                              "readers",
                                              "visibility",
                                              "cleanup",
                                              "retention",
                                              "max_size"};
  std::map<std::string, int> partitions;
  std::vector<Spec> specs;
  std::set<std::string> seen;
  for (const YAML::Node& node : file.root["topics"]) {
    const Entry entry(node, file.root["defaults"]);
    DEALSTREAM_RETURN_IF_ERROR(KnownKeys(node, entry.name(), kKeys));
    DEALSTREAM_ASSIGN_OR_RETURN(Spec spec, ReadSpec(entry));
    if (const std::string of = entry.Text("partitions_of"); !of.empty()) {
      if (!partitions.contains(of)) {
        return Bad(spec.name, "partitions_of", of, "a topic declared before this one");
      }
      spec.partitions = partitions[of];
    }
    partitions[spec.name] = spec.partitions;
    for (Spec& made : Expand(spec, file.crms, file.delays)) {
      if (!seen.insert(made.name).second) {
        return Bad(made.name, "name", made.name, "each name once");
      }
      specs.push_back(std::move(made));
    }
  }
  return specs;
}

Result<std::vector<Spec>> FromYaml(const YAML::Node& root) {
  DEALSTREAM_RETURN_IF_ERROR(KnownKeys(root, "", {"crms", "delays", "defaults", "topics"}));
  File file{root, {}, {}};
  if (root["crms"]) {
    file.crms = root["crms"].as<std::vector<std::string>>();
  }
  if (root["delays"]) {
    file.delays = root["delays"].as<std::vector<std::string>>();
  }
  DEALSTREAM_RETURN_IF_ERROR(
      KnownKeys(root["defaults"],
                "defaults",
                {"partitions", "replication", "min_insync_replicas", "visibility", "max_size"}));
  return ReadTopics(file);
}

}  // namespace

Result<std::vector<Spec>> Parse(std::string_view yaml) {
  try {
    return FromYaml(YAML::Load(std::string(yaml)));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(fmt::format("topics: {}", error.what()));
  }
}

Result<std::vector<Spec>> Load(const std::string& path) {
  try {
    return FromYaml(YAML::LoadFile(path));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(fmt::format("topics: {}: {}", path, error.what()));
  }
}

const Spec* Find(const std::vector<Spec>& specs, std::string_view name) {
  for (const Spec& spec : specs) {
    if (spec.name == name) {
      return &spec;
    }
  }
  return nullptr;
}

std::map<std::string, std::string> Settings(const Spec& spec) {
  std::map<std::string, std::string> settings = {
      {"cleanup.policy", spec.compacted ? "compact" : "delete"},
      {"max.message.bytes", std::to_string(spec.max_bytes)},
      {"min.insync.replicas", std::to_string(spec.min_insync_replicas)},
      {"unclean.leader.election.enable", "false"},
      {"compression.type", "producer"},
  };
  if (!spec.compacted) {
    settings["retention.ms"] = std::to_string(absl::ToInt64Milliseconds(spec.retention));
  }
  return settings;
}

}  // namespace dealstream::topics
