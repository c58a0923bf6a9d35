#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/status.h"
#include "libs/crm/sim/web.h"

namespace dealstream::crm::moysklad::sim {

using simkit::FindParameter;
using simkit::Parameters;

// Whether `text` contains `part`, whatever the case of Latin and Russian letters.
bool ContainsIgnoringCase(std::string_view text, std::string_view part);

// One condition of `filter`.
struct Condition {
  std::string field;
  // "=", "!=", "<", "<=", ">", ">=", "~" (contains), "~=" (begins with), "=~" (ends with).
  std::string op;
  std::string value;
};

// Reads a field of a row as text that compares as the field does: times in Moscow form, numbers as
// numbers. Nothing when the row has no such value.
using FieldReader = std::function<std::optional<std::string>(std::string_view field)>;

// `filter=` of a list. InvalidArgument says what is wrong with the text.
class Filter {
 public:
  static Result<Filter> Parse(std::string_view text);
  bool Matches(const FieldReader& read) const;
  bool Names(std::string_view field) const { return conditions_.contains(field); }

 private:
  static bool FieldMatches(const std::vector<Condition>& conditions,
                           const std::optional<std::string>& value);

  std::map<std::string, std::vector<Condition>, std::less<>> conditions_;
};

// `limit`, `offset`, `order` of a list.
struct Page {
  size_t limit = 1000;
  size_t offset = 0;
  struct Key {
    std::string field;
    bool descending = false;
  };
  std::vector<Key> order;

  static Result<Page> Parse(const Parameters& parameters);
};

// Less, equal or greater than zero; numbers compare as numbers.
int CompareValues(const std::string& a, const std::string& b);

}  // namespace dealstream::crm::moysklad::sim
