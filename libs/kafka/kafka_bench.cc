// Rates against the broker that DEALSTREAM_KAFKA_BROKERS names (topic "bench" must exist there;
// tools/bench starts one): the producer served by its own event loop, transactions of up to 1000
// records, and reading. Without a broker they end with an error.
#include <cstdlib>
#include <string>

#include "absl/time/clock.h"
#include <sys/eventfd.h>
#include <unistd.h>

#include "benchmark/benchmark.h"
#include "libs/kafka/cloudevents.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/metrics.h"

namespace dealstream::kafka {
namespace {

// True when the benchmark can't run.
bool LacksBroker(benchmark::State& state) {
  if (std::getenv("DEALSTREAM_KAFKA_BROKERS") != nullptr) {
    return false;
  }
  state.SkipWithError("DEALSTREAM_KAFKA_BROKERS is not set");
  return true;
}

ClientConfig Config() {
  ClientConfig config;
  config.brokers = std::getenv("DEALSTREAM_KAFKA_BROKERS");
  config.client_id = "bench";
  if (const char* compression = std::getenv("DEALSTREAM_BENCH_COMPRESSION")) {
    config.compression = compression;
  }
  return config;
}

// 1 KiB of text that compresses as JSON does, about 4 to 1.
std::string Body() {
  std::string body;
  for (int i = 0; body.size() < 1024; ++i) {
    body += R"({"id":")" + std::to_string(i * 7919 % 100'000) + R"(","sum":)" +
            std::to_string(i * 104'729) + "},";
  }
  body.resize(1024);
  return body;
}

OutRecord MakeRecord(const std::string& body, int64_t number, bool headers) {
  OutRecord record = {"bench", -1, std::to_string(number % 1000), body, {}};
  if (headers) {
    EventAttributes attributes;
    attributes.id = std::to_string(number);
    attributes.source = "/crm/x/integrations/int_01hv0000000000000000000000";
    attributes.type = "dealstream.deal.changed.v1";
    attributes.subject = "int_01hv0000000000000000000000:12345678";
    attributes.time = absl::Now();
    attributes.data_schema = "dealstream.deal.v1.DealEvent";
    record.headers = ToHeaders(attributes);
  }
  return record;
}

// At most 10,000 under way: delivery reports are served as they come.
void BM_Produce(benchmark::State& state) {
  if (LacksBroker(state)) {
    return;
  }
  obs::Metrics metrics("bench", "0", "0");
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  Producer::Options options;
  options.client = Config();
  options.linger_ms = 0;
  options.manual_poll = true;
  options.notify_fd = fd;
  auto producer = Producer::Create(std::move(options), metrics);
  if (!producer.ok()) {
    state.SkipWithError(producer.status().ToString().c_str());
    return;
  }
  const std::string body = Body();
  int64_t sent = 0;
  int64_t done = 0;
  int64_t failed = 0;
  const auto on_done = [&](const Result<Position>& result) {
    ++done;
    failed += result.ok() ? 0 : 1;
  };
  for (auto _ : state) {
    if (!(*producer)->Send(MakeRecord(body, sent, state.range(0) != 0), on_done).ok()) {
      ++failed;
      continue;
    }
    ++sent;
    uint64_t wakeups = 0;
    while ((sent % 64 == 0 && read(fd, &wakeups, sizeof(wakeups)) > 0) || sent - done > 10'000) {
      (*producer)->Poll();
    }
  }
  static_cast<void>((*producer)->Flush(absl::Now() + absl::Seconds(30)));
  state.SetItemsProcessed(sent);
  state.counters["failed"] = static_cast<double>(failed);
  producer->reset();
  close(fd);
}
BENCHMARK(BM_Produce)->Arg(0)->Arg(1)->MeasureProcessCPUTime()->UseRealTime();

void BM_Transactions(benchmark::State& state) {
  if (LacksBroker(state)) {
    return;
  }
  obs::Metrics metrics("bench", "0", "0");
  TransactionalProducer::Options options;
  options.client = Config();
  options.transactional_id = "bench";
  auto producer = TransactionalProducer::Create(std::move(options), metrics);
  Consumer::Options consuming;
  consuming.client = Config();
  consuming.group = "bench";
  consuming.topics = {"bench"};
  auto consumer = Consumer::Create(std::move(consuming), metrics);
  if (!producer.ok() || !consumer.ok()) {
    state.SkipWithError("no client");
    return;
  }
  const std::string body = Body();
  const int64_t size = state.range(0);
  int64_t number = 0;
  for (auto _ : state) {
    Status status = (*producer)->Begin();
    for (int64_t i = 0; i < size && status.ok(); ++i) {
      status = (*producer)->Send(MakeRecord(body, ++number, true));
    }
    if (status.ok()) {
      status = (*producer)->Commit(**consumer, {}).status();
    }
    if (!status.ok()) {
      state.SkipWithError(status.ToString().c_str());
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * size);
}
// One partition of the topic from its beginning; run the others first, they fill it.
void BM_ReadRange(benchmark::State& state) {
  if (LacksBroker(state)) {
    return;
  }
  ReadRangeOptions options;
  options.client = Config();
  options.partition = {"bench", 0};
  int64_t records = 0;
  int64_t bytes = 0;
  options.on_record = [&](const InRecord& record) {
    ++records;
    bytes += static_cast<int64_t>(record.value.value_or("").size());
  };
  for (auto _ : state) {
    if (const auto result = ReadRange(options); !result.ok()) {
      state.SkipWithError(result.status().ToString().c_str());
      return;
    }
  }
  state.SetItemsProcessed(records);
  state.SetBytesProcessed(bytes);
}
BENCHMARK(BM_Transactions)->Arg(1)->Arg(100)->Arg(1000)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(BM_ReadRange)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace dealstream::kafka
