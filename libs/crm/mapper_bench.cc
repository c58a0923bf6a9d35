#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "benchmark/benchmark.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/registry.h"

namespace dealstream::crm {
namespace {

int64_t SizeOf(const fixture::MappingCase& one) {
  size_t size = 0;
  for (const auto& part : one.record.parts()) {
    size += part.body().size();
  }
  return static_cast<int64_t>(size);
}

// One record into the bytes of its deal or request, as the normalizer does it: messages and string
// are used again.
void MapToBytes(benchmark::State& state, const Adapter& adapter, const fixture::MappingCase& one) {
  fixture::Mapped mapped;
  const auto& message = mapped.MessageOf(one.record.purpose());
  std::string bytes;
  for (auto unused : state) {
    const auto status = mapped.Map(adapter, one.record).status();
    if (!status.ok()) {
      state.SkipWithError(status.ToString().c_str());
      return;
    }
    message.SerializeToString(&bytes);
    benchmark::DoNotOptimize(bytes.data());
  }
  state.SetBytesProcessed(state.iterations() * SizeOf(one));
  state.counters["record_bytes"] = static_cast<double>(SizeOf(one));
  state.counters["event_bytes"] = static_cast<double>(bytes.size());
}

// Of one mapper's cases the one of 2 KiB, where there is one, that of middle size and the largest.
std::vector<fixture::MappingCase> Chosen(const Adapter& adapter,
                                         std::vector<fixture::MappingCase> cases) {
  fixture::Mapped mapped;
  cases.erase(std::remove_if(cases.begin(),
                             cases.end(),
                             [&](const auto& one) {
                               return !mapped.Map(adapter, one.record).value_or(false);
                             }),
              cases.end());
  std::sort(cases.begin(), cases.end(), [](const auto& a, const auto& b) {
    return SizeOf(a) < SizeOf(b);
  });
  std::vector<fixture::MappingCase> chosen;
  for (size_t i = 0; i < cases.size(); ++i) {
    if (cases[i].name == "two_kibibytes" || i == cases.size() / 2 || i + 1 == cases.size()) {
      chosen.push_back(cases[i]);
    }
  }
  return chosen;
}

// "MapToBytes/<crm>/<case>"; that of a request has "/requests" behind it.
int RegisterAll() {
  static const Registry registry = AllAdapters();
  for (const auto& adapter : registry.adapters()) {
    const std::string testdata =
        fmt::format("{}/libs/crm/{}/testdata", DEALSTREAM_SOURCE_DIR, adapter->id());
    for (const auto load : {&fixture::LoadDealCases, &fixture::LoadRequestCases}) {
      // Without the mapper there are no cases.
      auto cases = load(*adapter, testdata);
      if (!cases.ok()) {
        fmt::print(stderr, "{}: {}\n", testdata, cases.status().ToString());
        continue;
      }
      for (const fixture::MappingCase& one : Chosen(*adapter, *std::move(cases))) {
        const bool is_request = one.record.purpose() == Purpose::PURPOSE_REQUESTS;
        const std::string name = fmt::format(
            "MapToBytes/{}/{}{}", adapter->id(), one.name, is_request ? "/requests" : "");
        benchmark::RegisterBenchmark(name.c_str(), [crm = adapter.get(), one](auto& state) {
          MapToBytes(state, *crm, one);
        });
      }
    }
  }
  return 0;
}

[[maybe_unused]] const int kRegistered = RegisterAll();

}  // namespace
}  // namespace dealstream::crm
