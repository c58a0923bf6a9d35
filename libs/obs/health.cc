#include "libs/obs/health.h"

#include <fmt/format.h>

namespace dealstream::obs {
namespace {

constexpr absl::Duration kStall = absl::Seconds(30);

}  // namespace

Health::Heartbeat::Heartbeat(Key, const Clock& clock, std::string name)
    : clock_(clock), name_(std::move(name)), last_beat_us_(absl::ToUnixMicros(clock.Now())) {}

void Health::Heartbeat::Beat() {
  last_beat_us_.store(absl::ToUnixMicros(clock_.Now()), std::memory_order_relaxed);
}

Health::Heartbeat& Health::AddLoop(std::string_view name) {
  const std::lock_guard lock(mutex_);
  return loops_.emplace_back(Heartbeat::Key(), clock_, std::string(name));
}

void Health::SetReady(std::string_view condition, bool ready, std::string_view why) {
  const std::lock_guard lock(mutex_);
  conditions_.insert_or_assign(std::string(condition), std::make_pair(ready, std::string(why)));
}

void Health::StartDraining() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

Health::Report Health::Live() const {
  const std::lock_guard lock(mutex_);
  Report report{.ok = true, .text = ""};
  for (const Heartbeat& loop : loops_) {
    const absl::Duration silence =
        clock_.Now() - absl::FromUnixMicros(loop.last_beat_us_.load(std::memory_order_relaxed));
    const bool moves = silence <= kStall;
    report.ok = report.ok && moves;
    report.text +=
        moves ? fmt::format("{}: moves\n", loop.name_)
              : fmt::format(
                    "{}: has not moved for {} s\n", loop.name_, absl::ToInt64Seconds(silence));
  }
  if (loops_.empty()) {
    report.text = "no loops\n";
  }
  return report;
}

Health::Report Health::Ready() const {
  const std::lock_guard lock(mutex_);
  Report report{.ok = !draining_, .text = draining_ ? "stopping: not ready: draining\n" : ""};
  for (const auto& [name, state] : conditions_) {
    const auto& [ready, why] = state;
    report.ok = report.ok && ready;
    report.text += fmt::format("{}: {}{}{}\n",
                               name,
                               ready ? "ready" : "not ready",
                               ready || why.empty() ? "" : ": ",
                               ready ? "" : why);
  }
  return report;
}

std::vector<std::pair<std::string, bool>> Health::Conditions() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, bool>> conditions;
  for (const auto& [name, state] : conditions_) {
    conditions.emplace_back(name, state.first);
  }
  return conditions;
}

}  // namespace dealstream::obs
