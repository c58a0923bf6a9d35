#include "libs/crm/registry.h"
#include "libs/service/service.h"
#include "services/crm-reader/service.h"

int main(int argc, char** argv) {
  dealstream::crm::Registry registry = dealstream::crm::AllAdapters();
  dealstream::reader::Config config;
  dealstream::service::Definition definition;
  definition.name = "crm-reader";
  definition.holds_secrets = true;
  definition.add_config = [&](dealstream::config::Schema& schema) { config.AddTo(schema); };
  definition.check_config = [&] { return config.Check(registry); };
  definition.start = [&](dealstream::service::Context& context) {
    return dealstream::reader::StartReader(config, registry, context);
  };
  return dealstream::service::Run(argc, argv, definition);
}
