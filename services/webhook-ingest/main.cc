#include <memory>

#include "libs/crm/registry.h"
#include "libs/service/service.h"
#include "services/webhook-ingest/config.h"
#include "services/webhook-ingest/service.h"

int main(int argc, char** argv) {
  using dealstream::Result;
  using dealstream::service::Service;
  dealstream::ingest::Config config;
  const dealstream::crm::Registry registry = dealstream::crm::AllAdapters();
  return dealstream::service::Run(
      argc,
      argv,
      {.name = "webhook-ingest",
       .add_config = [&](auto& schema) { dealstream::ingest::AddConfig(schema, &config); },
       .check_config = [&] { return dealstream::ingest::CheckConfig(config); },
       .start = [&](auto& context) -> Result<std::unique_ptr<Service>> {
         return dealstream::ingest::Ingest::Start(config, registry, context);
       }});
}
