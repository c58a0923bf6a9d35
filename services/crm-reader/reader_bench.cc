// One core's worth of the reader without network: notices in, reads answered at once, records out.
#include <memory>
#include <string>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include "libs/obs/metrics.h"
#include "services/crm-reader/reader.h"
#include "services/crm-reader/testing.h"

namespace dealstream::reader {
namespace {

class NullProducer final : public kafka::Producer {
 public:
  Status Send(kafka::OutRecord record, Done done) override {
    benchmark::DoNotOptimize(record.value->data());
    done(kafka::Position{0, offset_++});
    return absl::OkStatus();
  }
  int Poll() override { return 0; }
  Status Flush(absl::Time) override { return absl::OkStatus(); }
  bool Connected() const override { return true; }

 private:
  int64_t offset_ = 0;
};

class QuickTransport final : public http::Transport {
 public:
  Result<http::Response> Send(const http::Request&) override {
    return http::Response{200, {}, body_};
  }

 private:
  const std::string body_ = "1" + std::string(2048, ' ');
};

kafka::InRecord MakeIntegration(int number) {
  integration::v1::Integration message;
  message.set_id(fmt::format("int_01hv{:022}", number));
  message.set_crm("acme");
  message.set_account_id(fmt::format("tenant-{}", number));
  message.set_crm_account_id(fmt::format("company{}", number));
  message.set_credential_id(fmt::format("crd_01hv{:022}", number));
  message.set_purpose(integration::v1::PURPOSE_DEALS);
  message.set_active(true);
  message.set_version(1);
  message.set_name("Основной склад");
  message.set_webhook_token_sha256(std::string(32, 'x'));
  message.mutable_settings()->set_type_url(
      "type.googleapis.com/dealstream.crm.example.v1.Settings");
  message.mutable_settings()->set_value(std::string(40, 's'));
  kafka::InRecord record;
  record.key = message.id();
  record.value = message.SerializeAsString();
  return record;
}

// Argument: accounts that the notices are spread over.
void BM_NoticeToRecord(benchmark::State& state) {
  auto accounts = static_cast<int>(state.range(0));
  obs::Metrics registry("crm-reader", "bench", "bench");
  ReaderMetrics metrics(registry, "acme");
  Clock& clock = Clock::System();
  testing::FakeAdapter adapter;
  adapter.limit = {.units = 1e12, .interval = absl::Milliseconds(1), .reader_share = 1};
  QuickTransport transport;
  testing::FakeVault vault;
  AccessCache access({}, clock, vault);
  Integrations integrations("acme");
  for (int i = 0; i < accounts; ++i) {
    integrations.Apply(MakeIntegration(i));
  }
  Cursors cursors;
  NullProducer producer;
  Outbox outbox(producer, clock);
  Reader::Options options;
  options.crm = "acme";
  Reader reader(options,
                {clock, adapter, transport, access, integrations, cursors, outbox, metrics});
  reader.Assign({{"crm.notice.acme", 0}});
  raw::v1::Notice notice;
  notice.set_crm("acme");
  notice.set_body("order:7f130554-5fa0-11f1-0a82-8be78f9e65c9");
  int64_t offset = 0;
  for (auto _ : state) {
    int account = static_cast<int>(offset % accounts);
    notice.set_id(fmt::format("n{}", offset));
    notice.set_integration_id(fmt::format("int_01hv{:022}", account));
    kafka::InRecord record;
    record.topic = "crm.notice.acme";
    record.offset = offset++;
    record.key = "key";
    record.value = notice.SerializeAsString();
    reader.Accept({std::move(record)});
    while (reader.RunOne()) {
    }
    if (offset % 1000 == 0) {
      reader.Tick();
      benchmark::DoNotOptimize(reader.TakeCommits());
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_NoticeToRecord)->Arg(1)->Arg(1000);

// Memory of the table; argument: integrations.
void BM_IntegrationsTable(benchmark::State& state) {
  for (auto _ : state) {
    malloc_trim(0);
    size_t before = mallinfo2().uordblks;
    auto table = std::make_unique<Integrations>("acme");
    for (int i = 0; i < state.range(0); ++i) {
      table->Apply(MakeIntegration(i));
    }
    state.counters["MB"] = static_cast<double>(mallinfo2().uordblks - before) / 1e6;
  }
}
BENCHMARK(BM_IntegrationsTable)->Arg(100'000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace dealstream::reader
