#include <sys/resource.h>

#include "libs/crm/registry.h"
#include "services/credential-vault/service.h"

int main(int argc, char** argv) {
  // What is in memory stays there: no core file.
  const rlimit none{0, 0};
  (void)setrlimit(RLIMIT_CORE, &none);

  const dealstream::crm::Registry registry = dealstream::crm::AllAdapters();
  dealstream::vault::Config config;
  return dealstream::service::Run(
      argc,
      argv,
      {.name = "credential-vault",
       .add_config = [&config](dealstream::config::Schema& schema) { config.AddTo(schema); },
       .check_config = [&config] { return config.Check(); },
       .start =
           [&config, &registry](dealstream::service::Context& context) {
             return dealstream::vault::Start(config, registry, context);
           }});
}
