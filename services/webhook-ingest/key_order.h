#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace dealstream::ingest {

// What records have in common that must stay in order: a CRM account's name isn't unique among
// CRMs.
struct OrderKey {
  std::string_view topic;
  std::string_view key;
};

// Keeps records of one key (CRM account) from overtaking one that the broker refused.
//
// A webhook whose record was refused is answered 503 and its sender tries again. Meanwhile two
// kinds of later records of the same key could pass it by:
//   * those under way when the refusal came: some may be stored already. They are not told accepted
//     (OnStored gives false), so that their senders repeat them too, behind the retry;
//   * those that come in after the refusal: they wait (MayPass gives false) until the retry was
//     stored, or was refused again (then no retry can help, and nobody waits for that one any
//     more), or `hold` is over. They are held up, not refused: a sender that tries thrice in a row
//     and gives up must not lose them.
// A record that merely timed out, with the brokers away, holds nobody up: only the first rule is
// applied to it.
//
// It knows of this process only; processes side by side have no order among them. Thread-safe; free
// of locks while nothing has failed lately.
class KeyOrder {
 public:
  explicit KeyOrder(absl::Duration hold) : hold_(hold) {}

  // Taken when a record is sent: larger is later.
  uint64_t NextTicket() { return ++last_ticket_; }

  // Whether a record may be sent now. `fingerprint` tells a repeated webhook.
  bool MayPass(const OrderKey& key, uint64_t fingerprint, absl::Time now);
  // The broker refused the record (`refused`), or it was given up.
  void OnFailed(
      const OrderKey& key, uint64_t ticket, uint64_t fingerprint, bool refused, absl::Time now);
  // The record was stored. False: it passed a failed one by and must be answered as not accepted.
  bool OnStored(const OrderKey& key, uint64_t ticket, uint64_t fingerprint, absl::Time now);

  // Keys with failures that are remembered.
  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Key {
    // Tickets of records that were under way: after `first`, not after `last`.
    uint64_t first = 0;
    uint64_t last = 0;
    absl::Time forget_at;
    absl::Time hold_until = absl::InfinitePast();
    // Refused once, retry awaited; and refused twice.
    std::vector<uint64_t> awaited;
    std::vector<uint64_t> hopeless;
  };
  // The lock is held.
  void Expire(absl::Time now);

  const absl::Duration hold_;
  std::atomic<uint64_t> last_ticket_{0};
  std::atomic<size_t> size_{0};
  // Of what follows.
  std::mutex mutex_;
  absl::flat_hash_map<std::string, Key> keys_;
  absl::Time next_expiry_ = absl::InfinitePast();
};

}  // namespace dealstream::ingest
