#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

#include "libs/config/config.h"
#include "libs/kafka/kafka.h"

namespace dealstream::ingest {

// The service's own configuration; what a key means is said where it is added (config.cc) and in
// the README.
struct Config {
  kafka::ClientConfig kafka;

  std::string address = "0.0.0.0:8080";
  // 0: one for each core, 16 at most.
  int64_t threads = 0;
  int64_t max_connections = 20'000;
  config::Bytes max_head{16 << 10};
  int64_t max_headers = 100;
  config::Bytes max_body{1 << 20};
  config::Bytes max_body_memory{256 << 20};
  absl::Duration idle_timeout = absl::Seconds(75);
  absl::Duration head_timeout = absl::Seconds(10);
  absl::Duration body_timeout = absl::Seconds(30);
  absl::Duration write_timeout = absl::Seconds(10);

  int64_t max_in_flight = 20'000;
  config::Bytes max_queued{256 << 20};
  absl::Duration linger = absl::Milliseconds(1);
  absl::Duration answer_margin = absl::Milliseconds(400);
  absl::Duration retry_after = absl::Seconds(2);
  absl::Duration retry_hold = absl::Milliseconds(300);
};

void AddConfig(config::Schema& schema, Config* config);
Status CheckConfig(const Config& config);

}  // namespace dealstream::ingest
