#include "libs/crm/registry.h"
#include "libs/service/service.h"
#include "services/deal-normalizer/service.h"

int main(int argc, char** argv) {
  using namespace dealstream;  // NOLINT(google-build-using-namespace): main alone.
  const crm::Registry registry = crm::AllAdapters();
  normalizer::Config config;
  return service::Run(argc,
                      argv,
                      {.name = "deal-normalizer",
                       .add_config = [&config](config::Schema& schema) { config.AddTo(schema); },
                       .check_config = [&config, &registry] { return config.Check(registry); },
                       .start =
                           [&config, &registry](service::Context& context) {
                             return normalizer::StartService(config, registry, context);
                           }});
}
