#pragma once

#include <string_view>

#include "libs/base/status.h"

namespace dealstream::crm {

// InvalidArgument `<what>: got "<got>", want <want>`, for what an integration's owner gave us: no
// secrets. Of a long text its first 100 bytes are shown, whole characters only.
Status BadValue(std::string_view what, std::string_view got, std::string_view want);

}  // namespace dealstream::crm
