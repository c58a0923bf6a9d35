#include "libs/crm/megaplan/wire.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"

#include "libs/base/strings.h"
#include "libs/crm/api/wire_text.h"

namespace dealstream::crm::megaplan {
namespace {

// 0001-01-01 and 9999-12-31T23:59:59, the bounds of a protobuf timestamp.
constexpr int64_t kFirstSecond = -62'135'596'800;
constexpr int64_t kLastSecond = 253'402'300'799;

constexpr size_t kLongestId = 20;
// The longest entity of the list below, and of the numbers, has fewer characters.
constexpr size_t kLongestEntity = 12;

constexpr auto kEntities = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"amp", "&"},
    {"lt", "<"},
    {"gt", ">"},
    {"quot", "\""},
    {"apos", "'"},
    {"nbsp", " "},
    {"laquo", "«"},
    {"raquo", "»"},
    {"ndash", "–"},
    {"mdash", "—"},
    {"hellip", "…"},
    {"bull", "•"},
    {"middot", "·"},
    {"copy", "©"},
    {"euro", "€"},
});

void AppendUtf8(uint32_t code, std::string& out) {
  const auto add = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | (code >> 6));
    add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | (code >> 12));
    add(0x80 | ((code >> 6) & 0x3f));
    add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | (code >> 18));
    add(0x80 | ((code >> 12) & 0x3f));
    add(0x80 | ((code >> 6) & 0x3f));
    add(0x80 | (code & 0x3f));
  }
}

// "#8470" or "#x2116". False when it is no character that a text may hold.
bool AppendNumbered(std::string_view name, std::string& out) {
  const bool hex = name.size() > 1 && (name[1] == 'x' || name[1] == 'X');
  const std::string_view digits = name.substr(hex ? 2 : 1);
  uint32_t code = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool control = code < 0x20 && code != '\t' && code != '\n';
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty() ||
      code > 0x10ffff || surrogate || control) {
    return false;
  }
  AppendUtf8(code == 0xa0 ? ' ' : code, out);
  return true;
}

// What stands at an ampersand: its length with "&" and ";", or 0 when it is no entity.
size_t AppendEntity(std::string_view text, std::string& out) {
  const size_t end = text.substr(0, kLongestEntity).find(';');
  if (end == std::string_view::npos || end < 2) {
    return 0;
  }
  const std::string_view name = text.substr(1, end - 1);
  if (name.front() == '#') {
    return AppendNumbered(name, out) ? end + 1 : 0;
  }
  const auto* found = std::find_if(
      kEntities.begin(), kEntities.end(), [name](const auto& one) { return one.first == name; });
  if (found == kEntities.end()) {
    return 0;
  }
  out += found->second;
  return end + 1;
}

// The length of the tag that a text begins with, or 0: "a < b" has none. REQUIRES: the text has a
// ">" somewhere.
size_t TagLength(std::string_view text) {
  if (text.size() < 3 || (!absl::ascii_isalpha(static_cast<unsigned char>(text[1])) &&
                          text[1] != '/' && text[1] != '!')) {
    return 0;
  }
  return text.find('>') + 1;
}

// Whether a tag ends a line: <br>, </p>, </div>, </li>, </tr>.
bool EndsLine(std::string_view tag) {
  std::string_view name = tag.substr(1);
  const bool closing = name.starts_with('/');
  name.remove_prefix(closing ? 1 : 0);
  name = name.substr(0, name.find_first_of(" />\t\r\n"));
  if (!closing) {
    return name == "br";
  }
  return name == "p" || name == "div" || name == "li" || name == "tr";
}

}  // namespace

bool IsId(std::string_view text) { return IsNumber(text, kLongestId); }

bool ParseDateTime(std::string_view text, absl::Time& time) {
  // absl reads more than the wire has: "infinite-future", blanks around.
  if (text.empty() || !IsDigit(text.front()) ||
      absl::ascii_isspace(static_cast<unsigned char>(text.back()))) {
    return false;
  }
  absl::Time parsed;
  if (!absl::ParseTime(absl::RFC3339_full, ToAbsl(text), &parsed, nullptr)) {
    return false;
  }
  const int64_t seconds = absl::ToUnixSeconds(parsed);
  if (seconds < kFirstSecond || seconds > kLastSecond) {
    return false;
  }
  time = parsed;
  return true;
}

std::string_view Trimmed(std::string_view text) {
  const auto is_space = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::string PlainText(std::string_view html) {
  if (html.find_first_of("<&") == std::string_view::npos) {
    return std::string(Trimmed(html));
  }
  std::string plain;
  plain.reserve(html.size());
  // In what is behind the last ">" no tag ends. To look for one at each "<" there would take a time
  // that grows with the square of the length.
  const size_t without_tags = html.size() - (html.rfind('>') + 1);
  while (!html.empty()) {
    size_t taken = 0;
    if (html.front() == '<' && html.size() > without_tags) {
      taken = TagLength(html);
      if (taken > 0 && EndsLine(html.substr(0, taken)) && !plain.empty() && plain.back() != '\n') {
        plain += '\n';
      }
    } else if (html.front() == '&') {
      taken = AppendEntity(html, plain);
    }
    if (taken == 0) {
      plain += html.front();
      taken = 1;
    }
    html.remove_prefix(taken);
  }
  return std::string(Trimmed(plain));
}

}  // namespace dealstream::crm::megaplan
