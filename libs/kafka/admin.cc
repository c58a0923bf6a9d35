#include "libs/kafka/admin.h"

#include <array>
#include <functional>
#include <utility>
#include <vector>

#include "fmt/format.h"

#include "libs/kafka/client.h"

namespace dealstream::kafka {
namespace {

constexpr int kTimeoutMs = 30'000;

struct OptionsDeleter {
  void operator()(rd_kafka_AdminOptions_t* options) const {
    rd_kafka_AdminOptions_destroy(options);
  }
};
struct EventDeleter {
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};
using Event = std::unique_ptr<rd_kafka_event_t, EventDeleter>;
struct NewTopicDeleter {
  void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
};
struct NewPartitionsDeleter {
  void operator()(rd_kafka_NewPartitions_t* partitions) const {
    rd_kafka_NewPartitions_destroy(partitions);
  }
};
struct ConfigDeleter {
  void operator()(rd_kafka_ConfigResource_t* config) const {
    rd_kafka_ConfigResource_destroy(config);
  }
};
using Config = std::unique_ptr<rd_kafka_ConfigResource_t, ConfigDeleter>;
struct MetadataDeleter {
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};

Status Failure(rd_kafka_resp_err_t err, const char* text, std::string_view what) {
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    return absl::OkStatus();
  }
  const std::string where(what);
  const Status status = internal::ToStatus(err, where);
  return text == nullptr ? status
                         : WithReason(Status(status.code(), fmt::format("{}: {}", where, text)),
                                      ReasonOf(status));
}

Status FirstFailure(const rd_kafka_topic_result_t** results, size_t count, std::string_view what) {
  for (size_t i = 0; i < count; ++i) {
    DEALSTREAM_RETURN_IF_ERROR(Failure(rd_kafka_topic_result_error(results[i]),
                                       rd_kafka_topic_result_error_string(results[i]),
                                       what));
  }
  return absl::OkStatus();
}

class AdminImpl final : public Admin {
 public:
  Status Start(const ClientConfig& config) {
    internal::Conf conf(internal::Role::kTable, config, nullptr);
    DEALSTREAM_ASSIGN_OR_RETURN(handle_, conf.Build());
    queue_.reset(rd_kafka_queue_new(handle_.get()));
    return absl::OkStatus();
  }

  Result<std::map<std::string, Topic>> List() override {
    const rd_kafka_metadata_t* raw = nullptr;
    DEALSTREAM_RETURN_IF_ERROR(internal::ToStatus(
        rd_kafka_metadata(handle_.get(), /*all_topics=*/1, nullptr, &raw, kTimeoutMs),
        "kafka list topics"));
    const std::unique_ptr<const rd_kafka_metadata_t, MetadataDeleter> metadata(raw);
    std::map<std::string, Topic> topics;
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      const rd_kafka_metadata_topic& found = metadata->topics[i];
      const std::string_view name = found.topic;
      if (name.substr(0, 2) == "__") {
        continue;
      }
      Topic topic;
      topic.partitions = found.partition_cnt;
      topic.replication = found.partition_cnt > 0 ? found.partitions[0].replica_cnt : 0;
      topics.emplace(name, std::move(topic));
    }
    DEALSTREAM_RETURN_IF_ERROR(ReadSettings(topics));
    return topics;
  }

  Status CreateTopic(const std::string& name, const Topic& topic) override {
    std::array<char, 512> text{};
    const std::unique_ptr<rd_kafka_NewTopic_t, NewTopicDeleter> wanted(rd_kafka_NewTopic_new(
        name.c_str(), topic.partitions, topic.replication, text.data(), text.size()));
    if (wanted == nullptr) {
      return absl::InvalidArgumentError(fmt::format("kafka create {}: {}", name, text.data()));
    }
    for (const auto& [key, value] : topic.settings) {
      rd_kafka_NewTopic_set_config(wanted.get(), key.c_str(), value.c_str());
    }
    rd_kafka_NewTopic_t* list[] = {wanted.get()};
    const std::string what = fmt::format("kafka create {}", name);
    DEALSTREAM_ASSIGN_OR_RETURN(
        const Event event, Ask(what, RD_KAFKA_ADMIN_OP_CREATETOPICS, [&](const auto* options) {
          rd_kafka_CreateTopics(handle_.get(), list, 1, options, queue_.get());
        }));
    size_t count = 0;
    const rd_kafka_topic_result_t** results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event.get()), &count);
    return FirstFailure(results, count, what);
  }

  Status AddPartitions(const std::string& name, int total) override {
    std::array<char, 512> text{};
    const std::unique_ptr<rd_kafka_NewPartitions_t, NewPartitionsDeleter> wanted(
        rd_kafka_NewPartitions_new(
            name.c_str(), static_cast<size_t>(total), text.data(), text.size()));
    if (wanted == nullptr) {
      return absl::InvalidArgumentError(fmt::format("kafka partitions {}: {}", name, text.data()));
    }
    rd_kafka_NewPartitions_t* list[] = {wanted.get()};
    const std::string what = fmt::format("kafka partitions {}", name);
    DEALSTREAM_ASSIGN_OR_RETURN(
        const Event event, Ask(what, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, [&](const auto* options) {
          rd_kafka_CreatePartitions(handle_.get(), list, 1, options, queue_.get());
        }));
    size_t count = 0;
    const rd_kafka_topic_result_t** results = rd_kafka_CreatePartitions_result_topics(
        rd_kafka_event_CreatePartitions_result(event.get()), &count);
    return FirstFailure(results, count, what);
  }

  Status ReplaceSettings(const std::string& name,
                         const std::map<std::string, std::string>& settings) override {
    const Config config(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
    for (const auto& [key, value] : settings) {
      rd_kafka_ConfigResource_set_config(config.get(), key.c_str(), value.c_str());
    }
    rd_kafka_ConfigResource_t* list[] = {config.get()};
    const std::string what = fmt::format("kafka settings {}", name);
    DEALSTREAM_ASSIGN_OR_RETURN(
        const Event event, Ask(what, RD_KAFKA_ADMIN_OP_ALTERCONFIGS, [&](const auto* options) {
          rd_kafka_AlterConfigs(handle_.get(), list, 1, options, queue_.get());
        }));
    size_t count = 0;
    const rd_kafka_ConfigResource_t** results = rd_kafka_AlterConfigs_result_resources(
        rd_kafka_event_AlterConfigs_result(event.get()), &count);
    for (size_t i = 0; i < count; ++i) {
      DEALSTREAM_RETURN_IF_ERROR(Failure(rd_kafka_ConfigResource_error(results[i]),
                                         rd_kafka_ConfigResource_error_string(results[i]),
                                         what));
    }
    return absl::OkStatus();
  }

 private:
  using AskFunction = std::function<void(const rd_kafka_AdminOptions_t*)>;

  // Sends one request and waits for its answer.
  Result<Event> Ask(std::string_view what, rd_kafka_admin_op_t op, const AskFunction& ask) {
    const std::unique_ptr<rd_kafka_AdminOptions_t, OptionsDeleter> options(
        rd_kafka_AdminOptions_new(handle_.get(), op));
    std::array<char, 512> text{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), kTimeoutMs, text.data(), text.size());
    ask(options.get());
    Event event(rd_kafka_queue_poll(queue_.get(), kTimeoutMs + 5'000));
    if (event == nullptr) {
      return absl::DeadlineExceededError(fmt::format("{}: no answer", what));
    }
    DEALSTREAM_RETURN_IF_ERROR(
        Failure(rd_kafka_event_error(event.get()), rd_kafka_event_error_string(event.get()), what));
    return event;
  }

  Status ReadSettings(std::map<std::string, Topic>& topics) {
    if (topics.empty()) {
      return absl::OkStatus();
    }
    std::vector<Config> configs;
    std::vector<rd_kafka_ConfigResource_t*> list;
    for (const auto& [name, topic] : topics) {
      list.push_back(
          configs.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()))
              .get());
    }
    constexpr std::string_view kWhat = "kafka describe topics";
    DEALSTREAM_ASSIGN_OR_RETURN(
        const Event event, Ask(kWhat, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, [&](const auto* options) {
          rd_kafka_DescribeConfigs(handle_.get(), list.data(), list.size(), options, queue_.get());
        }));
    size_t count = 0;
    const rd_kafka_ConfigResource_t** results = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event.get()), &count);
    for (size_t i = 0; i < count; ++i) {
      DEALSTREAM_RETURN_IF_ERROR(Failure(rd_kafka_ConfigResource_error(results[i]),
                                         rd_kafka_ConfigResource_error_string(results[i]),
                                         kWhat));
      topics[rd_kafka_ConfigResource_name(results[i])].settings = OwnSettings(*results[i]);
    }
    return absl::OkStatus();
  }

  static std::map<std::string, std::string> OwnSettings(const rd_kafka_ConfigResource_t& resource) {
    std::map<std::string, std::string> settings;
    size_t count = 0;
    const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(&resource, &count);
    for (size_t i = 0; i < count; ++i) {
      const char* value = rd_kafka_ConfigEntry_value(entries[i]);
      if (rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG) {
        settings.emplace(rd_kafka_ConfigEntry_name(entries[i]), value == nullptr ? "" : value);
      }
    }
    return settings;
  }

  internal::Handle handle_;
  internal::Queue queue_;
};

}  // namespace

Result<std::unique_ptr<Admin>> Admin::Create(const ClientConfig& config) {
  auto admin = std::make_unique<AdminImpl>();
  DEALSTREAM_RETURN_IF_ERROR(admin->Start(config));
  return admin;
}

}  // namespace dealstream::kafka
