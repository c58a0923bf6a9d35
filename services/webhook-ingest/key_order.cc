#include "services/webhook-ingest/key_order.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "libs/base/strings.h"

namespace dealstream::ingest {
namespace {

// Longer than any record is under way, so that what was under way at a failure has been reported.
constexpr absl::Duration kMemory = absl::Seconds(30);
// Bounds of what is remembered. A failure beyond them is forgotten at once.
constexpr size_t kMaxKeys = 100'000;
constexpr size_t kMaxFingerprints = 64;

bool Contains(const std::vector<uint64_t>& values, uint64_t value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// No topic's name has a blank.
std::string Joined(const OrderKey& key) {
  return absl::StrCat(ToAbsl(key.topic), " ", ToAbsl(key.key));
}

void AddBounded(std::vector<uint64_t>& values, uint64_t value) {
  if (values.size() < kMaxFingerprints) {
    values.push_back(value);
  }
}

}  // namespace

bool KeyOrder::MayPass(const OrderKey& key, uint64_t fingerprint, absl::Time now) {
  if (size_.load(std::memory_order_relaxed) == 0) {
    return true;
  }
  std::lock_guard lock(mutex_);
  const auto it = keys_.find(Joined(key));
  if (it == keys_.end() || it->second.awaited.empty() || now >= it->second.hold_until) {
    return true;
  }
  return Contains(it->second.awaited, fingerprint);
}

void KeyOrder::OnFailed(
    const OrderKey& key, uint64_t ticket, uint64_t fingerprint, bool refused, absl::Time now) {
  std::lock_guard lock(mutex_);
  if (keys_.size() >= kMaxKeys) {
    Expire(now);
  }
  if (keys_.size() >= kMaxKeys) {
    return;
  }
  auto [it, is_new] = keys_.try_emplace(Joined(key));
  Key& entry = it->second;
  // The producers of several threads report in any order: what was under way at an earlier failure
  // may still be.
  entry.first = is_new ? ticket : std::min(entry.first, ticket);
  entry.last = last_ticket_.load();
  entry.forget_at = now + kMemory;
  if (refused && !Contains(entry.hopeless, fingerprint)) {
    if (std::erase(entry.awaited, fingerprint) > 0) {
      AddBounded(entry.hopeless, fingerprint);
    } else {
      // Not prolonged by further refusals: nobody waits for longer than `hold`.
      if (entry.awaited.empty() || now >= entry.hold_until) {
        entry.awaited.clear();
        entry.hold_until = now + hold_;
      }
      AddBounded(entry.awaited, fingerprint);
    }
  }
  size_.store(keys_.size(), std::memory_order_relaxed);
}

bool KeyOrder::OnStored(const OrderKey& key,
                        uint64_t ticket,
                        uint64_t fingerprint,
                        absl::Time now) {
  if (size_.load(std::memory_order_relaxed) == 0) {
    return true;
  }
  std::lock_guard lock(mutex_);
  Expire(now);
  const auto it = keys_.find(Joined(key));
  if (it == keys_.end()) {
    return true;
  }
  std::erase(it->second.awaited, fingerprint);
  return ticket <= it->second.first || ticket > it->second.last;
}

void KeyOrder::Expire(absl::Time now) {
  if (now < next_expiry_) {
    return;
  }
  next_expiry_ = now + absl::Seconds(1);
  absl::erase_if(keys_, [now](const auto& entry) { return now >= entry.second.forget_at; });
  size_.store(keys_.size(), std::memory_order_relaxed);
}

}  // namespace dealstream::ingest
