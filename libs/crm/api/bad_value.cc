#include "libs/crm/api/bad_value.h"

#include <fmt/format.h>

namespace dealstream::crm {
namespace {

constexpr size_t kLongestShown = 100;

// Half a character would make the text unfit for a string field of a message.
std::string_view Shown(std::string_view text) {
  size_t size = kLongestShown;
  if (text.size() <= size) {
    return text;
  }
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) {
    --size;
  }
  return text.substr(0, size);
}

}  // namespace

Status BadValue(std::string_view what, std::string_view got, std::string_view want) {
  return absl::InvalidArgumentError(fmt::format("{}: got \"{}\", want {}", what, Shown(got), want));
}

}  // namespace dealstream::crm
