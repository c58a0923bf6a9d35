#pragma once

#include <atomic>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/clock.h"

namespace dealstream::obs {

// What /livez and /readyz answer. Thread-safe.
class Health {
 public:
  // A loop that must move: call Beat at least every 10 s; 30 s without one and /livez fails.
  class Heartbeat {
    // Only Health makes heartbeats.
    class Key {
      friend class Health;
      Key() = default;
    };

   public:
    Heartbeat(Key key, const Clock& clock, std::string name);
    void Beat();

   private:
    friend class Health;
    const Clock& clock_;
    std::string name_;
    std::atomic<int64_t> last_beat_us_;
  };

  explicit Health(const Clock& clock) : clock_(clock) {}

  // The heartbeat lives as long as this object.
  Heartbeat& AddLoop(std::string_view name);

  // A condition of readiness; unknown ones are made not ready. `why` is shown while not ready.
  void SetReady(std::string_view condition, bool ready, std::string_view why = "");
  // From now on /readyz fails whatever the conditions say.
  void StartDraining();

  struct Report {
    bool ok;
    // One line a condition: "kafka: ready" or "kafka: not ready: no broker answers".
    std::string text;
  };
  Report Live() const;
  Report Ready() const;
  // Condition and whether it holds; for the metric ready{condition}.
  std::vector<std::pair<std::string, bool>> Conditions() const;

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::list<Heartbeat> loops_;
  std::map<std::string, std::pair<bool, std::string>, std::less<>> conditions_;
  bool draining_ = false;
};

}  // namespace dealstream::obs
