#include "libs/obs/log.h"

#include <cerrno>

#include <unistd.h>

#include "libs/obs/logger.h"

namespace dealstream::obs {
namespace {

void WriteToStderr(std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
    if (written < 0 && errno != EINTR) {
      return;
    }
    if (written > 0) {
      line.remove_prefix(static_cast<size_t>(written));
    }
  }
}

// The one thing that is the process's: stderr. Never destroyed, for threads may log to the end.
Logger& TheLogger() {
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): stderr is one as well
  static Logger& logger = *new Logger(Clock::System(), WriteToStderr);
  return logger;
}

}  // namespace

void InitLog(std::string_view service, Level least) { TheLogger().Configure(service, least); }

int64_t LogCount(Level level) { return TheLogger().Count(level); }

void Log(Level level,
         std::string_view event,
         std::string_view message,
         std::initializer_list<Field> fields) {
  TheLogger().Log(level, event, message, {fields.begin(), fields.size()});
}

void LogFields(Level level,
               std::string_view event,
               std::string_view message,
               const std::vector<Field>& fields) {
  TheLogger().Log(level, event, message, fields);
}

void FlushLog(bool all) { TheLogger().Flush(all); }

}  // namespace dealstream::obs
