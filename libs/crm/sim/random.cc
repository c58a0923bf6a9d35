#include "libs/crm/sim/random.h"

#include <fmt/format.h>

namespace dealstream::crm::simkit {

std::string Random::Text(size_t length, std::string_view alphabet) {
  std::string text;
  text.reserve(length);
  for (size_t i = 0; i < length; ++i) {
    text += alphabet[Below(alphabet.size())];
  }
  return text;
}

std::string Random::Uuid() {
  const uint64_t a = Next();
  const uint64_t b = Next();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
                     a >> 32,
                     a >> 16 & 0xffff,
                     a & 0xfff,
                     8 + (a >> 12 & 3),
                     b >> 52,
                     b & 0xffff'ffff'ffff);
}

}  // namespace dealstream::crm::simkit
