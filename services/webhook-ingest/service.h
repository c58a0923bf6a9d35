#pragma once

#include <memory>

#include "libs/base/status.h"
#include "libs/crm/api/registry.h"
#include "libs/service/service.h"
#include "services/webhook-ingest/config.h"

namespace dealstream::ingest {

// The running service: table of tokens, doors, listener. The references outlive it.
Result<std::unique_ptr<service::Service>> Start(const Config& config,
                                                const crm::Registry& registry,
                                                service::Context& context);

}  // namespace dealstream::ingest
