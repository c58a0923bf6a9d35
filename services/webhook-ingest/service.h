#pragma once

#include <memory>

#include "libs/base/status.h"
#include "libs/crm/api/registry.h"
#include "libs/service/service.h"
#include "services/webhook-ingest/config.h"

namespace dealstream::ingest {

// The running service: table of tokens, doors, listener.
class Ingest : public service::Service {
 public:
  // The references outlive it.
  static Result<std::unique_ptr<Ingest>> Start(const Config& config,
                                               const crm::Registry& registry,
                                               service::Context& context);
  // Of the public listener.
  virtual int port() const = 0;
};

}  // namespace dealstream::ingest
