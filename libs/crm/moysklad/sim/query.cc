#include "libs/crm/moysklad/sim/query.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/moysklad/sim/account.h"

namespace dealstream::crm::moysklad::sim {
namespace {

// Of Latin and Russian letters, in UTF-8.
std::string ToLower(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if (byte != 0xd0 || next < 0x80 || next > 0xaf) {
      out += absl::ascii_tolower(byte);
      continue;
    }
    // U+0410..U+042F and U+0401.
    const unsigned code = 0x400 + (next & 0x3f);
    const unsigned lower = code == 0x401 ? 0x451 : code >= 0x410 ? code + 0x20 : code;
    out += static_cast<char>(0xc0 | lower >> 6);
    out += static_cast<char>(0x80 | (lower & 0x3f));
    ++i;
  }
  return out;
}

// Splits at ";" that have no backslash before them, and takes the backslashes away.
std::vector<std::string> SplitConditions(std::string_view text) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ';') {
      parts.back() += ';';
      ++i;
    } else if (text[i] == ';') {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  std::erase_if(parts, [](const std::string& part) { return part.empty(); });
  return parts;
}

bool IsTimeField(std::string_view field) {
  return field == "updated" || field == "created" || field == "moment" ||
         field == "deliveryPlannedMoment";
}

Result<Condition> ParseCondition(const std::string& text) {
  const size_t at = text.find_first_of("=!<>~");
  if (at == std::string::npos || at == 0) {
    return absl::InvalidArgumentError(fmt::format("no operator in '{}'", text));
  }
  constexpr std::string_view kOperators[] = {"!=", "<=", ">=", "~=", "=~", "=", "<", ">", "~"};
  Condition condition;
  condition.field = text.substr(0, at);
  const std::string_view rest = std::string_view(text).substr(at);
  for (std::string_view op : kOperators) {
    if (rest.starts_with(op)) {
      condition.op = op;
      condition.value = rest.substr(op.size());
      break;
    }
  }
  if (condition.op.empty()) {
    return absl::InvalidArgumentError(fmt::format("no operator in '{}'", text));
  }
  if (IsTimeField(condition.field) && !condition.value.empty()) {
    const auto time = ParseMoscowTime(condition.value);
    if (!time) {
      return absl::InvalidArgumentError(fmt::format("bad date '{}'", condition.value));
    }
    condition.value = MoscowTime(*time);
  }
  // A reference may be given by its address; what counts is the id at its end.
  const size_t slash = condition.value.rfind('/');
  if (slash != std::string::npos && condition.value.starts_with("http")) {
    condition.value = condition.value.substr(slash + 1);
  }
  return condition;
}

bool OneMatches(const Condition& condition, const std::optional<std::string>& value) {
  const std::string& want = condition.value;
  if (want.empty() && (condition.op == "=" || condition.op == "!=")) {
    return value.has_value() == (condition.op == "!=");
  }
  if (!value) {
    return condition.op == "!=";
  }
  if (condition.op == "~") {
    return ContainsIgnoringCase(*value, want);
  }
  if (condition.op == "~=") {
    return ToLower(*value).starts_with(ToLower(want));
  }
  if (condition.op == "=~") {
    return ToLower(*value).ends_with(ToLower(want));
  }
  const int order = CompareValues(*value, want);
  if (condition.op == "=") {
    return order == 0;
  }
  if (condition.op == "!=") {
    return order != 0;
  }
  if (condition.op == "<") {
    return order < 0;
  }
  if (condition.op == "<=") {
    return order <= 0;
  }
  return condition.op == ">" ? order > 0 : order >= 0;
}

Result<size_t> ParseNumber(std::string_view text, size_t absent, size_t low, size_t high) {
  if (text.empty()) {
    return absent;
  }
  size_t value = 0;
  if (!absl::SimpleAtoi(ToAbsl(text), &value) || value < low || value > high) {
    return absl::InvalidArgumentError(fmt::format("{} is not in {}..{}", text, low, high));
  }
  return value;
}

}  // namespace

bool ContainsIgnoringCase(std::string_view text, std::string_view part) {
  return ToLower(text).find(ToLower(part)) != std::string::npos;
}

int CompareValues(const std::string& a, const std::string& b) {
  double x = 0;
  double y = 0;
  if (absl::SimpleAtod(a, &x) && absl::SimpleAtod(b, &y)) {
    return x < y ? -1 : x > y ? 1 : 0;
  }
  return a.compare(b);
}

Result<Filter> Filter::Parse(std::string_view text) {
  Filter filter;
  for (const std::string& part : SplitConditions(text)) {
    DEALSTREAM_ASSIGN_OR_RETURN(Condition condition, ParseCondition(part));
    auto& same = filter.conditions_[condition.field];
    const bool equality = condition.op == "=" || condition.op == "!=";
    for (const Condition& other : same) {
      const bool other_equality = other.op == "=" || other.op == "!=";
      if (equality != other_equality) {
        return absl::InvalidArgumentError(
            fmt::format("'=' and another operator on one field '{}'", condition.field));
      }
    }
    // Of the same inequality given twice the first one counts.
    const bool twice = !equality && std::any_of(same.begin(), same.end(), [&](const auto& other) {
      return other.op == condition.op;
    });
    if (!twice) {
      same.push_back(std::move(condition));
    }
  }
  return filter;
}

bool Filter::FieldMatches(const std::vector<Condition>& conditions,
                          const std::optional<std::string>& value) {
  bool any_equality = false;
  bool one_equal = false;
  for (const Condition& condition : conditions) {
    const bool matches = OneMatches(condition, value);
    if (condition.op == "=") {
      any_equality = true;
      one_equal = one_equal || matches;
    } else if (!matches) {
      return false;
    }
  }
  return !any_equality || one_equal;
}

bool Filter::Matches(const FieldReader& read) const {
  return std::all_of(conditions_.begin(), conditions_.end(), [&read](const auto& field) {
    return FieldMatches(field.second, read(field.first));
  });
}

Result<Page> Page::Parse(const Parameters& parameters) {
  Page page;
  DEALSTREAM_ASSIGN_OR_RETURN(page.limit,
                              ParseNumber(FindParameter(parameters, "limit"), 1000, 1, 1000));
  DEALSTREAM_ASSIGN_OR_RETURN(
      page.offset, ParseNumber(FindParameter(parameters, "offset"), 0, 0, 1'000'000'000));
  std::string_view order = FindParameter(parameters, "order");
  while (!order.empty()) {
    const size_t end = order.find(';');
    const std::string_view part = order.substr(0, end);
    order = end == std::string_view::npos ? std::string_view() : order.substr(end + 1);
    const size_t comma = part.find(',');
    page.order.push_back({std::string(part.substr(0, comma)),
                          comma != std::string_view::npos && part.substr(comma + 1) == "desc"});
  }
  return page;
}

}  // namespace dealstream::crm::moysklad::sim
