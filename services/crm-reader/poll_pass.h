#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/crm/api/adapter.h"
#include "services/crm-reader/integrations.h"

// One pass of polling: pages one after another, each a tick of its own, and a cursor that moves
// only when the last of them is done. Pure.
namespace dealstream::reader {

enum class PageVerdict {
  // Do it.
  kRun,
  // This page, or a later one of its pass, is done.
  kSamePage,
  // An older pass of the same integration is still running.
  kPassRunning,
};

// `kept` is what the cursor topic says of this tick's pass. A pass whose progress is older than
// `stale_after` is taken for dead.
PageVerdict JudgePage(const raw::v1::PollTick& tick,
                      const std::optional<raw::v1::PollProgress>& kept,
                      absl::Time now,
                      absl::Duration stale_after);

// The first page of a pass from the kept cursor on: whichever of several such ticks of one
// integration is done, what it does is the same.
bool IsSweepStart(const raw::v1::PollTick& tick);

crm::ListRequest MakeListRequest(const raw::v1::PollTick& tick,
                                 const std::optional<raw::v1::PollProgress>& kept,
                                 const Integration& integration);

// What to write once all that a page listed is recorded or parked. The next tick goes first: were
// the process to die between the two, the page would be done again, not forgotten.
struct PageEnd {
  std::optional<raw::v1::PollTick> next;
  raw::v1::PollProgress progress;
};
PageEnd EndPage(const raw::v1::PollTick& tick,
                const std::optional<raw::v1::PollProgress>& kept,
                const crm::ListPage& page,
                int64_t read,
                absl::Time now);

// The pass has ended without reaching its end; the cursor stays.
raw::v1::PollProgress FailPass(const raw::v1::PollTick& tick,
                               const std::optional<raw::v1::PollProgress>& kept,
                               const std::string& error,
                               absl::Time now);

}  // namespace dealstream::reader
