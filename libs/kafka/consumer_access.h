#pragma once

#include "librdkafka/rdkafka.h"

#include "libs/kafka/kafka.h"

namespace dealstream::kafka {

// Lets the transactional producer read the group's metadata.
struct ConsumerAccess {
  static rd_kafka_t* Handle(Consumer& consumer) {
    return static_cast<rd_kafka_t*>(consumer.Handle());
  }
};

}  // namespace dealstream::kafka
