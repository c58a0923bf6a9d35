#include "services/crm-reader/service.h"

#include <atomic>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "libs/base/strings.h"
#include "libs/http/curl_transport.h"
#include "libs/obs/log.h"
#include "services/crm-reader/vault_client.h"

namespace dealstream::reader {
namespace {

constexpr absl::Duration kPollWait = absl::Milliseconds(20);
constexpr size_t kPollMost = 500;
constexpr absl::Duration kCommitEvery = absl::Milliseconds(200);
constexpr absl::Duration kTryAgain = absl::Seconds(1);

std::string HostName() {
  char name[256] = "";
  (void)gethostname(name, sizeof(name) - 1);
  return name;
}

Reader::Options MakeOptions(const Config& config) {
  Reader::Options options = config.reader;
  options.crm = config.crm;
  options.most_items = static_cast<size_t>(config.most_items);
  options.most_items_of_lane = static_cast<size_t>(config.most_items_of_lane);
  options.most_bytes = static_cast<size_t>(config.most_bytes.value);
  options.workers_for_failing = static_cast<int>(std::max<int64_t>(config.workers / 2, 1));
  options.retry.max_attempts = static_cast<int>(config.max_attempts);
  options.breaker.failures = static_cast<int>(config.breaker_failures);
  return options;
}

class ReaderService final : public service::Service {
 public:
  static Result<std::unique_ptr<service::Service>> Start(const Config& config,
                                                         const crm::Adapter& adapter,
                                                         service::Context& context) {
    kafka::ClientConfig client = config.kafka;
    if (client.client_id.empty()) {
      client.client_id = fmt::format("crm-reader-{}-{}", config.crm, HostName());
    }
    http::CurlOptions curl;
    curl.allowed_host_suffixes = adapter.AllowedHostSuffixes();
    curl.allow_loopback = config.allow_loopback;
    DEALSTREAM_ASSIGN_OR_RETURN(auto transport, http::CurlTransport::Create(curl));
    kafka::Producer::Options producing;
    producing.client = client;
    producing.linger_ms = static_cast<int>(config.linger_ms);
    DEALSTREAM_ASSIGN_OR_RETURN(auto producer, kafka::Producer::Create(producing, context.metrics));
    std::unique_ptr<ReaderService> service(new ReaderService(
        config, client, adapter, context, std::move(transport), std::move(producer)));
    DEALSTREAM_RETURN_IF_ERROR(service->StartThreads());
    return std::unique_ptr<service::Service>(std::move(service));
  }

  ~ReaderService() override {
    if (!stopped_) {
      (void)Stop(context_.clock.Now());
    }
  }

  Status Stop(absl::Time deadline) override {
    stopped_ = true;
    deadline_us_ = absl::ToUnixMicros(deadline - absl::Milliseconds(500));
    draining_ = true;
    if (loop_.joinable()) {
      loop_.join();
    }
    size_t left = cut_off_;
    reader_.Abort();
    working_ = false;
    for (std::thread& worker : workers_) {
      worker.join();
    }
    workers_.clear();
    integrations_reader_.reset();
    cursors_reader_.reset();
    Status flushed = producer_->Flush(deadline);
    // Its reports refer to the reader.
    producer_.reset();
    if (left > 0) {
      return absl::DeadlineExceededError(
          fmt::format("{} items were still under way; they are read again", left));
    }
    return flushed;
  }

 private:
  ReaderService(const Config& config,
                kafka::ClientConfig client,
                const crm::Adapter& adapter,
                service::Context& context,
                std::unique_ptr<http::Transport> transport,
                std::unique_ptr<kafka::Producer> producer)
      : config_(config),
        client_(std::move(client)),
        context_(context),
        metrics_(context.metrics, config.crm),
        transport_(std::move(transport)),
        vault_(MakeVaultClient(config.vault_address, config.tls, config.vault_name)),
        access_(config.access, context.clock, *vault_),
        integrations_(config.crm),
        producer_(std::move(producer)),
        outbox_(*producer_, context.clock),
        reader_(MakeOptions(config),
                {context.clock,
                 adapter,
                 *transport_,
                 access_,
                 integrations_,
                 cursors_,
                 outbox_,
                 metrics_}),
        beat_(context.health.AddLoop("poll")) {}

  Status StartThreads() {
    context_.health.SetReady("integrations", false, "the table is being read");
    context_.health.SetReady("cursors", false, "the table is being read");
    context_.health.SetReady("partitions", false, "not assigned yet");
    DEALSTREAM_ASSIGN_OR_RETURN(
        integrations_reader_,
        Table("integrations.v1", "integrations", [this](const kafka::InRecord& record) {
          integrations_.Apply(record);
        }));
    DEALSTREAM_ASSIGN_OR_RETURN(
        cursors_reader_,
        Table(fmt::format("crm.cursor.{}", config_.crm),
              "cursors",
              [this](const kafka::InRecord& record) { cursors_.Apply(record); }));
    for (int64_t i = 0; i < config_.workers; ++i) {
      workers_.emplace_back([this] { Work(); });
    }
    loop_ = std::thread([this] { Loop(); });
    return absl::OkStatus();
  }

  Result<std::unique_ptr<kafka::TableReader>> Table(
      const std::string& topic,
      std::string_view condition,
      std::function<void(const kafka::InRecord&)> apply) {
    kafka::TableReader::Options options;
    options.client = client_;
    options.topic = topic;
    options.on_record = std::move(apply);
    options.on_caught_up = [this, condition] {
      context_.health.SetReady(condition, true);
      ++tables_caught_up_;
    };
    return kafka::TableReader::Create(std::move(options), context_.metrics);
  }

  void Work() {
    while (working_) {
      uint64_t seen = reader_.work_seen();
      if (!reader_.RunOne()) {
        reader_.WaitForWork(seen, absl::Milliseconds(200));
      }
    }
  }

  std::vector<std::string> Topics() const {
    std::vector<std::string> topics = {fmt::format("crm.notice.{}", config_.crm),
                                       fmt::format("crm.poll.{}", config_.crm)};
    for (std::string_view delay : kRetryDelays) {
      topics.push_back(fmt::format("crm.retry.{}.{}", config_.crm, delay));
    }
    return topics;
  }

  // A CRM account belongs to one process only if the range assignor gives the same numbers of all
  // these topics to the same member: they must have the same number of partitions.
  Status CheckTopics() {
    std::vector<std::string> topics = Topics();
    DEALSTREAM_ASSIGN_OR_RETURN(std::vector<int> counts, kafka::PartitionCounts(client_, topics));
    for (size_t i = 1; i < counts.size(); ++i) {
      if (counts[i] != counts[0]) {
        return absl::FailedPreconditionError(
            fmt::format("topic {} has {} partitions and {} has {}; the reader's topics must have "
                        "the same number (deploy/topics.yaml)",
                        topics[0],
                        counts[0],
                        topics[i],
                        counts[i]));
      }
    }
    std::vector<std::string> outputs = {fmt::format("crm.record.{}", config_.crm),
                                        fmt::format("dlq.crm-reader.{}", config_.crm)};
    return kafka::PartitionCounts(client_, outputs).status();
  }

  // ---- The polling thread ----------------------------------------------------------------------

  void Loop() {
    bool topics_are_there = false;
    while (!draining_ && !(topics_are_there && tables_caught_up_ == kTables)) {
      beat_.Beat();
      reader_.Tick();
      if (!topics_are_there) {
        Status checked = CheckTopics();
        topics_are_there = checked.ok();
        if (!checked.ok()) {
          context_.health.SetReady("partitions", false, ToStd(checked.message()));
          obs::Warn("topics_missing", ToStd(checked.message()));
          context_.clock.Sleep(kTryAgain);
        }
      } else {
        context_.clock.Sleep(kPollWait);
      }
    }
    while (!draining_) {
      beat_.Beat();
      if (consumer_ == nullptr && !MakeConsumer()) {
        context_.clock.Sleep(kTryAgain);
        continue;
      }
      PollOnce();
    }
    Drain();
    // The end of the consumer takes the partitions away, and with them what came from there.
    cut_off_ = reader_.in_progress();
    consumer_.reset();
  }

  bool MakeConsumer() {
    kafka::Consumer::Options options;
    options.client = client_;
    options.group = fmt::format("crm-reader.{}", config_.crm);
    options.topics = Topics();
    if (!config_.instance.empty()) {
      options.instance_id = fmt::format("crm-reader-{}-{}", config_.crm, config_.instance);
    }
    options.on_assigned = [this](const std::vector<kafka::TopicPartition>& partitions) {
      paused_.clear();
      reader_.Assign(partitions);
      context_.health.SetReady("partitions", true);
    };
    options.on_revoked = [this](const std::vector<kafka::TopicPartition>& partitions, bool lost) {
      context_.health.SetReady("partitions", false, "taken away by a rebalance");
      kafka::Offsets offsets = reader_.Revoke(partitions);
      if (!lost && !offsets.empty() && active_ != nullptr) {
        Status committed = active_->Commit(offsets);
        if (!committed.ok()) {
          obs::Warn("commit_failed", ToStd(committed.message()));
        }
      }
    };
    auto made = kafka::Consumer::Create(std::move(options), context_.metrics);
    if (!made.ok()) {
      obs::Error("consumer_failed", ToStd(made.status().message()));
      return false;
    }
    consumer_ = *std::move(made);
    active_ = consumer_.get();
    return true;
  }

  void PollOnce() {
    auto records = consumer_->Poll(kPollMost, kPollWait);
    if (records.ok()) {
      reader_.Accept(*std::move(records));
    } else if (records.status().code() != absl::StatusCode::kUnavailable) {
      obs::Error("consumer_failed", ToStd(records.status().message()));
      consumer_.reset();
      active_ = nullptr;
      return;
    }
    reader_.Tick();
    ApplyPauses();
    Commit();
  }

  void ApplyPauses() {
    std::set<kafka::TopicPartition> wanted = reader_.Paused();
    for (const kafka::TopicPartition& partition : wanted) {
      if (!paused_.contains(partition) && consumer_->Pause(partition).ok()) {
        paused_.insert(partition);
      }
    }
    for (auto at = paused_.begin(); at != paused_.end();) {
      bool resumed = !wanted.contains(*at) && consumer_->Resume(*at).ok();
      at = resumed ? paused_.erase(at) : std::next(at);
    }
  }

  void Commit() {
    absl::Time now = context_.clock.Now();
    if (now - committed_at_ < kCommitEvery) {
      return;
    }
    committed_at_ = now;
    kafka::Offsets offsets = reader_.TakeCommits();
    if (offsets.empty()) {
      return;
    }
    Status committed = consumer_->Commit(offsets);
    if (!committed.ok()) {
      obs::Warn("commit_failed", ToStd(committed.message()));
      reader_.CommitFailed(offsets);
    }
  }

  // Nothing new is polled; what is under way ends, or is parked when its time is over.
  void Drain() {
    absl::Time deadline = absl::FromUnixMicros(deadline_us_);
    while (consumer_ != nullptr && reader_.in_progress() > 0 && context_.clock.Now() < deadline) {
      beat_.Beat();
      reader_.Tick();
      context_.clock.Sleep(kPollWait);
    }
    if (consumer_ != nullptr) {
      committed_at_ = absl::InfinitePast();
      Commit();
    }
  }

  static constexpr int kTables = 2;

  const Config config_;
  const kafka::ClientConfig client_;
  service::Context& context_;
  ReaderMetrics metrics_;
  std::unique_ptr<http::Transport> transport_;
  std::unique_ptr<Vault> vault_;
  AccessCache access_;
  Integrations integrations_;
  Cursors cursors_;
  std::unique_ptr<kafka::Producer> producer_;
  Outbox outbox_;
  Reader reader_;
  obs::Health::Heartbeat& beat_;

  std::atomic<int> tables_caught_up_{0};
  std::atomic<bool> draining_{false};
  std::atomic<bool> working_{true};
  std::atomic<int64_t> deadline_us_{0};
  // Items that were under way when the polling thread ended.
  std::atomic<size_t> cut_off_{0};
  bool stopped_ = false;

  // Of the polling thread.
  std::set<kafka::TopicPartition> paused_;
  absl::Time committed_at_ = absl::InfinitePast();
  kafka::Consumer* active_ = nullptr;
  std::unique_ptr<kafka::Consumer> consumer_;

  // Threads last: they stop first. Add new fields above.
  std::unique_ptr<kafka::TableReader> integrations_reader_;
  std::unique_ptr<kafka::TableReader> cursors_reader_;
  std::vector<std::thread> workers_;
  std::thread loop_;
};

}  // namespace

Result<std::unique_ptr<service::Service>> StartReader(const Config& config,
                                                      const crm::Registry& registry,
                                                      service::Context& context) {
  const crm::Adapter* adapter = registry.Find(config.crm);
  if (adapter == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("crm: \"{}\" is no CRM of this build", config.crm));
  }
  return ReaderService::Start(config, *adapter, context);
}

}  // namespace dealstream::reader
