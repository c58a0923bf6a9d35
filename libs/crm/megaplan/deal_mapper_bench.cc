#include <string>

#include "benchmark/benchmark.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/megaplan/adapter.h"

namespace dealstream::crm::megaplan {
namespace {

// One record into the bytes of its deal, as the normalizer does it: message and string are used
// again.
void MapToBytes(benchmark::State& state, const std::string& name) {
  const auto adapter = MakeAdapter();
  auto cases = fixture::LoadDealCases(
      *adapter, std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/megaplan/testdata");
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

BENCHMARK_CAPTURE(MapToBytes, two_kibibytes, "two_kibibytes");
BENCHMARK_CAPTURE(MapToBytes, full_deal_compact, "full_deal_compact");
BENCHMARK_CAPTURE(MapToBytes, full_deal, "full_deal");

}  // namespace
}  // namespace dealstream::crm::megaplan
