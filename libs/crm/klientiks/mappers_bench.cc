#include <string>

#include "benchmark/benchmark.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/klientiks/adapter.h"

namespace dealstream::crm::klientiks {
namespace {

// One record into the bytes of its deal or request, as the normalizer does it: message and string
// are used again.
void MapToBytes(benchmark::State& state, Purpose purpose, const std::string& name) {
  const auto adapter = MakeAdapter();
  const std::string testdata = std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/klientiks/testdata";
  const bool is_request = purpose == Purpose::PURPOSE_REQUESTS;
  auto cases = is_request ? fixture::LoadRequestCases(*adapter, testdata)
                          : fixture::LoadDealCases(*adapter, testdata);
  if (!cases.ok()) {
    state.SkipWithError(cases.status().ToString().c_str());
    return;
  }
  raw::v1::Record record;
  for (const fixture::MappingCase& one : *cases) {
    if (one.name == name) {
      record = one.record;
    }
  }
  deal::v1::Deal deal;
  request::v1::Request request;
  std::string bytes;
  size_t size = 0;
  for (const auto& part : record.parts()) {
    size += part.body().size();
  }
  for (auto unused : state) {
    const Status status = is_request ? adapter->request_mapper()->Map(record, request).status()
                                     : adapter->deal_mapper()->Map(record, deal);
    if (!status.ok()) {
      state.SkipWithError(status.ToString().c_str());
      return;
    }
    is_request ? request.SerializeToString(&bytes) : deal.SerializeToString(&bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(size));
  state.counters["record_bytes"] = static_cast<double>(size);
  state.counters["event_bytes"] = static_cast<double>(bytes.size());
}

BENCHMARK_CAPTURE(MapToBytes, two_kibibytes, Purpose::PURPOSE_DEALS, "two_kibibytes");
BENCHMARK_CAPTURE(MapToBytes, full_visit, Purpose::PURPOSE_DEALS, "full_visit");
BENCHMARK_CAPTURE(MapToBytes, booking, Purpose::PURPOSE_REQUESTS, "booking");

}  // namespace
}  // namespace dealstream::crm::klientiks
