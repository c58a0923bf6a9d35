#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::reader {

struct IssuedAccess {
  crm::Access access;
  // Of the credential or the minted token.
  int64_t version = 0;
};

// The vault as the reader sees it. Thread-safe; blocks for a few seconds at most.
class Vault {
 public:
  virtual ~Vault() = default;
  // `refused_version`: what the CRM has just refused, or 0. Unauthenticated: the CRM refuses the
  // credential; NotFound: there is no such credential; anything else: the vault is away.
  virtual Result<IssuedAccess> IssueAccess(const std::string& credential_id,
                                           int64_t refused_version) = 0;
};

// Access by credential, asked of the vault once and kept until it expires, at most 5 minutes; when
// the vault is away, until it expires. One question at a time for each credential. Thread-safe.
class AccessCache {
 public:
  struct Options {
    absl::Duration keep = absl::Minutes(5);
    // Not used in its last moments: the call must arrive before it expires.
    absl::Duration expiry_margin = absl::Seconds(10);
    // After a failure the vault isn't asked for the same credential again for so long.
    absl::Duration ask_again_after = absl::Seconds(5);
    // A refused credential that stays the same is tried again after so long: the CRM may have been
    // wrong. A CRM that counts failing calls must not see more.
    absl::Duration try_refused_after = absl::Minutes(10);
    // Access that nobody has asked for is forgotten: secrets don't stay for nothing.
    absl::Duration forget_after = absl::Minutes(20);
    // With more credentials than this, those not used for longest are forgotten earlier. A secret
    // takes four mappings of memory, of which Linux gives a process 65,530 by default; when there
    // are none left the process ends.
    size_t most = 4096;
  };

  AccessCache(Options options, Clock& clock, Vault& vault);

  // Shared with the calls that use it. Errors: Unavailable with reason "vault_unavailable";
  // Unauthenticated with reason "credential_refused"; FailedPrecondition with reason
  // "credential_missing".
  Result<std::shared_ptr<const IssuedAccess>> Get(const std::string& credential_id);

  // The CRM refused this version. True when the vault has another one now: worth trying at once.
  bool Refused(const std::string& credential_id, int64_t version);

  // Credentials that are remembered.
  size_t size() const;

 private:
  struct Entry {
    bool asking = false;
    // Callers that hold a reference.
    int users = 0;
    absl::Time used_at = absl::InfinitePast();
    std::shared_ptr<const IssuedAccess> issued;
    absl::Time fetched_at = absl::InfinitePast();
    absl::Time asked_at = absl::InfinitePast();
    Status last_error;
    int64_t refused_version = 0;
    absl::Time refused_at = absl::InfinitePast();
  };

  bool Expired(const Entry& entry, absl::Time now) const;
  static bool IsRefused(const Entry& entry);
  // Asks the vault with the lock released; the caller has made sure that no one else does.
  void Ask(std::unique_lock<std::mutex>& lock, const std::string& credential_id, Entry& entry);
  Result<std::shared_ptr<const IssuedAccess>> Answer(Entry& entry, absl::Time now) const;
  absl::Time OldestToKeep() const;
  void Sweep(absl::Time now);

  const Options options_;
  Clock& clock_;
  Vault& vault_;
  mutable std::mutex mutex_;
  absl::Time swept_at_ = absl::InfinitePast();
  std::condition_variable asked_;
  // Nodes stay where they are.
  std::map<std::string, Entry> entries_;
};

}  // namespace dealstream::reader
