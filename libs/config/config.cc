#include "libs/config/config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include <fmt/format.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include "libs/base/strings.h"

namespace dealstream::config {
namespace {

constexpr std::string_view kEnvironmentPrefix = "DEALSTREAM_";

// Where a value was found, for errors: "/etc/x.yaml:12" or "environment DEALSTREAM_X".
struct Found {
  std::string where;
  bool is_list = false;
  std::vector<std::string> values;
};

struct Unit {
  std::string_view name;
  int64_t bytes;
};
// The largest first.
constexpr std::array<Unit, 4> kUnits = {
    Unit{"TiB", int64_t{1} << 40},
    Unit{"GiB", int64_t{1} << 30},
    Unit{"MiB", int64_t{1} << 20},
    Unit{"KiB", int64_t{1} << 10},
};

std::string FormatBytes(int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) {
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
    }
  }
  return fmt::format("{}", bytes);
}

std::optional<int64_t> ParseBytes(std::string_view text) {
  int64_t factor = 1;
  for (const Unit& unit : kUnits) {
    if (text.ends_with(unit.name)) {
      factor = unit.bytes;
      text.remove_suffix(unit.name.size());
      break;
    }
  }
  int64_t number = 0;
  if (!absl::SimpleAtoi(ToAbsl(text), &number) || number < 0 || number > INT64_MAX / factor) {
    return std::nullopt;
  }
  return number * factor;
}

std::string Join(const std::vector<std::string>& values, std::string_view separator) {
  return fmt::format("{}", fmt::join(values, separator));
}

// The words of an error about one value; the caller adds where and which key.
Status Expected(std::string_view found, std::string_view expected) {
  return absl::InvalidArgumentError(fmt::format("found \"{}\", expected {}", found, expected));
}

// Levenshtein's distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// "did you mean …" when a name is near, else all names.
std::string Hint(std::string_view unknown, const std::vector<std::string>& known) {
  std::string nearest;
  size_t least = unknown.size();
  for (const std::string& name : known) {
    const size_t distance = Distance(unknown, name);
    if (distance < least) {
      least = distance;
      nearest = name;
    }
  }
  if (!nearest.empty() && least <= std::max<size_t>(2, unknown.size() / 3)) {
    return fmt::format("did you mean \"{}\"?", nearest);
  }
  return fmt::format("known keys: {}", Join(known, ", "));
}

std::string EnvironmentName(std::string_view key) {
  std::string name(kEnvironmentPrefix);
  for (const char c : key) {
    name += c == '.' || c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<int>(c)));
  }
  return name;
}

// The file as a flat map from dotted key to value.
class FileReader {
 public:
  FileReader(std::string path, const std::vector<std::string>& known)
      : path_(std::move(path)), known_(known) {}

  // Throws what yaml-cpp throws.
  Status Read() {
    const YAML::Node root = YAML::LoadFile(path_);
    if (root.IsNull()) {
      return absl::OkStatus();
    }
    if (!root.IsMap()) {
      return absl::InvalidArgumentError(
          fmt::format("{}: expected a map of keys at the top", Where(root)));
    }
    return ReadMap(root, "");
  }

  std::map<std::string, Found> TakeValues() { return std::move(values_); }

 private:
  std::string Where(const YAML::Node& node) const {
    return fmt::format("{}:{}", path_, node.Mark().line + 1);
  }

  Status ReadMap(const YAML::Node& map, const std::string& prefix) {
    for (const auto& entry : map) {
      const std::string key = prefix + entry.first.as<std::string>();
      DEALSTREAM_RETURN_IF_ERROR(ReadValue(key, entry.first, entry.second));
    }
    return absl::OkStatus();
  }

  Status ReadValue(const std::string& key, const YAML::Node& name, const YAML::Node& value) {
    const bool is_key = std::find(known_.begin(), known_.end(), key) != known_.end();
    const bool is_section = std::any_of(
        known_.begin(), known_.end(), [&key](const auto& k) { return k.starts_with(key + "."); });
    if (!is_key && is_section && (value.IsMap() || value.IsNull())) {
      return value.IsMap() ? ReadMap(value, key + ".") : absl::OkStatus();
    }
    if (!is_key) {
      return absl::InvalidArgumentError(
          fmt::format("{}: unknown key \"{}\"; {}", Where(name), key, Hint(key, known_)));
    }
    Found found{.where = Where(name), .is_list = value.IsSequence(), .values = {}};
    if (value.IsSequence()) {
      for (const YAML::Node& item : value) {
        if (!item.IsScalar()) {
          return absl::InvalidArgumentError(
              fmt::format("{}: \"{}\": expected a list of plain values", Where(item), key));
        }
        found.values.push_back(item.Scalar());
      }
    } else if (value.IsScalar()) {
      found.values.push_back(value.Scalar());
    } else {
      return absl::InvalidArgumentError(fmt::format("{}: \"{}\": found {}, expected a value",
                                                    found.where,
                                                    key,
                                                    value.IsMap() ? "a map" : "nothing"));
    }
    const auto [old, inserted] = values_.emplace(key, std::move(found));
    if (!inserted) {
      return absl::InvalidArgumentError(
          fmt::format("{}: \"{}\": given twice, first at {}", Where(name), key, old->second.where));
    }
    return absl::OkStatus();
  }

  std::string path_;
  const std::vector<std::string>& known_;
  std::map<std::string, Found> values_;
};

Result<std::map<std::string, Found>> ReadFile(const std::string& path,
                                              const std::vector<std::string>& known) {
  FileReader reader(path, known);
  try {
    DEALSTREAM_RETURN_IF_ERROR(reader.Read());
  } catch (const YAML::BadFile&) {
    return absl::InvalidArgumentError(fmt::format("{}: the file can't be read", path));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        fmt::format("{}:{}: not YAML: {}", path, error.mark.line + 1, error.msg));
  }
  return reader.TakeValues();
}

struct EnvironmentKey {
  std::string key;
  bool is_list = false;
};

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    items.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

// The values that variables with our prefix give, by key.
Result<std::map<std::string, Found>> FromEnvironment(
    const std::map<std::string, std::string>& environment,
    const std::map<std::string, EnvironmentKey>& known) {
  std::map<std::string, Found> values;
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kEnvironmentPrefix)) {
      continue;
    }
    const auto key = known.find(name);
    if (key == known.end()) {
      std::vector<std::string> names;
      names.reserve(known.size());
      for (const auto& [known_name, unused] : known) {
        names.push_back(known_name);
      }
      return absl::InvalidArgumentError(
          fmt::format("environment: unknown key \"{}\"; {}", name, Hint(name, names)));
    }
    const bool is_list = key->second.is_list;
    values[key->second.key] = {
        .where = fmt::format("environment {}", name),
        .is_list = is_list,
        .values = is_list ? SplitList(value) : std::vector<std::string>{value}};
  }
  return values;
}

}  // namespace

void Schema::AddKey(Key key) {
  for (const Key& other : keys_) {
    if (other.name == key.name || EnvironmentName(other.name) == EnvironmentName(key.name)) {
      fmt::print(stderr, "config: the key \"{}\" is declared twice\n", key.name);
      std::abort();
    }
  }
  key.default_text = key.get();
  keys_.push_back(std::move(key));
}

void Schema::Add(std::string_view key, std::string* target, std::string_view help, bool required) {
  AddKey({.name = std::string(key),
          .type = "text",
          .default_text = "",
          .bounds = "",
          .help = std::string(help),
          .required = required,
          .set =
              [target](const std::vector<std::string>& values) {
                *target = values.at(0);
                return absl::OkStatus();
              },
          .get = [target] { return *target; }});
}

void Schema::Add(std::string_view key, bool* target, std::string_view help) {
  AddKey({.name = std::string(key),
          .type = "boolean",
          .default_text = "",
          .bounds = "true or false",
          .help = std::string(help),
          .required = false,
          .set = [target](const std::vector<std::string>& values) -> Status {
            if (values.at(0) != "true" && values.at(0) != "false") {
              return Expected(values.at(0), "true or false");
            }
            *target = values.at(0) == "true";
            return absl::OkStatus();
          },
          .get = [target] { return std::string(*target ? "true" : "false"); }});
}

void Schema::Add(
    std::string_view key, int64_t* target, int64_t least, int64_t most, std::string_view help) {
  const std::string bounds = fmt::format("{} to {}", least, most);
  AddKey({.name = std::string(key),
          .type = "number",
          .default_text = "",
          .bounds = bounds,
          .help = std::string(help),
          .required = false,
          .set = [target, least, most, bounds](const std::vector<std::string>& values) -> Status {
            int64_t number = 0;
            if (!absl::SimpleAtoi(values.at(0), &number) || number < least || number > most) {
              return Expected(values.at(0), fmt::format("a whole number, {}", bounds));
            }
            *target = number;
            return absl::OkStatus();
          },
          .get = [target] { return fmt::format("{}", *target); }});
}

void Schema::Add(std::string_view key,
                 absl::Duration* target,
                 absl::Duration least,
                 absl::Duration most,
                 std::string_view help) {
  const std::string bounds = fmt::format("{} to {}", FormatDuration(least), FormatDuration(most));
  AddKey(
      {.name = std::string(key),
       .type = "duration",
       .default_text = "",
       .bounds = bounds,
       .help = std::string(help),
       .required = false,
       .set = [target, least, most, bounds](const std::vector<std::string>& values) -> Status {
         absl::Duration duration;
         if (!absl::ParseDuration(values.at(0), &duration) || duration < least || duration > most) {
           return Expected(values.at(0),
                           fmt::format("a duration with a unit (250ms, 30s, 5m, 1h), {}", bounds));
         }
         *target = duration;
         return absl::OkStatus();
       },
       .get = [target] { return FormatDuration(*target); }});
}

void Schema::Add(
    std::string_view key, Bytes* target, Bytes least, Bytes most, std::string_view help) {
  const std::string bounds =
      fmt::format("{} to {}", FormatBytes(least.value), FormatBytes(most.value));
  AddKey({.name = std::string(key),
          .type = "size",
          .default_text = "",
          .bounds = bounds,
          .help = std::string(help),
          .required = false,
          .set = [target, least, most, bounds](const std::vector<std::string>& values) -> Status {
            const std::optional<int64_t> bytes = ParseBytes(values.at(0));
            if (!bytes || *bytes < least.value || *bytes > most.value) {
              return Expected(values.at(0),
                              fmt::format("a size (100, 512KiB, 16MiB, 1GiB), {}", bounds));
            }
            target->value = *bytes;
            return absl::OkStatus();
          },
          .get = [target] { return FormatBytes(target->value); }});
}

void Schema::Add(std::string_view key, std::vector<std::string>* target, std::string_view help) {
  AddKey({.name = std::string(key),
          .type = "list",
          .default_text = "",
          .bounds = "",
          .help = std::string(help),
          .required = false,
          .set =
              [target](const std::vector<std::string>& values) {
                *target = values;
                return absl::OkStatus();
              },
          .get = [target] { return Join(*target, ","); }});
}

Status Schema::Load(const std::string& path,
                    const std::map<std::string, std::string>& environment) {
  std::vector<std::string> known;
  known.reserve(keys_.size());
  std::map<std::string, EnvironmentKey> by_environment;
  for (const Key& key : keys_) {
    known.push_back(key.name);
    by_environment[EnvironmentName(key.name)] = {.key = key.name, .is_list = key.type == "list"};
  }

  std::map<std::string, Found> values;
  if (!path.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(values, ReadFile(path, known));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(auto overrides, FromEnvironment(environment, by_environment));
  for (auto& [key, found] : overrides) {
    values[key] = std::move(found);
  }
  for (const Key& key : keys_) {
    const auto found = values.find(key.name);
    if (found == values.end()) {
      continue;
    }
    const bool wants_list = key.type == "list";
    if (found->second.is_list != wants_list) {
      return absl::InvalidArgumentError(fmt::format("{}: \"{}\": found {}, expected {}",
                                                    found->second.where,
                                                    key.name,
                                                    wants_list ? "one value" : "a list",
                                                    wants_list ? "a list" : "one value"));
    }
    DEALSTREAM_RETURN_IF_ERROR(Annotate(key.set(found->second.values),
                                        fmt::format("{}: \"{}\"", found->second.where, key.name)));
  }
  return Annotate(Check(), path.empty() ? "configuration" : path);
}

Status Schema::Check() const {
  for (const Key& key : keys_) {
    if (key.required && key.get().empty()) {
      return absl::InvalidArgumentError(
          fmt::format("\"{}\": must be given (or {} in the environment): {}",
                      key.name,
                      EnvironmentName(key.name),
                      key.help));
    }
  }
  return absl::OkStatus();
}

std::vector<std::pair<std::string, std::string>> Schema::Effective() const {
  std::vector<std::pair<std::string, std::string>> effective;
  effective.reserve(keys_.size());
  for (const Key& key : keys_) {
    effective.emplace_back(key.name, key.get());
  }
  return effective;
}

std::string Schema::Describe(bool environment) const {
  std::string text;
  for (const Key& key : keys_) {
    text +=
        fmt::format("{} ({}{}{}", key.name, key.type, key.bounds.empty() ? "" : ", ", key.bounds);
    text += key.required ? ", required)" : ")";
    if (!key.default_text.empty()) {
      text += fmt::format(", default {}", key.default_text);
    }
    text += fmt::format("\n    {}\n", key.help);
    if (environment) {
      text += fmt::format("    environment: {}\n", EnvironmentName(key.name));
    }
  }
  return text;
}

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) {
      environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return environment;
}

}  // namespace dealstream::config
