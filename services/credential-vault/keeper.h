#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "libs/base/status.h"
#include "libs/obs/health.h"
#include "libs/storage/database.h"
#include "services/credential-vault/issuer.h"
#include "services/credential-vault/metrics.h"
#include "services/credential-vault/root_keys.h"
#include "services/credential-vault/worker_pool.h"

namespace dealstream::vault {

// Wraps the data keys of at most `limit` rows after id `after` anew with the newest root key, each
// with its row in the audit log ("RewrapKey"); gives the id of the last one looked at, empty when
// there was none. What doesn't open is logged and left.
Result<std::string> RewrapSome(storage::Database& database,
                               const Clock& clock,
                               const RootKeys& keys,
                               const std::string& after,
                               int limit);

// DataLoss names the root keys that credentials are wrapped by and that aren't among `keys`, or,
// when no credential that was tried opens, those whose version has another key. When only some
// versions don't open, they are logged and the rest is served.
Status CheckRootKeys(const storage::Database& database, const RootKeys& keys);

// What the vault does by itself, on a thread: notices new root keys and re-wraps with them, a few
// rows at a time, going on where it stood after a restart (rows tell by which version they are
// wrapped); says whether the store answers.
class Keeper {
 public:
  // All outlive it.
  struct Parts {
    const Clock& clock;
    storage::Database& database;
    RootKeyFile& root_keys;
    AccessIssuer& issuer;
    WorkerPool& workers;
    VaultMetrics& metrics;
    obs::Health& health;
  };
  explicit Keeper(const Parts& parts);
  ~Keeper();

 private:
  void Run();
  void Round();
  void LookForRootKeys();
  void TellRootKeys();

  const Parts parts_;
  obs::Health::Heartbeat& heartbeat_;
  // Where re-wrapping stands within its pass.
  std::string rewrapped_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  // Last, so that it stops first.
  std::thread thread_;
};

}  // namespace dealstream::vault
