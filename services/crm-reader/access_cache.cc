#include "services/crm-reader/access_cache.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::reader {
namespace {

Status CredentialRefused(std::string_view why = "") {
  return WithReason(
      absl::UnauthenticatedError(
          fmt::format("access: the CRM refuses the credential{}{}", why.empty() ? "" : ": ", why)),
      "credential_refused");
}

// What the vault's answer means to a read.
Status Translate(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
      return CredentialRefused(ToStd(status.message()));
    case absl::StatusCode::kNotFound:
      return WithReason(
          absl::FailedPreconditionError("access: the vault has no credential of that id"),
          "credential_missing");
    default:
      return WithReason(absl::UnavailableError(std::string("access: the vault gave none: ") +
                                               std::string(status.message())),
                        "vault_unavailable");
  }
}

}  // namespace

AccessCache::AccessCache(Options options, Clock& clock, Vault& vault)
    : options_(options), clock_(clock), vault_(vault) {}

bool AccessCache::Expired(const Entry& entry, absl::Time now) const {
  return entry.issued == nullptr || entry.issued->access.expires_at - options_.expiry_margin <= now;
}

bool AccessCache::IsRefused(const Entry& entry) {
  return entry.refused_version != 0 && entry.issued != nullptr &&
         entry.refused_version == entry.issued->version;
}

void AccessCache::Ask(std::unique_lock<std::mutex>& lock,
                      const std::string& credential_id,
                      Entry& entry) {
  entry.asking = true;
  int64_t refused = entry.refused_version;
  lock.unlock();
  auto result = vault_.IssueAccess(credential_id, refused);
  lock.lock();
  entry.asking = false;
  entry.asked_at = clock_.Now();
  entry.last_error = result.ok() ? absl::OkStatus() : Translate(result.status());
  if (result.ok()) {
    if (result->version != entry.refused_version) {
      entry.refused_version = 0;
    }
    entry.issued = std::make_shared<const IssuedAccess>(*std::move(result));
    entry.fetched_at = entry.asked_at;
  } else if (entry.last_error.code() != absl::StatusCode::kUnavailable) {
    // The vault is there and says that this access is no more.
    entry.issued = nullptr;
  }
  asked_.notify_all();
}

Result<std::shared_ptr<const IssuedAccess>> AccessCache::Answer(Entry& entry,
                                                                absl::Time now) const {
  if (Expired(entry, now)) {
    return entry.last_error.ok() ? CredentialRefused() : entry.last_error;
  }
  if (IsRefused(entry)) {
    if (now - entry.refused_at < options_.try_refused_after) {
      return CredentialRefused();
    }
    // One more try; when it is refused, Refused says so again.
    entry.refused_version = 0;
  }
  return entry.issued;
}

Result<std::shared_ptr<const IssuedAccess>> AccessCache::Get(const std::string& credential_id) {
  std::unique_lock lock(mutex_);
  absl::Time now = clock_.Now();
  Sweep(now);
  Entry& entry = entries_[credential_id];
  entry.used_at = now;
  ++entry.users;
  asked_.wait(lock, [&] { return !entry.asking; });
  bool stale = now - entry.fetched_at >= options_.keep || Expired(entry, now) || IsRefused(entry);
  if (stale && now - entry.asked_at >= options_.ask_again_after) {
    Ask(lock, credential_id, entry);
    now = clock_.Now();
  }
  --entry.users;
  return Answer(entry, now);
}

// When there are too many, the half that wasn't used for longest goes at once, so that it isn't
// done for each one that is added.
absl::Time AccessCache::OldestToKeep() const {
  if (entries_.size() < options_.most) {
    return absl::InfinitePast();
  }
  std::vector<absl::Time> used;
  used.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) {
    used.push_back(entry.used_at);
  }
  auto middle = used.begin() + static_cast<std::ptrdiff_t>(used.size() / 2);
  std::nth_element(used.begin(), middle, used.end());
  return *middle;
}

void AccessCache::Sweep(absl::Time now) {
  bool full = entries_.size() >= options_.most;
  if (!full && now - swept_at_ < options_.forget_after / 4) {
    return;
  }
  swept_at_ = now;
  absl::Time oldest = OldestToKeep();
  for (auto at = entries_.begin(); at != entries_.end();) {
    const Entry& entry = at->second;
    bool idle = now - entry.used_at > options_.forget_after;
    // What the CRM refused is remembered for its time: it must not see it again.
    bool too_many = entry.used_at <= oldest && !IsRefused(entry);
    at = entry.users == 0 && (idle || too_many) ? entries_.erase(at) : std::next(at);
  }
}

size_t AccessCache::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

bool AccessCache::Refused(const std::string& credential_id, int64_t version) {
  std::unique_lock lock(mutex_);
  Entry& entry = entries_[credential_id];
  ++entry.users;
  entry.used_at = clock_.Now();
  asked_.wait(lock, [&] { return !entry.asking; });
  bool is_replaced = entry.issued != nullptr && entry.issued->version != version;
  if (!is_replaced) {
    entry.refused_version = version;
    entry.refused_at = clock_.Now();
    Ask(lock, credential_id, entry);
    is_replaced = entry.issued != nullptr && entry.issued->version != version;
  }
  --entry.users;
  return is_replaced;
}

}  // namespace dealstream::reader
