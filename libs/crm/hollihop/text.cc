#include "libs/crm/hollihop/text.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"

namespace dealstream::crm::hollihop {
namespace {

constexpr auto kBlanks = std::to_array<std::string_view>({"\u00a0", "\u202f", "\u2009", "\ufeff"});

// Bytes of the blank that a text begins with; 0: none.
size_t BlankAtBegin(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const auto first = static_cast<unsigned char>(text.front());
  if (first < 0x80) {
    return absl::ascii_isspace(first) ? 1 : 0;
  }
  // No blank begins as Cyrillic letters do.
  if (first == 0xd0 || first == 0xd1) {
    return 0;
  }
  const auto* blank = std::find_if(kBlanks.begin(), kBlanks.end(), [text](std::string_view one) {
    return text.starts_with(one);
  });
  return blank == kBlanks.end() ? 0 : blank->size();
}

size_t BlankAtEnd(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const auto last = static_cast<unsigned char>(text.back());
  if (last < 0x80) {
    return absl::ascii_isspace(last) ? 1 : 0;
  }
  if (text.size() > 1 && (text[text.size() - 2] == '\xd0' || text[text.size() - 2] == '\xd1')) {
    return 0;
  }
  const auto* blank = std::find_if(
      kBlanks.begin(), kBlanks.end(), [text](std::string_view one) { return text.ends_with(one); });
  return blank == kBlanks.end() ? 0 : blank->size();
}

// A letter in UTF-8 (two bytes), the accent that follows it, and both in one.
struct Composition {
  std::string_view letter;
  std::string_view accent;
  std::string_view composed;
};
constexpr std::string_view kBreve = "\u0306";
constexpr std::string_view kDiaeresis = "\u0308";
constexpr auto kCompositions = std::to_array<Composition>({
    {"и", kBreve, "й"},
    {"И", kBreve, "Й"},
    {"у", kBreve, "ў"},
    {"У", kBreve, "Ў"},
    {"е", kDiaeresis, "ё"},
    {"Е", kDiaeresis, "Ё"},
    {"і", kDiaeresis, "ї"},
    {"І", kDiaeresis, "Ї"},
});
// First byte of U+0300 to U+033F.
constexpr char kFirstByteOfAccents = '\xcc';

}  // namespace

std::string_view Trim(std::string_view text) {
  while (const size_t blank = BlankAtBegin(text)) {
    text.remove_prefix(blank);
  }
  while (const size_t blank = BlankAtEnd(text)) {
    text.remove_suffix(blank);
  }
  return text;
}

std::string Folded(std::string_view text) {
  std::string folded(text);
  for (size_t i = 0; i < folded.size(); ++i) {
    const auto byte = static_cast<unsigned char>(folded[i]);
    if (byte < 0x80) {
      folded[i] = absl::ascii_tolower(byte);
      continue;
    }
    if (byte != 0xd0 || i + 1 == folded.size()) {
      continue;
    }
    // U+0400 to U+043F, whose capitals are two rows or one below their small letters.
    const auto next = static_cast<unsigned char>(folded[i + 1]);
    if (next >= 0x80 && next <= 0x8f) {
      folded[i] = '\xd1';
      folded[i + 1] = static_cast<char>(next + 0x10);
    } else if (next >= 0x90 && next <= 0x9f) {
      folded[i + 1] = static_cast<char>(next + 0x20);
    } else if (next >= 0xa0 && next <= 0xaf) {
      folded[i] = '\xd1';
      folded[i + 1] = static_cast<char>(next - 0x20);
    }
    ++i;
  }
  return folded;
}

bool SameName(std::string_view a, std::string_view b) {
  a = Trim(a);
  b = Trim(b);
  // Letters fold to letters of the same length.
  return a == b || (a.size() == b.size() && Folded(a) == Folded(b));
}

std::string Composed(std::string_view text) {
  std::string composed(Trim(text));
  for (size_t at = composed.find(kFirstByteOfAccents); at != std::string::npos;
       at = composed.find(kFirstByteOfAccents, at)) {
    const std::string_view all = composed;
    const auto* pair =
        std::find_if(kCompositions.begin(), kCompositions.end(), [&](const Composition& one) {
          return all.substr(at).starts_with(one.accent) && all.substr(0, at).ends_with(one.letter);
        });
    if (pair == kCompositions.end()) {
      ++at;
      continue;
    }
    const size_t begin = at - pair->letter.size();
    composed.replace(begin, pair->letter.size() + pair->accent.size(), pair->composed);
    at = begin + pair->composed.size();
  }
  return composed;
}

}  // namespace dealstream::crm::hollihop
