#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libs/kafka/kafka.h"

namespace prometheus {
class Gauge;
}
namespace dealstream::obs {
class Metrics;
}

namespace dealstream::kafka {

// Looks, on a thread of its own, whether the topics of a service exist, until all do: without it a
// client that writes learns of a missing topic by the first record that is refused. While the
// brokers say that one is missing, the log names it (`topics_missing`) and kafka_topics_missing is
// 1; a broker that is away says nothing. No condition of readiness: the other topics work.
class TopicsWatch {
 public:
  // Topics without the prefix.
  TopicsWatch(ClientConfig client, std::vector<std::string> topics, obs::Metrics& metrics);
  // Waits for a look that is under way, up to 2 s.
  ~TopicsWatch();
  TopicsWatch(const TopicsWatch&) = delete;
  TopicsWatch& operator=(const TopicsWatch&) = delete;

 private:
  void Run();

  const ClientConfig client_;
  const std::vector<std::string> topics_;
  prometheus::Gauge& missing_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;  // last: uses all above
};

}  // namespace dealstream::kafka
