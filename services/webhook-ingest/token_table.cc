#include "services/webhook-ingest/token_table.h"

#include <cstring>
#include <tuple>
#include <utility>

#include <openssl/crypto.h>

namespace dealstream::ingest {
namespace {

constexpr size_t kLeastSlots = 64;

// Stands where a target was removed, so that probing goes on. Also what misses are compared with.
const TokenTarget& Nobody() {
  static const TokenTarget nobody;
  return nobody;
}

// The digest of a random token is as good as random.
size_t Hash(const TokenDigest& digest) {
  uint64_t hash = 0;
  std::memcpy(&hash, digest.data(), sizeof(hash));
  return hash;
}

// In constant time. By halves: of 16 bytes OpenSSL compares words, of other sizes byte by byte.
bool SameDigest(const TokenDigest& a, const TokenDigest& b) {
  constexpr size_t kHalf = 16;
  static_assert(std::tuple_size_v<TokenDigest> == 2 * kHalf);
  const int first = CRYPTO_memcmp(a.data(), b.data(), kHalf);
  const int second = CRYPTO_memcmp(a.data() + kHalf, b.data() + kHalf, kHalf);
  return (first | second) == 0;
}

}  // namespace

TokenTable::TokenTable(size_t readers)
    : readers_(readers), slots_(std::make_unique<Slots>(kLeastSlots)) {
  current_.store(slots_.get());
}

TokenTable::~TokenTable() = default;

void TokenTable::Put(TokenTarget target) {
  auto fresh = std::make_unique<const TokenTarget>(std::move(target));
  auto& held = by_id_[fresh->integration_id];
  if (held != nullptr && held->digest == fresh->digest) {
    FindSlot(*slots_, held->digest).store(fresh.get());
  } else {
    if (held != nullptr) {
      Unlink(*held);
    }
    Link(fresh.get());
  }
  std::swap(held, fresh);
  if (fresh != nullptr) {
    Retire(std::move(fresh), nullptr);
  }
}

void TokenTable::Remove(std::string_view integration_id) {
  const auto it = by_id_.find(std::string(integration_id));
  if (it == by_id_.end()) {
    return;
  }
  auto target = std::move(it->second);
  by_id_.erase(it);
  Unlink(*target);
  Retire(std::move(target), nullptr);
}

// The slot of the digest, or the empty slot where probing ends.
std::atomic<const TokenTarget*>& TokenTable::FindSlot(Slots& slots,
                                                      const TokenDigest& digest) const {
  for (size_t at = Hash(digest) & slots.mask;; at = (at + 1) & slots.mask) {
    const TokenTarget* target = slots.slots[at].load();
    if (target == nullptr || (target != &Nobody() && target->digest == digest)) {
      return slots.slots[at];
    }
  }
}

void TokenTable::Link(const TokenTarget* target) {
  // At most half full: probing stays short, and there is always an end to it.
  if ((used_ + 1) * 2 > slots_->mask + 1) {
    size_t size = kLeastSlots;
    while (size < (by_id_.size() + 1) * 4) {
      size *= 2;
    }
    Grow(size);
  }
  FindSlot(*slots_, target->digest).store(target);
  ++used_;
}

void TokenTable::Unlink(const TokenTarget& target) {
  auto& slot = FindSlot(*slots_, target.digest);
  if (slot.load() == &target) {
    slot.store(&Nobody());
  }
}

void TokenTable::Grow(size_t size) {
  auto next = std::make_unique<Slots>(size);
  used_ = 0;
  for (size_t i = 0; i <= slots_->mask; ++i) {
    const TokenTarget* target = slots_->slots[i].load();
    if (target != nullptr && target != &Nobody()) {
      FindSlot(*next, target->digest).store(target);
      ++used_;
    }
  }
  current_.store(next.get());
  std::swap(slots_, next);
  Retire(nullptr, std::move(next));
}

void TokenTable::Retire(std::unique_ptr<const TokenTarget> target, std::unique_ptr<Slots> slots) {
  // A reader that entered before this increment may have seen it; one that enters after can't.
  retired_.push_back({++epoch_, std::move(target), std::move(slots)});
  FreeRetired();
}

void TokenTable::FreeRetired() {
  uint64_t least = epoch_.load();
  for (const ReaderEpoch& reader : readers_) {
    const uint64_t at = reader.value.load();
    if (at != 0 && at < least) {
      least = at;
    }
  }
  while (!retired_.empty() && retired_.front().epoch <= least) {
    retired_.pop_front();
  }
}

size_t TokenTable::MemoryBytes() const {
  size_t bytes = (slots_->mask + 1) * sizeof(void*);
  bytes += by_id_.capacity() * (sizeof(std::pair<std::string, void*>) + 1);
  for (const auto& [id, target] : by_id_) {
    bytes += sizeof(TokenTarget) + 16 + id.capacity() + target->integration_id.capacity() +
             target->crm_account_id.capacity();
  }
  return bytes + retired_.size() * sizeof(TokenTarget);
}

TokenTable::Lease::Lease(const TokenTable& table, size_t reader)
    : table_(table), epoch_(table.readers_[reader].value) {
  // Sequentially consistent, as everything here: either the writer sees this epoch before it frees,
  // or this thread sees what the writer unlinked as unlinked.
  epoch_.store(table_.epoch_.load());
}

TokenTable::Lease::~Lease() { epoch_.store(0, std::memory_order_release); }

const TokenTarget* TokenTable::Lease::Find(const TokenDigest& digest) const {
  const Slots& slots = *table_.current_.load();
  for (size_t at = Hash(digest) & slots.mask;; at = (at + 1) & slots.mask) {
    const TokenTarget* target = slots.slots[at].load();
    const bool end = target == nullptr;
    if (SameDigest(end ? Nobody().digest : target->digest, digest)) {
      // Only a token whose digest is all zeros could be taken for nobody's.
      return end || target == &Nobody() ? nullptr : target;
    }
    if (end) {
      return nullptr;
    }
  }
}

}  // namespace dealstream::ingest
