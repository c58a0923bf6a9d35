#include "libs/obs/logger.h"

#include <utility>

#include "absl/time/time.h"
#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::obs {
namespace {

constexpr absl::Duration kFold = absl::Seconds(10);
// Messages with a number in them could fill the memory: beyond this many, an event folds whatever
// its message says.
constexpr size_t kMostFolded = 1000;

std::string_view NameOf(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarn:
      return "warn";
    case Level::kError:
      return "error";
  }
  return "error";
}

// Length of the UTF-8 sequence that begins at `text`, or 0 when it is none (Unicode 15, table 3-7).
size_t SequenceLength(std::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto in = [](unsigned value, unsigned least, unsigned most) {
    return value >= least && value <= most;
  };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (in(first, 0xC2, 0xDF)) {
    return in(byte(1), 0x80, 0xBF) ? 2 : 0;
  }
  if (in(first, 0xE0, 0xEF)) {
    const unsigned least = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned most = first == 0xED ? 0x9F : 0xBF;
    return in(byte(1), least, most) && in(byte(2), 0x80, 0xBF) ? 3 : 0;
  }
  if (in(first, 0xF0, 0xF4)) {
    const unsigned least = first == 0xF0 ? 0x90 : 0x80;
    const unsigned most = first == 0xF4 ? 0x8F : 0xBF;
    return in(byte(1), least, most) && in(byte(2), 0x80, 0xBF) && in(byte(3), 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

void AppendQuoted(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    const size_t length = SequenceLength(text);
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out += '"';
}

std::string KeyOf(Level level,
                  std::string_view event,
                  std::string_view message,
                  std::span<const Field> fields) {
  std::string key = fmt::format("{}\n{}\n{}", NameOf(level), event, message);
  for (const Field& field : fields) {
    if (field.key == "integration_id" || field.key == "crm") {
      key += '\n';
      key += field.value;
    }
  }
  return key;
}

}  // namespace

Logger::Logger(const Clock& clock, std::function<void(std::string_view)> write)
    : clock_(clock), write_(std::move(write)) {}

void Logger::Configure(std::string_view service, Level least) {
  const std::lock_guard lock(mutex_);
  service_ = service;
  least_ = least;
}

int64_t Logger::Count(Level level) const {
  return counts_[static_cast<size_t>(level)].load(std::memory_order_relaxed);
}

void Logger::Log(Level level,
                 std::string_view event,
                 std::string_view message,
                 std::span<const Field> fields) {
  counts_[static_cast<size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  if (level < least_) {
    return;
  }
  if (level < Level::kWarn) {
    WriteLine(level, event, message, fields, 0);
    return;
  }
  const absl::Time now = clock_.Now();
  FlushLocked(now, false);
  std::string key = KeyOf(level, event, message, fields);
  if (folded_.size() >= kMostFolded && !folded_.contains(key)) {
    key = KeyOf(level, event, "", {});
  }
  const auto [entry, is_new] = folded_.try_emplace(std::move(key),
                                                   Folded{.level = level,
                                                          .event = std::string(event),
                                                          .message = std::string(message),
                                                          .since = now});
  if (!is_new && now - entry->second.since < kFold) {
    ++entry->second.left_out;
    return;
  }
  const int64_t repeated = std::exchange(entry->second.left_out, 0);
  entry->second.since = now;
  WriteLine(level, event, message, fields, repeated);
}

void Logger::Flush(bool all) {
  const std::lock_guard lock(mutex_);
  FlushLocked(clock_.Now(), all);
}

void Logger::FlushLocked(absl::Time now, bool all) {
  // At most once a second: it walks the whole table. Lines due to be written by the caller keep
  // their entries for one more fold, so that their count goes with the next line itself.
  if (!all && now - last_flush_ < absl::Seconds(1)) {
    return;
  }
  last_flush_ = now;
  for (auto entry = folded_.begin(); entry != folded_.end();) {
    const Folded& folded = entry->second;
    if (!all && now - folded.since < 2 * kFold) {
      ++entry;
      continue;
    }
    if (folded.left_out > 0) {
      WriteLine(folded.level, folded.event, folded.message, {}, folded.left_out);
    }
    entry = folded_.erase(entry);
  }
}

void Logger::WriteLine(Level level,
                       std::string_view event,
                       std::string_view message,
                       std::span<const Field> fields,
                       int64_t repeated) {
  std::string line =
      fmt::format("{{\"ts\":\"{}\",\"level\":\"{}\",\"service\":",
                  absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", clock_.Now(), absl::UTCTimeZone()),
                  NameOf(level));
  AppendQuoted(line, service_);
  line += ",\"event\":";
  AppendQuoted(line, event);
  line += ",\"msg\":";
  AppendQuoted(line, message);
  for (const Field& field : fields) {
    line += ',';
    AppendQuoted(line, field.key);
    line += ':';
    if (field.quoted) {
      AppendQuoted(line, field.value);
    } else {
      line += field.value;
    }
  }
  if (repeated > 0) {
    line += fmt::format(",\"repeated\":{}", repeated);
  }
  line += "}\n";
  write_(line);
}

}  // namespace dealstream::obs
