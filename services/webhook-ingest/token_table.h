#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

// Which integration a webhook token belongs to. One thread writes, a fixed number of threads read.
//
// Readers take no lock and wait for nobody: a table of pointers (open addressing) is probed with
// atomic loads, and the writer swaps single pointers. What a reader may still be looking at is
// freed only when every reader has left the state it could see it in: each reader says on entry
// which epoch it read, the writer frees what was unlinked before the least of them. An update costs
// the same in a table of a hundred and of a hundred thousand; growth copies pointers only.
namespace dealstream::ingest {

// SHA-256 of a webhook token.
using TokenDigest = std::array<unsigned char, 32>;

// What the door must know of an integration. Never changes; an update is a new one.
struct TokenTarget {
  TokenDigest digest{};
  std::string integration_id;
  std::string crm_account_id;
  // Index of the CRM among the door's; see Crms.
  uint32_t crm = 0;
  bool active = false;
};

class TokenTable {
 public:
  // `readers`: how many there are, numbered from 0.
  explicit TokenTable(size_t readers);
  ~TokenTable();
  TokenTable(const TokenTable&) = delete;
  TokenTable& operator=(const TokenTable&) = delete;

  // ---- The writer ----

  // Adds the integration or takes the place of its former state, a changed token included.
  void Put(TokenTarget target);
  void Remove(std::string_view integration_id);
  size_t size() const { return by_id_.size(); }
  // Of all that is held, what waits to be freed included; an estimate.
  size_t MemoryBytes() const;

  // ---- Readers ----

  // Holds what Find gave alive. One at a time for each reader; short.
  class Lease {
   public:
    Lease(const TokenTable& table, size_t reader);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    // Null where there is none. The digest picks the place to look at; whether it is the one is
    // told by a comparison of all bytes in constant time, made for misses also.
    const TokenTarget* Find(const TokenDigest& digest) const;

   private:
    const TokenTable& table_;
    std::atomic<uint64_t>& epoch_;
  };

 private:
  struct Slots {
    explicit Slots(size_t size) : mask(size - 1), slots(new std::atomic<const TokenTarget*>[size]) {
      for (size_t i = 0; i < size; ++i) {
        slots[i].store(nullptr, std::memory_order_relaxed);
      }
    }
    size_t mask;
    std::unique_ptr<std::atomic<const TokenTarget*>[]> slots;
  };
  struct alignas(64) ReaderEpoch {
    // 0: not reading.
    std::atomic<uint64_t> value{0};
  };
  struct Retired {
    uint64_t epoch;
    std::unique_ptr<const TokenTarget> target;
    std::unique_ptr<Slots> slots;
  };

  std::atomic<const TokenTarget*>& FindSlot(Slots& slots, const TokenDigest& digest) const;
  void Link(const TokenTarget* target);
  void Unlink(const TokenTarget& target);
  void Grow(size_t size);
  void Retire(std::unique_ptr<const TokenTarget> target, std::unique_ptr<Slots> slots);
  void FreeRetired();

  mutable std::vector<ReaderEpoch> readers_;
  std::atomic<uint64_t> epoch_{1};
  std::atomic<Slots*> current_;
  // The writer's own.
  std::unique_ptr<Slots> slots_;
  // Slots that are not empty, left marks of removed ones included.
  size_t used_ = 0;
  absl::flat_hash_map<std::string, std::unique_ptr<const TokenTarget>> by_id_;
  std::deque<Retired> retired_;
};

}  // namespace dealstream::ingest
