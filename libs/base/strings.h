#pragma once

#include <string_view>

#include "absl/strings/string_view.h"

// Debian builds abseil with a string_view of its own. Ours is std::string_view everywhere; these
// two cross the border. Text is put together with fmt::format.
namespace dealstream {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace dealstream
