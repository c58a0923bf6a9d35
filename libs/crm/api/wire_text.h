#pragma once

#include <cstdint>
#include <string_view>

#include "absl/time/civil_time.h"

// Digits and times as CRMs write them in texts. What takes something from the front of a text
// leaves it untouched when it returns false.
namespace dealstream::crm {

inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// One to `most` digits, as ids are.
bool IsNumber(std::string_view text, size_t most);

// The number of `count` digits at `at`, at most nine; -1 when there are other characters or fewer.
int Digits(std::string_view text, size_t at, size_t count);

// False for what is no day of the years 1 to 9999, such as the 30th of February.
bool MakeDay(int year, int month, int day, absl::CivilDay& made);

// Takes "2026-03-02".
bool TakeDay(std::string_view& text, absl::CivilDay& day);
// Takes "2026-03-02 15:31:47"; `between` stands after the day.
bool TakeSecond(std::string_view& text, char between, absl::CivilSecond& second);
// Takes ".915", of one to nine digits, as nanoseconds; nothing where there is no point.
bool TakeFraction(std::string_view& text, int64_t& nanos);

}  // namespace dealstream::crm
