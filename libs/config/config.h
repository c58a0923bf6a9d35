#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace dealstream::config {

// A size in bytes; written "16MiB", "512KiB", "100".
struct Bytes {
  int64_t value = 0;
};

// The keys of a service's configuration: name ("kafka.brokers"), target, help, bounds. The value a
// target has when it is added is the default. One YAML file gives values by nested maps; the
// environment overrides ("kafka.brokers" by DEALSTREAM_KAFKA_BROKERS). Secrets are given as paths
// of files only. Targets outlive the schema. Not thread-safe.
class Schema {
 public:
  // A text; `required` ones may not be empty.
  void Add(std::string_view key, std::string* target, std::string_view help, bool required = false);
  void Add(std::string_view key, bool* target, std::string_view help);
  void Add(
      std::string_view key, int64_t* target, int64_t least, int64_t most, std::string_view help);
  // Written "250ms", "30s", "5m", "1h".
  void Add(std::string_view key,
           absl::Duration* target,
           absl::Duration least,
           absl::Duration most,
           std::string_view help);
  void Add(std::string_view key, Bytes* target, Bytes least, Bytes most, std::string_view help);
  void Add(std::string_view key, std::vector<std::string>* target, std::string_view help);

  // Reads the file (empty path: none) and the environment into the targets. The error names the
  // file, line and key, what was found and what was expected; an unknown key is an error, in the
  // file and, with the prefix DEALSTREAM_, in the environment.
  Status Load(const std::string& path, const std::map<std::string, std::string>& environment);

  // Key, value as text in force; for the log line at start.
  std::vector<std::pair<std::string, std::string>> Effective() const;
  // A reference of all keys: name, type, default, bounds, help; for --help and READMEs.
  // `environment`: and what overrides it there, for programs that give Load their environment.
  std::string Describe(bool environment = true) const;

 private:
  struct Key {
    std::string name;
    std::string type;
    std::string default_text;
    std::string bounds;
    std::string help;
    bool required;
    // Reads text into the target; the message says what was expected.
    std::function<Status(const std::vector<std::string>& values)> set;
    std::function<std::string()> get;
  };
  void AddKey(Key key);
  Status Check() const;

  std::vector<Key> keys_;
};

// The process's environment.
std::map<std::string, std::string> Environment();

}  // namespace dealstream::config
