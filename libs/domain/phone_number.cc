#include "libs/domain/phone_number.h"

#include <array>
#include <unordered_map>
#include <utility>

#include <phonenumbers/phonenumberutil.h>

namespace dealstream::domain {
namespace {

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

// Longer texts are no number: E.164 has at most 15 digits.
constexpr size_t kLongestNumber = 64;

// Remembers what was asked last: contacts come again with every change of a deal, and the library
// takes some 20 us a number. When `recent_` is full it becomes `older_`, and what was there is
// forgotten.
class Memory {
 public:
  const std::string* Find(const std::string& key) {
    if (auto found = recent_.find(key); found != recent_.end()) {
      return &found->second;
    }
    auto found = older_.find(key);
    return found == older_.end() ? nullptr : &Keep(key, std::string(found->second));
  }

  const std::string& Keep(const std::string& key, std::string value) {
    if (recent_.size() >= kSize) {
      older_ = std::move(recent_);
      recent_.clear();
    }
    return recent_.insert_or_assign(key, std::move(value)).first->second;
  }

 private:
  static constexpr size_t kSize = 2048;
  std::unordered_map<std::string, std::string> recent_;
  std::unordered_map<std::string, std::string> older_;
};

}  // namespace

namespace internal {

std::string RussianE164(std::string_view number) {
  std::array<char, 11> digits{};
  size_t size = 0;
  const bool plus = !number.empty() && number.front() == '+';
  for (char c : number.substr(plus ? 1 : 0)) {
    if (c >= '0' && c <= '9') {
      if (size == digits.size()) {
        return {};
      }
      digits[size++] = c;
    } else if (c != ' ' && c != '-' && c != '(' && c != ')') {
      return {};
    }
  }
  const bool prefixed = size == 11 && (digits[0] == '7' || (digits[0] == '8' && !plus));
  if (!prefixed && (size != 10 || plus)) {
    return {};
  }
  const std::string_view national(digits.data() + (prefixed ? 1 : 0), 10);
  // Without a prefix 810... would be dialled abroad, hence no 8 there.
  const std::string_view first = prefixed ? "3489" : "349";
  if (first.find(national[0]) == std::string_view::npos) {
    return {};
  }
  std::string e164 = "+7";
  e164 += national;
  return e164;
}

std::string LibraryE164(std::string_view number, std::string_view region) {
  const PhoneNumberUtil& library = *PhoneNumberUtil::GetInstance();
  PhoneNumber parsed;
  if (library.Parse(std::string(number), std::string(region), &parsed) !=
      PhoneNumberUtil::NO_PARSING_ERROR) {
    return {};
  }
  // Possible and not valid only: numbering plans gain ranges faster than the library's tables.
  if (library.IsPossibleNumberWithReason(parsed) != PhoneNumberUtil::IS_POSSIBLE) {
    return {};
  }
  std::string e164;
  library.Format(parsed, PhoneNumberUtil::E164, &e164);
  return e164;
}

}  // namespace internal

std::string ToE164(std::string_view number, std::string_view region) {
  if (number.size() > kLongestNumber) {
    return {};
  }
  if (region == "RU") {
    if (std::string e164 = internal::RussianE164(number); !e164.empty()) {
      return e164;
    }
  }
  // A value of a pure function, kept for each thread: no caller can see that it is there.
  thread_local Memory memory;
  std::string key(region);
  key += ' ';
  key += number;
  if (const std::string* known = memory.Find(key)) {
    return *known;
  }
  return memory.Keep(key, internal::LibraryE164(number, region));
}

}  // namespace dealstream::domain
