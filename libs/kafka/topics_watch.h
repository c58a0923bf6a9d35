#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/health.h"

namespace dealstream::kafka {

// Looks, on a thread of its own, whether the topics of a service exist, until all do. As long as
// the brokers say that one doesn't, the condition "topics" of its readiness doesn't hold and names
// it; a broker that is away says nothing. A client that writes would learn of a missing topic only
// by the first record that is refused.
class TopicsWatch {
 public:
  // Topics without the prefix. `health` outlives it.
  TopicsWatch(ClientConfig client, std::vector<std::string> topics, obs::Health& health);
  // Waits for a look that is under way, up to 10 s where no broker answers.
  ~TopicsWatch();
  TopicsWatch(const TopicsWatch&) = delete;
  TopicsWatch& operator=(const TopicsWatch&) = delete;

 private:
  void Run();

  const ClientConfig client_;
  const std::vector<std::string> topics_;
  obs::Health& health_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;  // last: uses all above
};

}  // namespace dealstream::kafka
