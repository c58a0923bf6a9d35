#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
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
#include "services/credential-vault/store.h"
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
  // Minted because the CRM had refused the one before.
  bool after_refusal = false;
  // When the row was last read.
  absl::Time read_at;
};

// That the CRM refused a credential.
struct KnownRefusal {
  absl::Time at;
  // For its owner.
  std::string text;
};

// Opens credentials and makes access of them; keeps what was made, so that the store, the keys and
// a CRM's login are asked seldom. Of one credential one is made at a time, whoever else asks
// meanwhile gets the same. Thread-safe.
//
// A minted token that the CRM refuses is minted anew once: when that one, too, is refused within
// `fresh_for`, or when the login itself is refused, the credential isn't logged in with for
// `retry_refused_after`, or until it changes. A CRM that counts failed logins must not see more.
class AccessIssuer {
 public:
  struct Options {
    // After this the row is read again: another process may have changed it. Changes of this
    // process are seen at once (Forget).
    absl::Duration cache_ttl = absl::Minutes(1);
    // Each takes some pages of locked memory (mlock).
    size_t cache_entries = 4096;
    absl::Duration fresh_for = absl::Minutes(2);
    absl::Duration retry_refused_after = absl::Minutes(10);
    bool allow_loopback = false;
  };
  // Shared by the cache and by the answers under way.
  using Access = std::shared_ptr<const Issued>;
  using Done = std::function<void(const Result<Access>&)>;
  // Whether the one who asks may have access made of this credential.
  using MayUse = std::function<Status(const StoredCredential&)>;
  // The way to a CRM's login, by CRM, and the threads that wait there: a CRM that hangs holds up
  // its own logins only.
  using Transports = std::function<http::Transport&(std::string_view crm)>;
  using Logins = std::function<WorkerPool&(std::string_view crm)>;

  AccessIssuer(Options options,
               const Clock& clock,
               const crm::Registry& registry,
               storage::Database& database,
               const RootKeyFile& root_keys,
               Transports transports,
               WorkerPool& workers,
               Logins logins,
               VaultMetrics& metrics);

  // Null: not kept, too old, or it is the one that was refused.
  Access Cached(const std::string& credential_id, int64_t refused_version);
  // Makes it on a worker or a CRM's login thread and calls `done` there. `may_use` is asked once
  // the row is read, before anything is done with it; its error goes to `done`. One who joins an
  // attempt that is past that isn't asked: check what `done` is given. `refused_version`: what the
  // CRM has just refused; a minted token of that version is minted anew, a static credential gives
  // the same again. NotFound; DataLoss: doesn't open; Unauthenticated with reason
  // "credential_refused": the CRM refuses it; Unavailable: too much waits; or what the adapter's
  // login said.
  void Issue(const std::string& credential_id, int64_t refused_version, MayUse may_use, Done done);
  // The process stops: logins that wait for their turn aren't made any more, those who wait for
  // them are told Unavailable. The ones under way end as they end.
  void StopLogins() { stopping_ = true; }
  // The credential was rotated or deleted; call it after the commit.
  void Forget(const std::string& credential_id);
  // The last refusal of the last 2 h of this version of the credential.
  std::optional<KnownRefusal> RefusalOf(const std::string& credential_id,
                                        int64_t credential_version) const;
  // Sets the gauges credentials_failing: how many have such a refusal.
  void UpdateFailing();

 private:
  struct Waiting {
    int64_t refused_version;
    MayUse may_use;
    Done done;
  };
  struct Flight {
    std::vector<Waiting> waiting;
  };
  struct Refused {
    std::string crm;
    int64_t credential_version;
    absl::Time at;
    // No login before; InfinitePast for static credentials.
    absl::Time retry_at;
    std::string text;
  };
  using Entry = std::pair<std::string, Access>;

  void Fly(const std::string& credential_id,
           int64_t refused_version,
           const std::shared_ptr<Flight>& flight);
  // The end of an attempt.
  void Land(const std::string& credential_id,
            int64_t refused_version,
            const std::shared_ptr<Flight>& flight,
            const Result<Access>& made);
  struct Prepared {
    // Null: to be made by a login.
    Access access;
    StoredCredential stored;
    const crm::Adapter* adapter = nullptr;
  };
  Result<StoredCredential> ReadRow(const std::string& credential_id);
  Result<Prepared> Prepare(StoredCredential row, int64_t refused_version);
  // Answers those who may not use the credential. False: nobody is left, and the attempt is over.
  bool Dismiss(const StoredCredential& stored, const std::shared_ptr<Flight>& flight);
  // The flight to be joined or, when it is new, to be flown.
  std::pair<std::shared_ptr<Flight>, bool> Board(const std::string& credential_id, Waiting waiting);
  // What is kept and still good of a minted token, or why none is minted; null: to be minted.
  Result<Access> Minted(const StoredCredential& stored, int64_t refused_version, absl::Time now);
  Result<Access> LogIn(const StoredCredential& stored,
                       const crm::Adapter& adapter,
                       int64_t refused_version);
  // What the last login left; empty when there is nothing to be read.
  Secret StateOf(const StoredCredential& stored) const;
  void KeepState(const StoredCredential& stored, const Secret& state);
  // Remembers it and says so.
  Status Refuse(const StoredCredential& stored, absl::Time now, std::string text);
  void Keep(const std::string& credential_id, Access access);
  void Drop(const std::string& credential_id);
  bool IsFresh(const Issued& issued, absl::Time now) const;

  const Options options_;
  const Clock& clock_;
  const crm::Registry& registry_;
  storage::Database& database_;
  const RootKeyFile& root_keys_;
  const Transports transports_;
  WorkerPool& workers_;
  const Logins logins_;
  VaultMetrics& metrics_;
  std::atomic<bool> stopping_ = false;

  mutable std::mutex mutex_;
  // Most recently used first.
  std::list<Entry> entries_;
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> index_;
  // Those under way, shared by this table and the worker; Forget takes one out of the table, which
  // then still answers those who asked before, and is not kept.
  absl::flat_hash_map<std::string, std::shared_ptr<Flight>> flights_;
  std::map<std::string, Refused> refused_;
};

}  // namespace dealstream::vault
