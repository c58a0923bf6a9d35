#pragma once

#include <string>

#include "librdkafka/rdkafka.h"

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"

namespace dealstream::kafka::internal {

// Hands the record to the client, which copies it. `opaque` comes back with the delivery report.
// NO_ERROR, or why it was refused: QUEUE_FULL, MSG_SIZE_TOO_LARGE, FATAL, ...
rd_kafka_resp_err_t Produce(rd_kafka_t* handle,
                            rd_kafka_topic_t* topic,
                            const OutRecord& record,
                            void* opaque);

}  // namespace dealstream::kafka::internal
