#pragma once

#include <string>
#include <string_view>

#include "libs/crm/sim/web.h"

namespace dealstream::crm::klientiks::sim {

// As much of Mustache as the CRM's templates need: {{name}} (escaped for HTML), {{#section}} of an
// object, a list or a value that is true, {{/section}}. What the context lacks renders as nothing.
std::string RenderMustache(std::string_view text, const simkit::Json& context);

}  // namespace dealstream::crm::klientiks::sim
