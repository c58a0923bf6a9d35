#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/storage/database.h"

namespace soci {
class session;
}

// The audit log: a table that only grows (triggers refuse the rest), each row with the hash of the
// one before in its own:
//
//   hash = hex SHA-256 of: the previous row's hash ("" before the first), seq, at, caller, method,
//          outcome, credential_id, account_id, crm, version, calls; each as text, after its size
//          and a colon
//
// seq counts from 1 without a gap. Who can write the whole file can also compute all hashes anew;
// against that, the head (seq and hash) is logged at start and stop, and Verify compares with it.
namespace dealstream::vault {

struct AuditEvent {
  // Common name of the caller; "credential-vault" for what the vault does by itself.
  std::string caller;
  std::string method;
  // "OK" or the status code's name.
  std::string outcome;
  std::string credential_id;
  std::string account_id;
  std::string crm;
  int64_t version = 0;

  bool operator==(const AuditEvent&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const AuditEvent& event) {
    return H::combine(std::move(h),
                      event.caller,
                      event.method,
                      event.outcome,
                      event.credential_id,
                      event.version);
  }
};

struct AuditHead {
  int64_t seq = 0;
  std::string hash;
};

// Writes one row now, inside of the transaction of what it tells.
void AppendAudit(soci::session& session, const AuditEvent& event, absl::Time at, int64_t calls = 1);
AuditHead ReadAuditHead(soci::session& session);

// Reads the whole log; gives its head. DataLoss says at which row it breaks, and how. `expected`: a
// row that must be there; InvalidArgument when half of it isn't told, as that would check nothing.
Result<AuditHead> VerifyAudit(const storage::Database& database,
                              const std::optional<AuditHead>& expected = std::nullopt);

// Writes rows of calls that change nothing, in groups: at most kWindow after the call, equal ones
// of a window as one row with their number. What it trades: killed or without power, the vault
// loses the rows of the last 0.1 s of reads and refusals (never of changes, see AppendAudit). When
// the store doesn't take them, they wait, and what is killed then loses kMaxWait of them at most:
// after that Append refuses until the store has taken what waits, and so nothing more is read
// without a trace. Thread-safe.
class AuditWriter {
 public:
  static constexpr absl::Duration kWindow = absl::Milliseconds(50);
  // Different events that may wait.
  static constexpr size_t kMaxWaiting = 20'000;
  // How long the oldest may have waited for the store while others are taken.
  static constexpr absl::Duration kMaxWait = absl::Seconds(5);

  // `on_state` is told, on the writer's thread, after each write: ok or why not.
  AuditWriter(storage::Database& database,
              const Clock& clock,
              std::function<void(const Status&)> on_state);
  // Writes what waits.
  ~AuditWriter();

  // Unavailable with reason "audit_full".
  Status Append(AuditEvent event);

 private:
  struct Waiting {
    absl::Time first;
    int64_t calls = 0;
  };
  using Batch = absl::flat_hash_map<AuditEvent, Waiting>;

  void Run();
  Status Write(const Batch& batch);

  storage::Database& database_;
  const Clock& clock_;
  const std::function<void(const Status&)> on_state_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  Batch waiting_;
  // Of the oldest that waits, and of the oldest that is being written; infinite future: none.
  absl::Time waiting_since_ = absl::InfiniteFuture();
  absl::Time writing_since_ = absl::InfiniteFuture();
  // Last, so that it stops first.
  std::thread thread_;
};

}  // namespace dealstream::vault
