#include "libs/domain/contact.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"

#include "libs/domain/phone_number.h"

namespace dealstream::domain {
namespace {

using deal::v1::Contact;
using deal::v1::Phone;

// What is shorter is an extension, a flat or a note.
constexpr size_t kFewestDigits = 5;
// Bounds the work on a hostile text; the fields of the CRMs hold 255 characters.
constexpr size_t kLongestText = 4096;

// Characters that numbers are written with, besides digits. '.' and '/' too, and the bytes of a
// no-break space and of dashes (UTF-8).
bool IsPunctuation(char c) {
  return std::string_view(" -().+\t").find(c) != std::string_view::npos;
}

// At most kLongestText bytes, and no part of a letter at the end.
std::string_view Cut(std::string_view text) {
  if (text.size() <= kLongestText) {
    return text;
  }
  size_t end = kLongestText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) {
    --end;
  }
  return text.substr(0, end);
}

size_t CountDigits(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return absl::ascii_isdigit(c); }));
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && !absl::ascii_isdigit(text.front()) && text.front() != '+' &&
         text.front() != '(') {
    text.remove_prefix(1);
  }
  while (!text.empty() && !absl::ascii_isdigit(text.back()) && text.back() != ')') {
    text.remove_suffix(1);
  }
  return text;
}

// No-break spaces and typographic dashes as their plain forms; then all punctuation is one byte.
std::string PlainPunctuation(std::string_view text) {
  static constexpr auto kForms = std::to_array<std::pair<std::string_view, char>>({
      {"\u00a0", ' '},
      {"\u2007", ' '},
      {"\u2009", ' '},
      {"\u202f", ' '},
      {"\u2010", '-'},
      {"\u2011", '-'},
      {"\u2012", '-'},
      {"\u2013", '-'},
      {"\u2014", '-'},
      {"\u2212", '-'},
      {"\uff0b", '+'},
  });
  std::string plain;
  plain.reserve(text.size());
  while (!text.empty()) {
    const auto* form = std::find_if(kForms.begin(), kForms.end(), [text](const auto& candidate) {
      return text.substr(0, candidate.first.size()) == candidate.first;
    });
    if (form != kForms.end()) {
      plain += form->second;
      text.remove_prefix(form->first.size());
    } else {
      plain += text.front();
      text.remove_prefix(1);
    }
  }
  return plain;
}

// Whether the words before a number say that it is an extension: "доб.", "вн.", "ext", "x", "#".
bool AnnouncesExtension(std::string_view words) {
  static constexpr auto kWords = std::to_array<std::string_view>(
      {"доб", "Доб", "ДОБ", "вн", "Вн", "ВН", "ext", "Ext", "EXT", "#", "x", "х"});
  while (!words.empty() && (IsPunctuation(words.front()) || words.front() == ',')) {
    words.remove_prefix(1);
  }
  return std::any_of(kWords.begin(), kWords.end(), [words](std::string_view word) {
    return words.substr(0, word.size()) == word;
  });
}

using Phones = google::protobuf::RepeatedPtrField<Phone>;

void Add(std::string_view as_given, std::string_view e164, Phones& phones) {
  const bool known = std::any_of(phones.begin(), phones.end(), [&](const Phone& phone) {
    return e164.empty() ? phone.as_given() == as_given : phone.e164() == e164;
  });
  if (known) {
    return;
  }
  Phone& phone = *phones.Add();
  phone.set_e164(e164.data(), e164.size());
  phone.set_as_given(as_given.data(), as_given.size());
}

// A run of digits and punctuation: one number, or several with spaces between them ("89000001122
// 89000003344"), or the second one begins with a plus.
void AddRun(std::string_view run, std::string_view region, Phones& phones) {
  run = Trim(run);
  if (CountDigits(run) < kFewestDigits) {
    return;
  }
  if (const size_t plus = run.find('+', 1); plus != std::string_view::npos) {
    AddRun(run.substr(0, plus), region, phones);
    AddRun(run.substr(plus), region, phones);
    return;
  }
  const std::string e164 = ToE164(run, region);
  if (e164.empty()) {
    // The shortest beginning that is a number of ten digits or more, when the rest is a number too.
    for (size_t space = run.find(' '); space != std::string_view::npos;
         space = run.find(' ', space + 1)) {
      if (CountDigits(run.substr(0, space)) < 10 ||
          CountDigits(run.substr(space)) < kFewestDigits) {
        continue;
      }
      const std::string first = ToE164(run.substr(0, space), region);
      if (!first.empty()) {
        Add(Trim(run.substr(0, space)), first, phones);
        AddRun(run.substr(space), region, phones);
        return;
      }
    }
  }
  Add(run, e164, phones);
}

bool IsAddressCharacter(char c) {
  // Everything beyond ASCII may stand in an address (почта@пример.рф).
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         (static_cast<unsigned char>(c) >= 128) ||
         std::string_view("@.!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

bool IsEmail(std::string_view text) {
  const size_t at = text.find('@');
  if (at == std::string_view::npos || at == 0 || text.find('@', at + 1) != std::string_view::npos) {
    return false;
  }
  const std::string_view domain = text.substr(at + 1);
  const size_t dot = domain.find('.');
  return dot != std::string_view::npos && dot > 0 && domain.back() != '.';
}

}  // namespace

void AddPhones(std::string_view text, std::string_view region, Contact& contact) {
  Phones& phones = *contact.mutable_phones();
  const int before = phones.size();
  text = Cut(text);
  // The common case, a single plain number, needs no copy.
  std::string plain;
  if (std::any_of(
          text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 128; })) {
    plain = PlainPunctuation(text);
    text = plain;
  }
  size_t words = 0;
  for (size_t at = 0; at < text.size();) {
    if (!absl::ascii_isdigit(text[at]) && text[at] != '+' && text[at] != '(') {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < text.size() && (absl::ascii_isdigit(text[end]) || IsPunctuation(text[end]))) {
      ++end;
    }
    // Digits that an announced extension begins with go with it, up to the next space.
    if (phones.size() > before && AnnouncesExtension(text.substr(words, at - words))) {
      size_t rest = at;
      while (rest < end && text[rest] != ' ') {
        ++rest;
      }
      at = rest;
    }
    AddRun(text.substr(at, end - at), region, phones);
    at = end;
    words = end;
  }
}

std::vector<Phone> ParsePhones(std::string_view text, std::string_view region) {
  Contact contact;
  AddPhones(text, region, contact);
  return {contact.phones().begin(), contact.phones().end()};
}

void AddEmails(std::string_view text, Contact& contact) {
  text = Cut(text);
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && IsAddressCharacter(text[end])) {
      ++end;
    }
    std::string_view address = text.substr(at, end - at);
    at = end + 1;
    while (address.ends_with('.')) {
      address.remove_suffix(1);
    }
    if (!IsEmail(address)) {
      continue;
    }
    std::string& added = *contact.add_emails();
    added = address;
    absl::AsciiStrToLower(&added);
    const auto& emails = contact.emails();
    if (std::find(emails.begin(), emails.end() - 1, added) != emails.end() - 1) {
      contact.mutable_emails()->RemoveLast();
    }
  }
}

}  // namespace dealstream::domain
