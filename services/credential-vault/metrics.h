#pragma once

#include <map>
#include <string>
#include <string_view>

#include "libs/crm/api/registry.h"
#include "libs/obs/metrics.h"

namespace dealstream::vault {

// The vault's own metrics: handles, taken once. Thread-safe.
class VaultMetrics {
 public:
  VaultMetrics(obs::Metrics& metrics, const crm::Registry& registry);

  // credential_reads_total. `code` as in AuditEvent::outcome; a crm that isn't known counts as
  // "unknown".
  void CountRead(std::string_view crm, std::string_view code);
  // token_mints_total.
  void CountMint(std::string_view crm, bool ok);
  void SetFailing(std::string_view crm, double credentials);
  void ObserveKms(double seconds);
  void SetWorkWaiting(double waiting);

 private:
  struct OfCrm {
    prometheus::Counter* read_ok;
    prometheus::Counter* read_denied;
    prometheus::Counter* read_not_found;
    prometheus::Counter* read_error;
    prometheus::Counter* mint_ok;
    prometheus::Counter* mint_error;
    prometheus::Gauge* failing;
  };
  OfCrm& Of(std::string_view crm);

  std::map<std::string, OfCrm, std::less<>> crms_;
  prometheus::Histogram& kms_seconds_;
  prometheus::Gauge& work_waiting_;
};

}  // namespace dealstream::vault
