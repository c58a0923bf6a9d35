#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/base/secret.h"
#include "libs/base/status.h"
#include "libs/crm/api/registry.h"
#include "libs/storage/database.h"
#include "services/credential-vault/metrics.h"
#include "services/credential-vault/root_keys.h"
#include "services/credential-vault/worker_pool.h"

namespace dealstream::vault {

// Access as it leaves: the bytes of a v1::IssueAccessResponse, in locked memory until the last
// answer that bears them is sent.
struct Issued {
  Secret response;
  std::string account_id;
  std::string crm;
  int64_t credential_version = 0;
  // Of the credential, or of the minted token.
  int64_t version = 0;
  // InfiniteFuture: made from a static credential.
  absl::Time expires_at;
  // When the row was last read.
  absl::Time read_at;
};

// Opens credentials and makes access of them; keeps what was made, so that the store, the keys and
// a CRM's login are asked seldom. Of one credential one is made at a time, whoever else asks
// meanwhile gets the same. Thread-safe.
class AccessIssuer {
 public:
  struct Options {
    // After this the row is read again: another process may have changed it. Changes of this
    // process are seen at once (Forget).
    absl::Duration cache_ttl = absl::Minutes(1);
    // Each takes some pages of locked memory (mlock).
    size_t cache_entries = 4096;
    bool allow_loopback = false;
  };
  // Shared by the cache and by the answers under way.
  using Access = std::shared_ptr<const Issued>;
  using Done = std::function<void(const Result<Access>&)>;
  // The way to a CRM's login, by CRM.
  using Transports = std::function<http::Transport&(std::string_view crm)>;

  AccessIssuer(Options options,
               const Clock& clock,
               const crm::Registry& registry,
               const storage::Database& database,
               const RootKeyFile& root_keys,
               Transports transports,
               WorkerPool& workers,
               VaultMetrics& metrics);

  // Null: not kept, too old, or it is the one that was refused.
  Access Cached(const std::string& credential_id, int64_t refused_version);
  // Makes it on a worker and calls `done` there. `refused_version`: what the CRM has just refused;
  // a minted token of that version is minted anew, a static credential gives the same again.
  // NotFound; DataLoss: doesn't open; Unavailable: too much waits; or what the adapter's login
  // said.
  void Issue(const std::string& credential_id, int64_t refused_version, Done done);
  // The credential was rotated or deleted; call it after the commit.
  void Forget(const std::string& credential_id);
  // Sets the gauges credentials_failing: credentials that were reported refused in the last 2 h and
  // not changed since.
  void UpdateFailing();

 private:
  struct Flight {
    std::vector<Done> waiting;
  };
  struct Failing {
    std::string crm;
    absl::Time until;
  };
  using Entry = std::pair<std::string, Access>;

  void Fly(const std::string& credential_id,
           int64_t refused_version,
           const std::shared_ptr<Flight>& flight);
  Result<Access> Make(const std::string& credential_id, int64_t refused_version);
  void Keep(const std::string& credential_id, Access access);
  bool IsFresh(const Issued& issued, absl::Time now) const;

  const Options options_;
  const Clock& clock_;
  const crm::Registry& registry_;
  const storage::Database& database_;
  const RootKeyFile& root_keys_;
  const Transports transports_;
  WorkerPool& workers_;
  VaultMetrics& metrics_;

  std::mutex mutex_;
  // Most recently used first.
  std::list<Entry> entries_;
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> index_;
  // Those under way, shared by this table and the worker; Forget takes one out of the table, which
  // then still answers those who asked before, and is not kept.
  absl::flat_hash_map<std::string, std::shared_ptr<Flight>> flights_;
  std::map<std::string, Failing> failing_;
};

}  // namespace dealstream::vault
