#include "services/credential-vault/keeper.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <soci/soci.h>

#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "services/credential-vault/audit.h"
#include "services/credential-vault/envelope.h"
#include "services/credential-vault/store.h"

namespace dealstream::vault {
namespace {

constexpr std::chrono::seconds kRound{2};
// Rows a round: 100 a second at most, so that the store stays free for callers.
constexpr int kRewrapsPerRound = 200;
// Rows of a root key that are tried: one alone may not open because it is itself damaged.
constexpr int kRowsTried = 10;

std::vector<long long> RootKeysInUse(soci::session& session) {
  std::vector<long long> in_use;
  long long version = 0;
  soci::statement versions =
      (session.prepare << "SELECT DISTINCT root_key_version FROM credentials ORDER BY 1",
       soci::into(version));
  versions.execute();
  while (versions.fetch()) {
    in_use.push_back(version);
  }
  return in_use;
}

bool OpensAny(const RootKeys& keys, const std::vector<StoredCredential>& rows) {
  return std::any_of(rows.begin(), rows.end(), [&](const StoredCredential& row) {
    // Re-wrapping opens no more than the data key; what it makes is let go.
    return Rewrap(row.sealed, row.MakeBinding(), keys).ok();
  });
}

}  // namespace

Result<std::string> RewrapSome(storage::Database& database,
                               const Clock& clock,
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
      if (!rewrapped.ok()) {
        obs::Error(
            "rewrap_failed", ToStd(rewrapped.status().message()), {{"credential_id", row.id}});
        continue;
      }
      if (!UpdateWrapping(session, row, *rewrapped)) {
        continue;
      }
      AppendAudit(session,
                  {.caller = "credential-vault",
                   .method = "RewrapKey",
                   .outcome = "OK",
                   .credential_id = row.id,
                   .account_id = row.account_id,
                   .crm = row.crm,
                   .version = row.version},
                  clock.Now());
    }
    return absl::OkStatus();
  }));
  return rows.back().id;
}

Status CheckRootKeys(const storage::Database& database, const RootKeys& keys) {
  std::vector<long long> missing;
  std::vector<long long> wrong;
  bool some_open = false;
  DEALSTREAM_RETURN_IF_ERROR(database.Read([&](soci::session& session) -> Status {
    for (const long long version : RootKeysInUse(session)) {
      if (keys.Find(version) == nullptr) {
        missing.push_back(version);
      } else if (OpensAny(keys, FindWrappedBy(session, version, kRowsTried))) {
        some_open = true;
      } else {
        wrong.push_back(version);
      }
    }
    return absl::OkStatus();
  }));
  if (!missing.empty()) {
    return absl::DataLossError(
        fmt::format("root_key.file lacks version {}, which credentials are wrapped by: put it back",
                    fmt::join(missing, ", ")));
  }
  if (wrong.empty()) {
    return absl::OkStatus();
  }
  const std::string message = fmt::format(
      "root_key.file: the key of version {} opens none of the credentials tried that it wrapped: "
      "if another key stood there, put it back and restart the vault",
      fmt::join(wrong, ", "));
  if (!some_open) {
    return absl::DataLossError(message);
  }
  // It may also be damaged rows, which re-wrapping has left behind: no reason to stop the others.
  obs::Error("root_key_opens_nothing", message);
  return absl::OkStatus();
}

Keeper::Keeper(const Parts& parts) : parts_(parts), heartbeat_(parts.health.AddLoop("keeper")) {
  for (const char* condition : {"store", "root_key"}) {
    parts_.health.SetReady(condition, false, "being looked at");
  }
  thread_ = std::thread([this] { Run(); });
}

Keeper::~Keeper() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Keeper::TellRootKeys() {
  const Status status = CheckRootKeys(parts_.database, *parts_.root_keys.Current());
  parts_.health.SetReady("root_key", status.ok(), ToStd(status.message()));
  if (!status.ok()) {
    obs::Error("root_key_missing", ToStd(status.message()));
  }
}

void Keeper::LookForRootKeys() {
  const Result<bool> changed = parts_.root_keys.Reload();
  if (!changed.ok()) {
    // Those in memory go on serving.
    obs::Error("root_keys_not_read", ToStd(changed.status().message()));
  } else if (*changed) {
    rewrapped_.clear();
    obs::Info("root_keys_changed",
              "New root keys are in force.",
              {{"newest", parts_.root_keys.Current()->newest()}});
    TellRootKeys();
  }
}

void Keeper::Run() {
  TellRootKeys();
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

  LookForRootKeys();
  const Result<std::string> last = RewrapSome(
      parts_.database, parts_.clock, *parts_.root_keys.Current(), rewrapped_, kRewrapsPerRound);
  if (!last.ok()) {
    obs::Warn("rewrap_waits", ToStd(last.status().message()));
  } else {
    rewrapped_ = *last;
  }
}

}  // namespace dealstream::vault
