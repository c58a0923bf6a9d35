// normalizer-load: how many records a second one deal-normalizer works off, end to end: read from
// the broker, mapped, compared with the state, written in transactions. Fills the record topic
// first, then runs the service's own pipeline in this process and measures it alone; or, for
// comparison, nothing but its Kafka clients (--bound).
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  bool bound = false;
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

// Rate and CPU from the first records on until the last ones.
class Meter {
 public:
  explicit Meter(int64_t expected) : expected_(static_cast<double>(expected)) {}

  void See(double count) {
    if (count == count_) {
      return;
    }
    last_ = absl::Now();
    last_cpu_ = CpuTime();
    if (count_ == 0) {
      first_count_ = count;
      first_ = last_;
      first_cpu_ = last_cpu_;
    }
    count_ = count;
  }

  // All have been seen, or nothing has moved for too long: a group that is being joined and a
  // coordinator that has just begun take seconds.
  bool done() const {
    const absl::Duration patience = absl::Seconds(count_ == 0 ? 60 : 5);
    return count_ >= expected_ || absl::Now() - last_ >= patience;
  }

  Status Print() const {
    const double done = count_ - first_count_;
    const double seconds = absl::ToDoubleSeconds(last_ - first_);
    const double cpu = absl::ToDoubleSeconds(last_cpu_ - first_cpu_);
    fmt::print(
        "{{\"events\": {:.0f}, \"seconds\": {:.3f}, \"events_per_second\": {:.0f}, "
        "\"cpu_us_per_event\": {:.2f}, \"events_per_cpu_second\": {:.0f}, \"memory_mib\": {}}}\n",
        count_,
        seconds,
        done / seconds,
        cpu / done * 1e6,
        done / cpu,
        ResidentMiB());
    return done > 0 ? absl::OkStatus() : absl::UnavailableError("no event came out");
  }

 private:
  const double expected_;
  double first_count_ = 0;
  double count_ = 0;
  absl::Time first_;
  absl::Time last_ = absl::Now();
  absl::Duration first_cpu_;
  absl::Duration last_cpu_;
};

Status Measure(const Flags& flags, const crm::Adapter& adapter, obs::Metrics& metrics) {
  obs::Health health(Clock::System());
  DEALSTREAM_ASSIGN_OR_RETURN(std::unique_ptr<kv::Store> rocks,
                              kv::OpenRocks({.path = flags.config.state_path,
                                             .cache_bytes = flags.config.state_cache.value}));
  StateStore store(std::move(rocks));
  prometheus::Counter& emitted = metrics.GetCounter(
      "events_done_total", {{"crm", adapter.id()}, {"outcome", "emitted"}, {"reason", ""}});
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
  Meter meter(flags.records);
  while (!meter.done()) {
    absl::SleepFor(absl::Milliseconds(2));
    meter.See(emitted.Value());
  }
  DEALSTREAM_RETURN_IF_ERROR(pipeline.Stop(absl::Now() + absl::Seconds(30)));
  return meter.Print();
}

// What becomes of one record, as the pipeline would write it.
Result<std::vector<kafka::OutRecord>> OutputsOfOne(const crm::Adapter& adapter,
                                                   const Sample& sample) {
  Normalizer normalizer(adapter, CurrentShape());
  const StateStore store(kv::MakeMemoryStore());
  Batch batch(adapter.id(), normalizer, store, Clock::System());
  kafka::InRecord in;
  in.topic = Topics(adapter.id()).records;
  in.key = "acme0";
  in.value = sample.Make(0, 1).SerializeAsString();
  in.timestamp = absl::Now();
  DEALSTREAM_RETURN_IF_ERROR(batch.Add(in));
  std::vector<kafka::OutRecord> records;
  for (Batch::Output& output : batch.TakeOutputs()) {
    records.push_back(std::move(output.record));
  }
  return records;
}

// The same reading and writing with nothing decided or kept: what the clients alone cost.
Status MeasureBound(const Flags& flags,
                    const crm::Adapter& adapter,
                    const Sample& sample,
                    obs::Metrics& metrics) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto outputs, OutputsOfOne(adapter, sample));
  const Clients clients = MakeClients(flags.config, metrics);
  DEALSTREAM_ASSIGN_OR_RETURN(const auto consumer, clients.make_consumer({}, {}));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto producer, clients.make_producer());
  Meter meter(flags.records);
  int64_t count = 0;
  while (!meter.done()) {
    DEALSTREAM_ASSIGN_OR_RETURN(
        const auto records,
        consumer->Poll(static_cast<size_t>(flags.config.batch_records), absl::Milliseconds(100)));
    if (records.empty()) {
      continue;
    }
    std::map<int32_t, int64_t> next;
    DEALSTREAM_RETURN_IF_ERROR(producer->Begin());
    for (const kafka::InRecord& record : records) {
      next[record.partition] = record.offset + 1;
      // Spread over the partitions as the pipeline's are.
      const std::string key = fmt::format("deal_{}", record.offset % flags.deals);
      for (kafka::OutRecord output : outputs) {
        if (output.partition < 0) {
          output.key = key;
        } else {
          output.partition = record.partition;
        }
        DEALSTREAM_RETURN_IF_ERROR(producer->Send(std::move(output)));
      }
    }
    kafka::Offsets offsets;
    for (const auto& [partition, offset] : next) {
      offsets.emplace_back(kafka::TopicPartition{records.front().topic, partition}, offset);
    }
    DEALSTREAM_RETURN_IF_ERROR(producer->Commit(*consumer, offsets).status());
    count += static_cast<int64_t>(records.size());
    meter.See(static_cast<double>(count));
  }
  return meter.Print();
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
  return flags.bound ? MeasureBound(flags, adapter, sample, metrics)
                     : Measure(flags, adapter, metrics);
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
  app.add_flag("--bound", flags.bound, "Only read and write, for comparison: nothing is decided");
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
