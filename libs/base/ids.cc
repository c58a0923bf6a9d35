#include "libs/base/ids.h"

#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include <fmt/format.h>
#include <sodium.h>

#include "libs/base/clock.h"
#include "libs/base/strings.h"

namespace dealstream {
namespace {

constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

}  // namespace

std::string NewUlid(const Clock& clock) {
  std::string ulid(26, '0');
  auto millis = static_cast<uint64_t>(absl::ToUnixMillis(clock.Now()));
  for (size_t i = 10; i-- > 0;) {
    ulid[i] = kCrockford[millis & 31];
    millis >>= 5;
  }
  // 16 characters of 5 bits are 80 random bits; a byte each is drawn and 3 bits of it are left out.
  std::array<unsigned char, 16> random{};
  randombytes_buf(random.data(), random.size());
  for (size_t i = 0; i < random.size(); ++i) {
    ulid[10 + i] = kCrockford[random[i] & 31];
  }
  return ulid;
}

std::string NewId(std::string_view prefix, const Clock& clock) {
  return fmt::format("{}{}", prefix, absl::AsciiStrToLower(NewUlid(clock)));
}

std::string NewToken() {
  std::string bytes(32, '\0');
  randombytes_buf(bytes.data(), bytes.size());
  return absl::WebSafeBase64Escape(bytes);
}

std::string Sha256(std::string_view bytes) {
  std::string digest(crypto_hash_sha256_BYTES, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(digest.data()),
                     reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size());
  return digest;
}

std::string ToHex(std::string_view bytes) { return absl::BytesToHexString(ToAbsl(bytes)); }

}  // namespace dealstream
