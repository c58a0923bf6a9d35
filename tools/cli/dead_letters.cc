#include <algorithm>
#include <future>
#include <iostream>
#include <memory>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "fmt/format.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "tools/cli/environment.h"
#include "tools/cli/messages.h"

namespace dealstream::cli {
namespace {

struct Options {
  std::string crm;
  std::string service;
  std::string reason;
  std::vector<std::string> ids;
  bool all = false;
};

struct Letter {
  kafka::InRecord record;
  raw::v1::DeadLetter letter;

  // Names it on the command line: topic/partition/offset.
  std::string id() const {
    return fmt::format("{}/{}/{}", record.topic, record.partition, record.offset);
  }
};

constexpr std::string_view kPrefix = "dlq.";

// Topics of dead letters that the options name.
Result<std::vector<std::string>> TopicsOf(const Options& options, const Environment& environment) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto specs, topics::Load(environment.topics_file));
  std::vector<std::string> names;
  for (const topics::Spec& spec : specs) {
    const bool named = (options.crm.empty() || spec.crm == options.crm) &&
                       (options.service.empty() ||
                        spec.name.starts_with(fmt::format("{}{}.", kPrefix, options.service)));
    if (spec.name.starts_with(kPrefix) && named) {
      names.push_back(spec.name);
    }
  }
  if (names.empty()) {
    return absl::InvalidArgumentError(fmt::format(
        "no dead-letter topic of crm \"{}\" and service \"{}\"", options.crm, options.service));
  }
  return names;
}

Result<std::vector<Letter>> ReadTopic(const std::string& topic, const Environment& environment) {
  DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<int> counts,
                              kafka::PartitionCounts(environment.kafka, {topic}));
  std::vector<Letter> letters;
  for (int partition = 0; partition < counts.at(0); ++partition) {
    kafka::ReadRangeOptions range;
    range.client = environment.kafka;
    range.partition = {topic, partition};
    range.on_record = [&letters](const kafka::InRecord& record) {
      Letter letter;
      if (record.value.has_value() && letter.letter.ParseFromString(*record.value)) {
        letter.record = record;
        letters.push_back(std::move(letter));
      }
    };
    range.timeout = absl::Minutes(1);
    DEALSTREAM_RETURN_IF_ERROR(kafka::ReadRange(range).status());
  }
  return letters;
}

Result<std::vector<Letter>> ReadAll(const Options& options, const Environment& environment) {
  DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<std::string> names, TopicsOf(options, environment));
  std::vector<Letter> letters;
  for (const std::string& name : names) {
    DEALSTREAM_ASSIGN_OR_RETURN(std::vector<Letter> some, ReadTopic(name, environment));
    std::move(some.begin(), some.end(), std::back_inserter(letters));
  }
  std::erase_if(letters, [&](const Letter& letter) {
    return !options.reason.empty() && letter.letter.reason() != options.reason;
  });
  std::sort(letters.begin(), letters.end(), [](const Letter& a, const Letter& b) {
    return a.record.timestamp < b.record.timestamp;
  });
  return letters;
}

Result<Letter> Find(const std::string& id, const Environment& environment) {
  const std::vector<std::string> parts = absl::StrSplit(id, '/');
  int32_t partition = 0;
  int64_t offset = 0;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[1], &partition) ||
      !absl::SimpleAtoi(parts[2], &offset)) {
    return absl::InvalidArgumentError(
        fmt::format("got \"{}\", want topic/partition/offset as listed", id));
  }
  if (!parts[0].starts_with("dlq.")) {
    return absl::InvalidArgumentError(
        fmt::format("got \"{}\", want a dead letter: its topic begins with dlq.", id));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(std::vector<Letter> letters, ReadTopic(parts[0], environment));
  for (Letter& letter : letters) {
    if (letter.record.partition == partition && letter.record.offset == offset) {
      return std::move(letter);
    }
  }
  return absl::NotFoundError(fmt::format("no dead letter {}", id));
}

Status List(const Options& options, Environment& environment) {
  DEALSTREAM_RETURN_IF_ERROR(environment.CheckKafka());
  DEALSTREAM_ASSIGN_OR_RETURN(const std::vector<Letter> letters, ReadAll(options, environment));
  std::vector<std::vector<std::string>> rows = {
      {"ID", "TIME", "STAGE", "REASON", "ATTEMPTS", "INTEGRATION", "MESSAGE"}};
  Json list = Json::array();
  for (const Letter& letter : letters) {
    const std::string time =
        absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", letter.record.timestamp, absl::UTCTimeZone());
    const raw::v1::DeadLetter& what = letter.letter;
    list.push_back({{"id", letter.id()},
                    {"time", time},
                    {"service", what.service()},
                    {"crm", what.crm()},
                    {"stage", what.stage()},
                    {"reason", what.reason()},
                    {"attempts", what.attempts()},
                    {"integration_id", what.integration_id()},
                    {"message", what.message()},
                    {"topic", what.topic()}});
    rows.push_back({letter.id(),
                    time,
                    what.stage(),
                    what.reason(),
                    std::to_string(what.attempts()),
                    what.integration_id(),
                    what.message()});
  }
  if (environment.json) {
    std::cout << ToLine(list) << "\n";
  } else {
    std::cout << (letters.empty() ? "No dead letters.\n" : Table(rows));
  }
  return absl::OkStatus();
}

// The value of the original record as JSON, where it can be read.
Json Original(const raw::v1::DeadLetter& letter, const std::vector<topics::Spec>& specs) {
  kafka::InRecord original;
  original.topic = letter.topic();
  original.partition = letter.partition();
  original.offset = letter.offset();
  original.key = letter.key();
  original.value = letter.value();
  for (const auto& header : letter.headers()) {
    original.headers.emplace_back(header.key(), header.value());
  }
  Result<Json> json = RecordToJson(original, specs);
  return json.ok() ? *std::move(json) : Json();
}

Status Show(const Options& options, Environment& environment) {
  DEALSTREAM_RETURN_IF_ERROR(environment.CheckKafka());
  DEALSTREAM_ASSIGN_OR_RETURN(const auto specs, topics::Load(environment.topics_file));
  for (const std::string& id : options.ids) {
    DEALSTREAM_ASSIGN_OR_RETURN(const Letter letter, Find(id, environment));
    DEALSTREAM_ASSIGN_OR_RETURN(Json json, ToJson(letter.letter));
    json["original"] = Original(letter.letter, specs);
    std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  }
  return absl::OkStatus();
}

// What to write for a letter: its original; out of a retry topic the item itself, with its tries
// forgotten (but for single objects of a poll's page: those are retries by nature); a record with
// the cause REDRIVE.
Result<kafka::OutRecord> ToRedrive(const Letter& letter) {
  const raw::v1::DeadLetter& what = letter.letter;
  kafka::OutRecord out{what.topic(), -1, what.key(), what.value(), {}};
  for (const auto& header : what.headers()) {
    out.headers.emplace_back(header.key(), header.value());
  }
  out.headers.emplace_back("dealstream-redriven-from", letter.id());
  if (what.topic().starts_with("crm.retry.")) {
    raw::v1::Retry retry;
    if (!retry.ParseFromString(what.value()) || retry.item_case() == raw::v1::Retry::ITEM_NOT_SET) {
      return absl::DataLossError(fmt::format("{}: its original is no readable retry", letter.id()));
    }
    if (retry.has_tick() && retry.objects_size() > 0) {
      return out;
    }
    const bool notice = retry.has_notice();
    out.topic = fmt::format("crm.{}.{}", notice ? "notice" : "poll", what.crm());
    out.value = notice ? retry.notice().SerializeAsString() : retry.tick().SerializeAsString();
    // They tell of the retry.
    std::erase_if(out.headers,
                  [](const kafka::Header& header) { return header.first.starts_with("ce_"); });
  } else if (what.topic().starts_with("crm.record.")) {
    raw::v1::Record record;
    if (record.ParseFromString(what.value())) {
      record.set_cause(deal::v1::CAUSE_REDRIVE);
      out.value = record.SerializeAsString();
    }
  }
  return out;
}

Status Send(const std::vector<Letter>& letters, Environment& environment) {
  kafka::Producer::Options producing;
  producing.client = environment.kafka;
  DEALSTREAM_ASSIGN_OR_RETURN(const auto producer,
                              kafka::Producer::Create(producing, environment.metrics()));
  int64_t sent = 0;
  for (const Letter& letter : letters) {
    DEALSTREAM_ASSIGN_OR_RETURN(kafka::OutRecord out, ToRedrive(letter));
    std::promise<Status> reported;
    const std::string topic = out.topic;
    DEALSTREAM_RETURN_IF_ERROR(
        producer->Send(std::move(out), [&reported](const Result<kafka::Position>& position) {
          reported.set_value(position.status());
        }));
    if (const Status status = reported.get_future().get(); !status.ok()) {
      return Annotate(status, fmt::format("{} (after {} were sent)", letter.id(), sent));
    }
    std::cout << fmt::format("{} -> {}\n", letter.id(), topic);
    ++sent;
  }
  std::cout << fmt::format(
      "{} redriven. They stay listed until the topic's retention drops them.\n", sent);
  return absl::OkStatus();
}

Status Redrive(const Options& options, Environment& environment) {
  DEALSTREAM_RETURN_IF_ERROR(environment.CheckKafka());
  if (options.ids.empty() != options.all) {
    return absl::InvalidArgumentError(
        "redrive: want either ids as listed or --all (with --crm, --service, --reason)");
  }
  std::vector<Letter> letters;
  if (options.all) {
    DEALSTREAM_ASSIGN_OR_RETURN(letters, ReadAll(options, environment));
  }
  for (const std::string& id : options.ids) {
    DEALSTREAM_ASSIGN_OR_RETURN(Letter letter, Find(id, environment));
    letters.push_back(std::move(letter));
  }
  return Send(letters, environment);
}

}  // namespace

void AddDeadLetterCommands(CLI::App& app, Environment& environment, Status& outcome) {
  CLI::App* group =
      app.add_subcommand("dead-letters", "What could not pass: look at it, send it again");
  group->require_subcommand(1);
  auto options = std::make_shared<Options>();
  const auto filters = [options](CLI::App* command) {
    command->add_option("--crm", options->crm, "Of this CRM only");
    command->add_option("--service", options->service, "Of this service only, e.g. crm-reader");
    command->add_option("--reason", options->reason, "With this reason only");
  };
  CLI::App* list = group->add_subcommand("list", "List them, oldest first");
  filters(list);
  list->callback([options, &environment, &outcome] { outcome = List(*options, environment); });
  CLI::App* show = group->add_subcommand("show", "Show one whole, with its original record");
  show->add_option("id", options->ids, "topic/partition/offset as listed")->required();
  show->callback([options, &environment, &outcome] { outcome = Show(*options, environment); });
  CLI::App* redrive =
      group->add_subcommand("redrive", "Write the original records again where they came from");
  filters(redrive);
  redrive->add_option("id", options->ids, "topic/partition/offset as listed");
  redrive->add_flag("--all", options->all, "All that the filters leave");
  redrive->callback(
      [options, &environment, &outcome] { outcome = Redrive(*options, environment); });
}

}  // namespace dealstream::cli
