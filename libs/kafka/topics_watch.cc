#include "libs/kafka/topics_watch.h"

#include <chrono>
#include <utility>

#include "libs/base/strings.h"
#include "libs/obs/log.h"

namespace dealstream::kafka {
namespace {

constexpr std::string_view kCondition = "topics";
constexpr std::chrono::seconds kPause(1);

}  // namespace

TopicsWatch::TopicsWatch(ClientConfig client, std::vector<std::string> topics, obs::Health& health)
    : client_(std::move(client)), topics_(std::move(topics)), health_(health) {
  health_.SetReady(kCondition, true);
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
  Status last;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    const Status looked = PartitionCounts(client_, topics_).status();
    health_.SetReady(kCondition, !absl::IsNotFound(looked), ToStd(looked.message()));
    if (looked.ok()) {
      return;
    }
    if (looked != last) {
      obs::Warn("topics_missing", looked.ToString());
      last = looked;
    }
    lock.lock();
    changed_.wait_for(lock, kPause, [this] { return stopping_; });
  }
}

}  // namespace dealstream::kafka
