#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"

namespace dealstream::normalizer {

// How the pipeline comes to its Kafka clients; tests give it a log of their own.
struct Clients {
  using OnAssigned = std::function<void(const std::vector<kafka::TopicPartition>&)>;
  using OnRevoked = std::function<void(const std::vector<kafka::TopicPartition>&, bool lost)>;

  std::function<Result<std::unique_ptr<kafka::Consumer>>(OnAssigned, OnRevoked)> make_consumer;
  std::function<Result<std::unique_ptr<kafka::TransactionalProducer>>()> make_producer;
  // As kafka::ReadRange; the client is filled in.
  std::function<Result<kafka::ReadRangeResult>(kafka::ReadRangeOptions)> read_range;
  std::function<Result<std::vector<int>>(const std::vector<std::string>&)> partition_counts;
};

}  // namespace dealstream::normalizer
