#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "libs/crm/registry.h"
#include "services/deal-normalizer/normalizer.h"
#include "services/deal-normalizer/samples.h"

namespace dealstream::normalizer {
namespace {

enum class Case { kChange, kRepeat, kOlder };

// From the record's bytes to those of event, snapshot and state, on one order of about 2 KiB.
void Apply(benchmark::State& state, const crm::Adapter& adapter, Case kind) {
  const auto sample = Sample::Load(
      adapter,
      std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/" + std::string(adapter.id()) + "/testdata",
      2'048);
  if (!sample.ok()) {
    state.SkipWithError(sample.status().ToString().c_str());
    return;
  }
  Normalizer normalizer(adapter, CurrentShape());
  std::vector<std::string> versions;
  for (int64_t version = 1; version <= 64; ++version) {
    versions.push_back(sample->Make(1, version).SerializeAsString());
  }
  // Each version's predecessor.
  std::vector<std::string> states;
  raw::v1::Record record;
  for (size_t i = 0; i < versions.size(); ++i) {
    record.ParseFromString(versions[i]);
    states.push_back(*normalizer.Apply(record, std::nullopt).state);
  }
  size_t i = 1;
  size_t emitted = 0;
  for (auto unused : state) {
    const size_t kept = kind == Case::kChange ? i - 1 : kind == Case::kRepeat ? i : i + 1;
    record.ParseFromString(versions[i]);
    const Decision decision = normalizer.Apply(record, states[kept]);
    benchmark::DoNotOptimize(decision);
    emitted += decision.event.has_value() ? 1 : 0;
    i = i + 2 < versions.size() ? i + 1 : 1;
  }
  state.counters["order_bytes"] = static_cast<double>(sample->bytes());
  state.counters["state_bytes"] = static_cast<double>(states[0].size());
  state.counters["emitted"] =
      benchmark::Counter(static_cast<double>(emitted), benchmark::Counter::kAvgIterations);
}

const bool registered = [] {
  static const crm::Registry registry = crm::AllAdapters();
  for (const auto& adapter : registry.adapters()) {
    if (adapter->deal_mapper() == nullptr) {
      continue;
    }
    const std::string id(adapter->id());
    for (const auto& [name, kind] : {std::pair{"Change", Case::kChange},
                                     std::pair{"Repeat", Case::kRepeat},
                                     std::pair{"Older", Case::kOlder}}) {
      benchmark::RegisterBenchmark(("Apply/" + id + "/" + name).c_str(),
                                   [&adapter = *adapter, kind = kind](benchmark::State& state) {
                                     Apply(state, adapter, kind);
                                   });
    }
  }
  return true;
}();

}  // namespace
}  // namespace dealstream::normalizer
