#include "libs/kafka/topics_watch.h"

#include <chrono>
#include <utility>

#include "absl/time/time.h"
#include "prometheus/gauge.h"

#include "libs/base/status.h"
#include "libs/obs/log.h"
#include "libs/obs/metrics.h"

namespace dealstream::kafka {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);
constexpr std::chrono::seconds kPause(1);

}  // namespace

TopicsWatch::TopicsWatch(ClientConfig client,
                         std::vector<std::string> topics,
                         obs::Metrics& metrics)
    : client_(std::move(client)),
      topics_(std::move(topics)),
      missing_(metrics.GetGauge("kafka_topics_missing")) {
  thread_ = std::thread([this] { Run(); });
}

TopicsWatch::~TopicsWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TopicsWatch::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Status looked = PartitionCounts(client_, topics_, kPatience).status();
    if (looked.ok()) {
      missing_.Set(0);
      return;
    }
    if (absl::IsNotFound(looked)) {
      missing_.Set(1);
      obs::Error("topics_missing", looked.ToString());
    }
    lock.lock();
    changed_.wait_for(lock, kPause, [this] { return stopping_; });
  }
}

}  // namespace dealstream::kafka
