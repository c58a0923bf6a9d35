#include <iostream>
#include <memory>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "fmt/format.h"

#include "tools/cli/environment.h"
#include "tools/cli/messages.h"

namespace dealstream::cli {
namespace {

struct TopicOptions {
  topics::Policy policy;
};

std::string_view NameOf(topics::Change::Kind kind) {
  switch (kind) {
    case topics::Change::Kind::kCreate:
      return "create";
    case topics::Change::Kind::kAddPartitions:
      return "add partitions";
    case topics::Change::Kind::kSet:
      return "set";
    case topics::Change::Kind::kRefused:
      return "REFUSED";
  }
  return "";
}

// Prints the changes; FailedPrecondition when one was refused.
Status Print(const std::vector<topics::Change>& changes, bool json, std::string_view none) {
  int64_t refused = 0;
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const topics::Change& change : changes) {
    refused += change.kind == topics::Change::Kind::kRefused ? 1 : 0;
    list.push_back(
        {{"change", NameOf(change.kind)}, {"topic", change.topic}, {"what", change.what}});
    rows.push_back({std::string(NameOf(change.kind)), change.topic, change.what});
  }
  if (json) {
    std::cout << ToLine(list) << "\n";
  } else {
    std::cout << (rows.empty() ? fmt::format("{}\n", none) : Table(rows));
  }
  if (refused > 0) {
    return absl::FailedPreconditionError(
        fmt::format("{} changes need a decision: --allow-risky lowers retention and adds "
                    "partitions, the others "
                    "can't be made in place",
                    refused));
  }
  return absl::OkStatus();
}

Status Apply(const TopicOptions& options, Environment& environment, bool only_look) {
  DEALSTREAM_RETURN_IF_ERROR(environment.CheckKafka());
  if (environment.kafka.embedded_broker) {
    return absl::FailedPreconditionError(
        "the embedded broker can't be asked for its topics: it has those of the file; with a real "
        "Kafka (tools/up --kafka) it works");
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const auto specs, topics::Load(environment.topics_file));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto changes,
                              only_look ? topics::Diff(environment.kafka, specs, options.policy)
                                        : topics::Apply(environment.kafka, specs, options.policy));
  return Print(changes, environment.json, "The topics are as declared.");
}

Status List(Environment& environment) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto specs, topics::Load(environment.topics_file));
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"TOPIC", "PARTITIONS", "KEPT", "KEY", "VALUE", "OWNER"}};
  for (const topics::Spec& spec : specs) {
    const std::string kept = spec.compacted ? "compacted" : absl::FormatDuration(spec.retention);
    list.push_back({{"topic", spec.name},
                    {"partitions", spec.partitions},
                    {"kept", kept},
                    {"key", spec.key},
                    {"value", spec.value},
                    {"owner", spec.owner},
                    {"public", spec.is_public}});
    rows.push_back(
        {spec.name, std::to_string(spec.partitions), kept, spec.key, spec.value, spec.owner});
  }
  std::cout << (environment.json ? ToLine(list) + "\n" : Table(rows));
  return absl::OkStatus();
}

}  // namespace

void AddTopicCommands(CLI::App& app, Environment& environment, Status& outcome) {
  CLI::App* group = app.add_subcommand("topics", "The declared topics and the cluster's");
  group->require_subcommand(1);
  group->add_option("--topics-file", environment.topics_file, "The declared topics")
      ->capture_default_str();
  auto options = std::make_shared<TopicOptions>();
  const auto add = [&](const char* name, const char* help, bool only_look) {
    CLI::App* command = group->add_subcommand(name, help);
    command->add_option("--replication",
                        options->policy.replication_limit,
                        "At most so many replicas (1 on a single node)");
    command->add_flag("--allow-risky",
                      options->policy.allow_risky,
                      "Lower retention or message size, add partitions");
    command->callback([options, &environment, &outcome, only_look] {
      outcome = Apply(*options, environment, only_look);
    });
  };
  add("apply", "Make the cluster's topics as declared; running it again changes nothing", false);
  add("diff", "Show what apply would do", true);
  group->add_subcommand("list", "Show the declared topics")->callback([&] {
    outcome = List(environment);
  });
}

}  // namespace dealstream::cli
