#include "libs/crm/registry.h"
#include "services/credential-vault/service.h"

int main(int argc, char** argv) {
  const dealstream::crm::Registry registry = dealstream::crm::AllAdapters();
  dealstream::vault::Config config;
  return dealstream::service::Run(
      argc,
      argv,
      {.name = "credential-vault",
       .holds_secrets = true,
       .add_config = [&config](dealstream::config::Schema& schema) { config.AddTo(schema); },
       .check_config = [&config] { return config.Check(); },
       .start =
           [&config, &registry](dealstream::service::Context& context) {
             return dealstream::vault::Start(config, registry, context);
           }});
}
