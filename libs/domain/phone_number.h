#pragma once

#include <string>
#include <string_view>

namespace dealstream::domain {

// One number, as people write it, in E.164 ("+74951234567"), read as dialled in `region` ("RU").
// Extensions are left out. Empty when it is no number that could exist. Thread-safe.
std::string ToE164(std::string_view number, std::string_view region);

namespace internal {

// What ToE164 consists of; for its test.

// The forms that nearly all Russian texts have, by arithmetic: [+]7 or 8 or nothing, then ten
// digits of which the first is 3, 4, 8 or 9. Empty for any other.
std::string RussianE164(std::string_view number);
// By libphonenumber.
std::string LibraryE164(std::string_view number, std::string_view region);

}  // namespace internal
}  // namespace dealstream::domain
