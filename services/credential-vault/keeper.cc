#include "services/credential-vault/keeper.h"

#include <chrono>
#include <vector>

#include <soci/soci.h>

#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "services/credential-vault/envelope.h"
#include "services/credential-vault/store.h"

namespace dealstream::vault {
namespace {

constexpr std::chrono::seconds kRound{2};
// Rows a round: 100 a second at most, so that the store stays free for callers.
constexpr int kRewrapsPerRound = 200;

}  // namespace

Result<std::string> RewrapSome(storage::Database& database,
                               const RootKeys& keys,
                               const std::string& after,
                               int limit) {
  std::vector<StoredCredential> rows;
  DEALSTREAM_RETURN_IF_ERROR(database.Read([&](soci::session& session) -> Status {
    rows = FindWrappedBefore(session, keys.newest(), after, limit);
    return absl::OkStatus();
  }));
  if (rows.empty()) {
    return std::string();
  }
  DEALSTREAM_RETURN_IF_ERROR(database.Write([&](soci::session& session) -> Status {
    for (const StoredCredential& row : rows) {
      const Result<Sealed> rewrapped = Rewrap(row.sealed, row.MakeBinding(), keys);
      if (rewrapped.ok()) {
        UpdateWrapping(session, row, *rewrapped);
      } else {
        obs::Error("rewrap_failed", rewrapped.status().ToString(), {{"credential_id", row.id}});
      }
    }
    return absl::OkStatus();
  }));
  return rows.back().id;
}

Keeper::Keeper(const Parts& parts)
    : parts_(parts), heartbeat_(parts.health.AddLoop("keeper")), thread_([this] { Run(); }) {}

Keeper::~Keeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Keeper::Run() {
  while (true) {
    Round();
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, kRound, [this] { return stop_; })) {
      return;
    }
  }
}

void Keeper::Round() {
  heartbeat_.Beat();
  const Status store = parts_.database.Ping();
  parts_.health.SetReady("store", store.ok(), ToStd(store.message()));
  parts_.issuer.UpdateFailing();
  parts_.metrics.SetWorkWaiting(static_cast<double>(parts_.workers.waiting()));

  const Result<bool> changed = parts_.root_keys.Reload();
  if (!changed.ok()) {
    obs::Error("root_keys_not_read", changed.status().ToString());
  } else if (*changed) {
    rewrapped_.clear();
    obs::Info("root_keys_changed",
              "New root keys are in force.",
              {{"newest", parts_.root_keys.Current()->newest()}});
  }
  const Result<std::string> last =
      RewrapSome(parts_.database, *parts_.root_keys.Current(), rewrapped_, kRewrapsPerRound);
  if (!last.ok()) {
    obs::Warn("rewrap_waits", last.status().ToString());
  } else {
    rewrapped_ = *last;
  }
}

}  // namespace dealstream::vault
