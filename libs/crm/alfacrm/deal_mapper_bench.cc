#include <string>

#include "benchmark/benchmark.h"
#include "libs/crm/alfacrm/adapter.h"
#include "libs/crm/api/fixture.h"

namespace dealstream::crm::alfacrm {
namespace {

// One record into the bytes of its deal, as the normalizer does it: message and string are used
// again.
void MapToBytes(benchmark::State& state, const std::string& name) {
  const auto adapter = MakeAdapter();
  auto cases = fixture::LoadDealCases(
      *adapter, std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/alfacrm/testdata");
  if (!cases.ok()) {
    state.SkipWithError(cases.status().ToString().c_str());
    return;
  }
  raw::v1::Record record;
  for (const fixture::DealCase& one : *cases) {
    if (one.name == name) {
      record = one.record;
    }
  }
  deal::v1::Deal deal;
  std::string bytes;
  size_t size = 0;
  for (const auto& part : record.parts()) {
    size += part.body().size();
  }
  for (auto unused : state) {
    const Status status = adapter->deal_mapper()->Map(record, deal);
    if (!status.ok()) {
      state.SkipWithError(status.ToString().c_str());
      return;
    }
    deal.SerializeToString(&bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
  state.counters["record_bytes"] = static_cast<double>(size);
  state.counters["deal_bytes"] = static_cast<double>(bytes.size());
}

BENCHMARK_CAPTURE(MapToBytes, new_lead, "new_lead");
BENCHMARK_CAPTURE(MapToBytes, client_with_payments, "client_with_payments");
BENCHMARK_CAPTURE(MapToBytes, upsell_payment, "upsell_payment");

}  // namespace
}  // namespace dealstream::crm::alfacrm
