#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/obs/log.h"

namespace dealstream::obs {

// What log.h writes with, apart from the process's one logger so that tests own time and output.
// Warnings and errors of one event with one message (and the same integration_id and crm) are
// written once in 10 s; the line that follows says in "repeated" how many were left out.
// Thread-safe.
class Logger {
 public:
  // `write` gets whole lines, with the newline; called under a lock.
  Logger(const Clock& clock, std::function<void(std::string_view)> write);

  void Configure(std::string_view service, Level least);
  void Log(Level level, std::string_view event, std::string_view message, std::span<const Field>);
  // Writes the counts of what was folded 10 s ago or more; `all`: whenever it was.
  void Flush(bool all);
  int64_t Count(Level level) const;

 private:
  struct Folded {
    Level level;
    std::string event;
    std::string message;
    absl::Time since;
    int64_t left_out = 0;
  };
  void WriteLine(Level level,
                 std::string_view event,
                 std::string_view message,
                 std::span<const Field> fields,
                 int64_t repeated);
  void FlushLocked(absl::Time now, bool all);

  const Clock& clock_;
  const std::function<void(std::string_view)> write_;
  std::array<std::atomic<int64_t>, 4> counts_{};

  std::mutex mutex_;  // guards all below
  std::string service_ = "dealstream";
  Level least_ = Level::kInfo;
  std::map<std::string, Folded, std::less<>> folded_;
  absl::Time last_flush_ = absl::InfinitePast();
};

}  // namespace dealstream::obs
