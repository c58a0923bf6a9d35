#include "libs/crm/registry.h"
#include "services/cabinet/service.h"

int main(int argc, char** argv) {
  const dealstream::crm::Registry registry = dealstream::crm::AllAdapters();
  dealstream::cabinet::Config config;
  return dealstream::service::Run(
      argc,
      argv,
      {.name = "cabinet",
       .holds_secrets = true,
       .add_config = [&config](dealstream::config::Schema& schema) { config.AddTo(schema); },
       .check_config = [&config, &registry] { return config.Check(registry); },
       .start =
           [&config, &registry](dealstream::service::Context& context) {
             return dealstream::cabinet::Start(config, registry, context);
           }});
}
