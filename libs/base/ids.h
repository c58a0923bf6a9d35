#pragma once

#include <string>
#include <string_view>

namespace dealstream {

class Clock;

// A new ULID: 26 characters of Crockford's base 32, the first 10 of them the time in milliseconds,
// the others 80 random bits. Unique across processes; sorts by time. Thread-safe.
std::string NewUlid(const Clock& clock);

// `prefix` + NewUlid, in lower case: "int_01hv…".
std::string NewId(std::string_view prefix, const Clock& clock);

// 256 random bits as 43 characters of URL-safe base 64: a webhook token.
std::string NewToken();

// SHA-256, 32 bytes.
std::string Sha256(std::string_view bytes);

// Lower-case hexadecimal.
std::string ToHex(std::string_view bytes);

}  // namespace dealstream
