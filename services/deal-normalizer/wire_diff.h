#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace dealstream::normalizer {

// One message's serialised bytes against another's of the same type, both written by the same
// release with their fields in the order of numbers: the numbers of the top-level fields that
// differ, in order. Absent when either isn't so written: compare the contents then. Reads no
// further than the top level, which takes a tenth of what comparing by reflection does.
std::optional<std::vector<int>> DifferingFields(std::string_view before, std::string_view after);

}  // namespace dealstream::normalizer
