// normalizer-load: how many records a second one deal-normalizer works off, end to end: read from
// the broker, mapped, compared with the state, written in transactions. Fills the record topic
// first, then runs the service's own pipeline in this process and measures it alone.
#include <atomic>
#include <cstdio>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/time/clock.h"
#include "fmt/format.h"
#include "prometheus/counter.h"
#include <sys/resource.h>

#include "libs/base/ids.h"
#include "libs/crm/registry.h"
#include "libs/kafka/cloudevents.h"
#include "libs/kv/key_value.h"
#include "libs/obs/log.h"
#include "services/deal-normalizer/samples.h"
#include "services/deal-normalizer/service.h"

namespace dealstream::normalizer {
namespace {

struct Flags {
  Config config;
  std::string testdata;
  int64_t records = 50'000;
  int64_t deals = 5'000;
  size_t bytes = 2'048;
  int keys = 256;
};

absl::Duration CpuTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

int64_t ResidentMiB() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

Status Fill(const Flags& flags, const Sample& sample, obs::Metrics& metrics) {
  kafka::Producer::Options options;
  options.client = flags.config.kafka;
  options.client.client_id = "normalizer-load";
  DEALSTREAM_ASSIGN_OR_RETURN(const auto producer, kafka::Producer::Create(options, metrics));
  const std::string topic = Topics(flags.config.crm).records;
  std::atomic<int64_t> failed = 0;
  for (int64_t i = 0; i < flags.records; ++i) {
    const int64_t deal = i % flags.deals;
    kafka::OutRecord record;
    record.topic = topic;
    record.key = fmt::format("acme{}", deal % flags.keys);
    record.value = sample.Make(deal, 1 + i / flags.deals).SerializeAsString();
    record.headers = kafka::ToHeaders({.id = fmt::format("{}", i),
                                       .source = "/crm/load/integrations/int_load",
                                       .type = "dealstream.record.read.v1",
                                       .subject = "load",
                                       .time = absl::Now(),
                                       .data_schema = "dealstream.raw.v1.Record",
                                       .traceparent = ""});
    while (true) {
      const Status sent = producer->Send(
          record, [&failed](const Result<kafka::Position>& done) { failed += done.ok() ? 0 : 1; });
      if (sent.ok()) {
        break;
      }
      if (!absl::IsResourceExhausted(sent)) {
        return sent;
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  DEALSTREAM_RETURN_IF_ERROR(producer->Flush(absl::Now() + absl::Minutes(2)));
  return failed == 0
             ? absl::OkStatus()
             : absl::UnavailableError(fmt::format("{} records were refused", failed.load()));
}

// Until nothing has been done for a second.
Status Measure(const Flags& flags, const crm::Adapter& adapter, obs::Metrics& metrics) {
  obs::Health health(Clock::System());
  DEALSTREAM_ASSIGN_OR_RETURN(std::unique_ptr<kv::Store> rocks,
                              kv::OpenRocks({.path = flags.config.state_path,
                                             .cache_bytes = flags.config.state_cache.value}));
  StateStore store(std::move(rocks));
  prometheus::Counter& emitted = metrics.GetCounter(
      "events_done_total", {{"crm", adapter.id()}, {"outcome", "emitted"}, {"reason", ""}});
  Status failure;
  Pipeline pipeline(adapter,
                    {.batch_records = static_cast<size_t>(flags.config.batch_records),
                     .batch_time = flags.config.batch_time},
                    MakeClients(flags.config, metrics),
                    store,
                    Clock::System(),
                    metrics,
                    health,
                    [](const Status& status) { fmt::print(stderr, "{}\n", status.ToString()); });
  pipeline.Start();
  double begin_count = 0;
  double count = 0;
  absl::Time begin;
  absl::Time last = absl::Now();
  absl::Duration begin_cpu;
  absl::Duration last_cpu;
  // A coordinator that has just begun may let a transaction wait for seconds.
  const absl::Duration patience = absl::Seconds(5);
  while (count < static_cast<double>(flags.records) &&
         (count == 0 ? absl::Now() - last < absl::Seconds(60) : absl::Now() - last < patience)) {
    absl::SleepFor(absl::Milliseconds(2));
    const double now_count = emitted.Value();
    if (now_count == count) {
      continue;
    }
    last = absl::Now();
    last_cpu = CpuTime();
    if (count == 0) {
      begin_count = now_count;
      begin = last;
      begin_cpu = last_cpu;
    }
    count = now_count;
  }
  DEALSTREAM_RETURN_IF_ERROR(pipeline.Stop(absl::Now() + absl::Seconds(30)));
  const double done = count - begin_count;
  const double seconds = absl::ToDoubleSeconds(last - begin);
  const double cpu = absl::ToDoubleSeconds(last_cpu - begin_cpu);
  fmt::print(
      "{{\"events\": {:.0f}, \"seconds\": {:.3f}, \"events_per_second\": {:.0f}, "
      "\"cpu_us_per_event\": {:.2f}, \"events_per_cpu_second\": {:.0f}, \"memory_mib\": {}}}\n",
      count,
      seconds,
      done / seconds,
      cpu / done * 1e6,
      done / cpu,
      ResidentMiB());
  return count > 0 ? absl::OkStatus() : absl::UnavailableError("no event came out");
}

Status Run(Flags& flags) {
  const crm::Registry registry = crm::AllAdapters();
  DEALSTREAM_RETURN_IF_ERROR(flags.config.Check(registry));
  const crm::Adapter& adapter = *registry.Find(flags.config.crm);
  DEALSTREAM_ASSIGN_OR_RETURN(const Sample sample,
                              Sample::Load(adapter, flags.testdata, flags.bytes));
  obs::Metrics metrics("normalizer-load", "0", "0");
  const absl::Time begin = absl::Now();
  DEALSTREAM_RETURN_IF_ERROR(Fill(flags, sample, metrics));
  fmt::print(stderr,
             "{} records of {} bytes ({}) written in {:.1f} s\n",
             flags.records,
             sample.bytes(),
             sample.name(),
             absl::ToDoubleSeconds(absl::Now() - begin));
  return Measure(flags, adapter, metrics);
}

}  // namespace
}  // namespace dealstream::normalizer

int main(int argc, char** argv) {
  dealstream::normalizer::Flags flags;
  flags.config.instance = "load";
  CLI::App app(
      "Fills the record topic of a broker with versions of deals, then measures how fast one "
      "deal-normalizer works them off. Prints one line of JSON. Topics must exist and be empty.");
  app.add_option("--brokers", flags.config.kafka.brokers, "HOST:PORT")->required();
  app.add_option("--crm", flags.config.crm, "Whose records")->required();
  app.add_option("--testdata", flags.testdata, "The adapter's testdata folder")->required();
  app.add_option("--state", flags.config.state_path, "Folder of the local state, to be made")
      ->required();
  app.add_option("--records", flags.records, "How many");
  app.add_option("--deals", flags.deals, "Of how many deals they are versions");
  app.add_option("--bytes", flags.bytes, "Size of an order");
  app.add_option("--batch", flags.config.batch_records, "Records in one transaction");
  app.add_option("--compression", flags.config.kafka.compression, "Of all that is written");
  app.add_flag("--embedded", flags.config.kafka.embedded_broker, "It is the embedded broker");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  dealstream::obs::InitLog("normalizer-load", dealstream::obs::Level::kWarn);
  const dealstream::Status status = dealstream::normalizer::Run(flags);
  if (!status.ok()) {
    fmt::print(stderr, "{}\n", status.ToString());
  }
  return status.ok() ? 0 : 1;
}
