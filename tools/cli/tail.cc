#include <atomic>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "fmt/format.h"

#include "libs/base/strings.h"
#include "tools/cli/environment.h"
#include "tools/cli/messages.h"

namespace dealstream::cli {
namespace {

struct TailOptions {
  std::string topic;
  std::string from = "now";
  int64_t count = 0;
  std::string idle;
};

std::atomic<bool> interrupted =
    false;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): a signal's.

// Records on their way from the reader's thread to the printing one. Bounded: the reader waits.
class Inbox {
 public:
  void Put(kafka::InRecord record) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return records_.size() < kMost || closed_; });
    records_.push_back(std::move(record));
    changed_.notify_all();
  }

  std::optional<kafka::InRecord> Take(absl::Duration wait) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoMilliseconds(wait), [this] { return !records_.empty(); });
    if (records_.empty()) {
      return std::nullopt;
    }
    kafka::InRecord record = std::move(records_.front());
    records_.pop_front();
    changed_.notify_all();
    return record;
  }

  // Lets a waiting Put go.
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  static constexpr size_t kMost = 10'000;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<kafka::InRecord> records_;
  bool closed_ = false;
};

Status Print(const kafka::InRecord& record, const std::vector<topics::Spec>& specs) {
  Result<Json> json = RecordToJson(record, specs);
  if (!json.ok()) {
    // One unreadable record doesn't end a tail.
    std::cerr << fmt::format("dealctl: {}\n", ToStd(json.status().message()));
    return absl::OkStatus();
  }
  std::cout << ToLine(*json) << std::endl;
  return std::cout ? absl::OkStatus() : absl::CancelledError("standard output is closed");
}

Status Tail(const TailOptions& options, Environment& environment) {
  DEALSTREAM_RETURN_IF_ERROR(environment.CheckKafka());
  absl::Duration idle = absl::InfiniteDuration();
  if (!options.idle.empty() && !absl::ParseDuration(ToAbsl(options.idle), &idle)) {
    return absl::InvalidArgumentError(
        fmt::format("--idle: got \"{}\", want a duration like 5s", options.idle));
  }
  // Most records say their type themselves; the declared topics are for those that don't.
  const std::vector<topics::Spec> specs =
      topics::Load(environment.topics_file).value_or(std::vector<topics::Spec>());
  DEALSTREAM_RETURN_IF_ERROR(kafka::PartitionCounts(environment.kafka, {options.topic}).status());
  std::signal(SIGINT, [](int) { interrupted = true; });
  std::signal(SIGTERM, [](int) { interrupted = true; });

  Inbox inbox;
  kafka::TableReader::Options reading;
  reading.client = environment.kafka;
  reading.topic = options.topic;
  reading.from_now = options.from == "now";
  reading.on_record = [&inbox](const kafka::InRecord& record) { inbox.Put(record); };
  DEALSTREAM_ASSIGN_OR_RETURN(
      auto reader, kafka::TableReader::Create(std::move(reading), environment.metrics()));

  Status status;
  absl::Time last = absl::Now();
  for (int64_t printed = 0;
       status.ok() && !interrupted && (options.count == 0 || printed < options.count);) {
    if (const std::optional<kafka::InRecord> record = inbox.Take(absl::Milliseconds(100))) {
      status = Print(*record, specs);
      ++printed;
      last = absl::Now();
    } else if (absl::Now() - last > idle) {
      break;
    }
  }
  inbox.Close();
  return status;
}

}  // namespace

void AddTailCommand(CLI::App& app, Environment& environment, Status& outcome) {
  auto options = std::make_shared<TailOptions>();
  CLI::App* tail = app.add_subcommand("tail", "Print a topic's committed records as JSON lines");
  tail->add_option("topic", options->topic, "Name without the prefix, e.g. deals.v1")->required();
  tail->add_option("--from", options->from, "beginning or now")
      ->check(CLI::IsMember({"beginning", "now"}))
      ->capture_default_str();
  tail->add_option("--count", options->count, "Stop after so many; 0: never")
      ->check(CLI::NonNegativeNumber);
  tail->add_option("--idle", options->idle, "Stop when nothing came for so long, e.g. 5s");
  tail->callback([options, &environment, &outcome] { outcome = Tail(*options, environment); });
}

}  // namespace dealstream::cli
