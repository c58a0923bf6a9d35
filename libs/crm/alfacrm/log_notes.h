#pragma once

#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "libs/crm/api/adapter.h"

// What is noted of the log of a branch (0: the default scope), which a role may not be allowed to
// read. For .cc files only.
namespace dealstream::crm::alfacrm {

// How long it isn't tried again to read one that is forbidden; one that could be read before may
// soon be open again.
inline constexpr auto kNoLogFor = absl::Minutes(30);
inline constexpr auto kLostLogFor = absl::Minutes(1);
inline constexpr auto kLogReadWithin = absl::Hours(24 * 30);

inline void NoteLog(Session& session, int64_t scope, bool readable) {
  session.Note(fmt::format("{}/{}", readable ? "log_read" : "no_log", scope), "1");
}

inline bool WasLogRead(Session& session, int64_t scope) {
  return session.Noted(fmt::format("log_read/{}", scope), kLogReadWithin) != nullptr;
}

inline bool IsLogClosed(Session& session, int64_t scope) {
  return session.Noted(fmt::format("no_log/{}", scope),
                       WasLogRead(session, scope) ? kLostLogFor : kNoLogFor) != nullptr;
}

}  // namespace dealstream::crm::alfacrm
