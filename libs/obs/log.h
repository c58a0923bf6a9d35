#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

// One JSON object a line on stderr: ts, level, service, event, msg and the given fields. Never a
// body, token, phone, e-mail or name of a person. An error that repeats is written once in 10 s
// with its count.
namespace dealstream::obs {

enum class Level { kDebug, kInfo, kWarn, kError };

// A field's value: text or whole number, kept as text.
struct Field {
  Field(std::string_view field_key, std::string_view text)
      : key(field_key), value(text), quoted(true) {}
  Field(std::string_view field_key, const char* text) : Field(field_key, std::string_view(text)) {}
  Field(std::string_view field_key, const std::string& text)
      : Field(field_key, std::string_view(text)) {}
  template <std::integral T>
  Field(std::string_view field_key, T number)
      : key(field_key), value(std::to_string(number)), quoted(false) {}

  std::string_view key;
  std::string value;
  bool quoted;
};

// Once, at the head of main: the name that goes into every line, and the least level written.
void InitLog(std::string_view service, Level least);

// How many lines of a level were asked for, written or folded; for the metric log_messages_total.
int64_t LogCount(Level level);

// `event` is a stable code ("kafka_client_restarted"), `message` a sentence. Thread-safe.
void Log(Level level,
         std::string_view event,
         std::string_view message,
         std::initializer_list<Field> fields = {});

// The same with fields made at run time.
void LogFields(Level level,
               std::string_view event,
               std::string_view message,
               const std::vector<Field>& fields);

// Writes the counts of repeats that were left out and have not come again; `all`: even those of the
// last 10 s. The shell calls it now and then, and at the end.
void FlushLog(bool all);

inline void Info(std::string_view event,
                 std::string_view message,
                 std::initializer_list<Field> fields = {}) {
  Log(Level::kInfo, event, message, fields);
}
inline void Warn(std::string_view event,
                 std::string_view message,
                 std::initializer_list<Field> fields = {}) {
  Log(Level::kWarn, event, message, fields);
}
inline void Error(std::string_view event,
                  std::string_view message,
                  std::initializer_list<Field> fields = {}) {
  Log(Level::kError, event, message, fields);
}

}  // namespace dealstream::obs
