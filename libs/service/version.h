#pragma once

#include <string_view>

namespace dealstream::service {

// Of the project ("0.1.0"), and the source revision it was configured from.
std::string_view Version();
std::string_view Revision();

}  // namespace dealstream::service
