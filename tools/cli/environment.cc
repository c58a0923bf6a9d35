#include "tools/cli/environment.h"

#include "libs/service/version.h"

namespace dealstream::cli {

void Environment::AddTo(config::Schema& schema) {
  kafka::AddConfig(schema, &kafka, /*required=*/false);
  schema.Add("tls.ca_file",
             &tls.ca_file,
             "PEM file of the authority that signs every component's certificate.");
  schema.Add(
      "tls.certificate_file", &tls.certificate_file, "PEM file of the operator's certificate.");
  schema.Add("tls.key_file", &tls.key_file, "PEM file of the certificate's private key.");
  schema.Add("vault.address", &vault_address, "credential-vault, host:port.");
  schema.Add("vault.server_name", &vault_name, "Name that the vault's certificate bears.");
  schema.Add("cabinet.address", &cabinet_address, "cabinet, host:port.");
  schema.Add("cabinet.server_name", &cabinet_name, "Name that the cabinet's certificate bears.");
  schema.Add("topics_file", &topics_file, "The declared topics.");
}

Status Environment::CheckKafka() const {
  return kafka.brokers.empty()
             ? absl::InvalidArgumentError(
                   "the brokers are missing: --kafka or kafka.brokers of the configuration")
             : absl::OkStatus();
}

obs::Metrics& Environment::metrics() {
  if (metrics_ == nullptr) {
    metrics_ = std::make_unique<obs::Metrics>("dealctl", service::Version(), service::Revision());
  }
  return *metrics_;
}

}  // namespace dealstream::cli
