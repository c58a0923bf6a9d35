#include "services/credential-vault/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

namespace dealstream::vault {
namespace {

constexpr std::string_view kUnknown = "unknown";

}  // namespace

VaultMetrics::VaultMetrics(obs::Metrics& metrics, const crm::Registry& registry)
    : kms_seconds_(metrics.GetHistogram("kms_seconds")),
      work_waiting_(metrics.GetGauge("queue_depth", {{"queue", "vault_work"}})) {
  const auto take = [&](std::string_view crm) {
    const auto reads = [&](std::string_view outcome) {
      return &metrics.GetCounter("credential_reads_total", {{"crm", crm}, {"outcome", outcome}});
    };
    const auto mints = [&](std::string_view outcome) {
      return &metrics.GetCounter("token_mints_total", {{"crm", crm}, {"outcome", outcome}});
    };
    crms_.emplace(crm,
                  OfCrm{.read_ok = reads("ok"),
                        .read_denied = reads("denied"),
                        .read_not_found = reads("not_found"),
                        .read_error = reads("error"),
                        .mint_ok = mints("ok"),
                        .mint_error = mints("error"),
                        .failing = &metrics.GetGauge("credentials_failing", {{"crm", crm}})});
  };
  take(kUnknown);
  for (const auto& adapter : registry.adapters()) {
    take(adapter->id());
  }
}

VaultMetrics::OfCrm& VaultMetrics::Of(std::string_view crm) {
  const auto found = crms_.find(crm);
  return found == crms_.end() ? crms_.find(kUnknown)->second : found->second;
}

void VaultMetrics::CountRead(std::string_view crm, std::string_view code) {
  OfCrm& of = Of(crm);
  prometheus::Counter* counter = code == "OK"                  ? of.read_ok
                                 : code == "PERMISSION_DENIED" ? of.read_denied
                                 : code == "NOT_FOUND"         ? of.read_not_found
                                                               : of.read_error;
  counter->Increment();
}

void VaultMetrics::CountMint(std::string_view crm, bool ok) {
  (ok ? Of(crm).mint_ok : Of(crm).mint_error)->Increment();
}

void VaultMetrics::SetFailing(std::string_view crm, double credentials) {
  Of(crm).failing->Set(credentials);
}

void VaultMetrics::ObserveKms(double seconds) { kms_seconds_.Observe(seconds); }

void VaultMetrics::SetWorkWaiting(double waiting) { work_waiting_.Set(waiting); }

}  // namespace dealstream::vault
