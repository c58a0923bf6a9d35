#include "services/credential-vault/issuer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "dealstream/vault/v1/vault.pb.h"
#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "services/credential-vault/envelope.h"
#include "services/credential-vault/fields.h"
#include "services/credential-vault/store.h"

namespace dealstream::vault {
namespace {

// A minted token isn't handed out in its last moments.
constexpr absl::Duration kExpiryMargin = absl::Minutes(1);
constexpr absl::Duration kRefusalKnownFor = absl::Hours(2);
// For a credential's owner.
constexpr std::string_view kCallsRefused =
    "the CRM refuses calls made with this credential: check that it is still valid and that its "
    "user "
    "may use the API";

void Fill(const std::vector<std::pair<std::string, Secret>>& from,
          google::protobuf::RepeatedPtrField<v1::CredentialField>* to) {
  for (const auto& [name, value] : from) {
    v1::CredentialField* field = to->Add();
    field->set_name(name);
    field->set_value(std::string(value.Reveal(RevealToken())));
  }
}

void Wipe(google::protobuf::RepeatedPtrField<v1::CredentialField>* fields) {
  for (v1::CredentialField& field : *fields) {
    WipeString(*field.mutable_value());
  }
}

// The CRM's word on the credential, rather than trouble on the way.
bool RefusesCredential(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
      return ReasonOf(status) != "host_not_allowed";
    default:
      return false;
  }
}

Status Overloaded() {
  return WithReason(absl::UnavailableError("the vault has too much to do"), "overloaded");
}

Status Stopping() {
  return WithReason(absl::UnavailableError("the vault is stopping"), "stopping");
}

// The answer's bytes; nothing of it is left in ordinary memory.
Secret Serialize(const crm::Access& access, std::string_view crm, int64_t version) {
  v1::IssueAccessResponse response;
  v1::Access* proto = response.mutable_access();
  proto->set_crm(std::string(crm));
  proto->set_base_url(access.base_url);
  Fill(access.headers, proto->mutable_headers());
  Fill(access.query, proto->mutable_query());
  Fill(access.path, proto->mutable_path());
  proto->set_version(version);
  if (access.expires_at != absl::InfiniteFuture()) {
    const int64_t micros = absl::ToUnixMicros(access.expires_at);
    proto->mutable_expires_at()->set_seconds(micros / 1'000'000);
    proto->mutable_expires_at()->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1'000));
  }
  std::string bytes = response.SerializeAsString();
  Secret secret(bytes);
  WipeString(bytes);
  for (auto* fields : {proto->mutable_headers(), proto->mutable_query(), proto->mutable_path()}) {
    Wipe(fields);
  }
  return secret;
}

}  // namespace

AccessIssuer::AccessIssuer(Options options,
                           const Clock& clock,
                           const crm::Registry& registry,
                           storage::Database& database,
                           const RootKeyFile& root_keys,
                           Transports transports,
                           WorkerPool& workers,
                           Logins logins,
                           VaultMetrics& metrics)
    : options_(options),
      clock_(clock),
      registry_(registry),
      database_(database),
      root_keys_(root_keys),
      transports_(std::move(transports)),
      workers_(workers),
      logins_(std::move(logins)),
      metrics_(metrics) {}

bool AccessIssuer::IsFresh(const Issued& issued, absl::Time now) const {
  return now < issued.expires_at - kExpiryMargin && now - issued.read_at < options_.cache_ttl;
}

AccessIssuer::Access AccessIssuer::Cached(const std::string& credential_id,
                                          int64_t refused_version) {
  const absl::Time now = clock_.Now();
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(credential_id);
  if (found == index_.end()) {
    return nullptr;
  }
  const Access& access = found->second->second;
  if (!IsFresh(*access, now) || access->version == refused_version) {
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  return access;
}

std::pair<std::shared_ptr<AccessIssuer::Flight>, bool> AccessIssuer::Board(
    const std::string& credential_id, Waiting waiting) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Flight>& slot = flights_[credential_id];
  const bool is_new = slot == nullptr;
  if (is_new) {
    slot = std::make_shared<Flight>();
  }
  slot->waiting.push_back(std::move(waiting));
  return {slot, is_new};
}

void AccessIssuer::Issue(const std::string& credential_id,
                         int64_t refused_version,
                         MayUse may_use,
                         Done done) {
  const auto [flight, is_new] =
      Board(credential_id, {refused_version, std::move(may_use), std::move(done)});
  if (!is_new) {
    return;
  }
  const bool taken = workers_.Submit([this, credential_id, refused_version, leading = flight] {
    Fly(credential_id, refused_version, leading);
  });
  if (!taken) {
    Land(credential_id, refused_version, flight, Overloaded());
  }
}

void AccessIssuer::Fly(const std::string& credential_id,
                       int64_t refused_version,
                       const std::shared_ptr<Flight>& flight) {
  Result<StoredCredential> stored = ReadRow(credential_id);
  if (!stored.ok()) {
    Land(credential_id, refused_version, flight, stored.status());
    return;
  }
  if (!Dismiss(*stored, flight)) {
    return;
  }
  Result<Prepared> prepared = Prepare(*std::move(stored), refused_version);
  if (!prepared.ok() || prepared->access != nullptr) {
    Land(credential_id,
         refused_version,
         flight,
         prepared.ok() ? Result<Access>(prepared->access) : prepared.status());
    return;
  }
  WorkerPool& logins = logins_(prepared->stored.crm);
  const bool taken =
      logins.Submit([this, credential_id, refused_version, flight, ready = *std::move(prepared)] {
        Land(credential_id,
             refused_version,
             flight,
             stopping_ ? Result<Access>(Stopping())
                       : LogIn(ready.stored, *ready.adapter, refused_version));
      });
  if (!taken) {
    Land(credential_id, refused_version, flight, Overloaded());
  }
}

void AccessIssuer::Land(const std::string& credential_id,
                        int64_t refused_version,
                        const std::shared_ptr<Flight>& flight,
                        const Result<Access>& made) {
  std::vector<Waiting> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(flight->waiting);
    const auto found = flights_.find(credential_id);
    if (found != flights_.end() && found->second == flight) {
      flights_.erase(found);
      if (made.ok()) {
        Keep(credential_id, *made);
      } else if (RefusesCredential(made.status())) {
        Drop(credential_id);
      }
    }
    if (made.ok() && refused_version != 0 && (*made)->version == refused_version) {
      refused_[credential_id] = {.crm = (*made)->crm,
                                 .credential_version = (*made)->credential_version,
                                 .at = clock_.Now(),
                                 .retry_at = absl::InfinitePast(),
                                 .text = std::string(kCallsRefused)};
    }
  }
  for (Waiting& one : waiting) {
    // It joined an attempt that knew nothing of the refusal, and got the very token.
    const bool again = made.ok() && one.refused_version != refused_version &&
                       (*made)->version == one.refused_version &&
                       (*made)->expires_at != absl::InfiniteFuture();
    if (!again) {
      one.done(made);
      continue;
    }
    const int64_t refused = one.refused_version;
    const auto [next, is_new] = Board(credential_id, std::move(one));
    if (is_new) {
      Fly(credential_id, refused, next);
    }
  }
}

Result<StoredCredential> AccessIssuer::ReadRow(const std::string& credential_id) {
  StoredCredential row;
  DEALSTREAM_RETURN_IF_ERROR(database_.Read([&](soci::session& session) -> Status {
    DEALSTREAM_ASSIGN_OR_RETURN(row, Find(session, credential_id));
    return absl::OkStatus();
  }));
  return row;
}

bool AccessIssuer::Dismiss(const StoredCredential& stored, const std::shared_ptr<Flight>& flight) {
  std::vector<std::pair<Done, Status>> dismissed;
  bool is_wanted = false;
  {
    const std::lock_guard lock(mutex_);
    std::vector<Waiting> staying;
    for (Waiting& one : flight->waiting) {
      Status may = one.may_use(stored);
      if (may.ok()) {
        staying.push_back(std::move(one));
      } else {
        dismissed.emplace_back(std::move(one.done), std::move(may));
      }
    }
    flight->waiting = std::move(staying);
    is_wanted = !flight->waiting.empty();
    const auto found = flights_.find(stored.id);
    if (!is_wanted && found != flights_.end() && found->second == flight) {
      flights_.erase(found);
    }
  }
  for (const auto& [done, status] : dismissed) {
    done(status);
  }
  return is_wanted;
}

Result<AccessIssuer::Prepared> AccessIssuer::Prepare(StoredCredential row,
                                                     int64_t refused_version) {
  Prepared prepared;
  prepared.stored = std::move(row);
  const StoredCredential& stored = prepared.stored;
  prepared.adapter = registry_.Find(stored.crm);
  if (prepared.adapter == nullptr) {
    return absl::FailedPreconditionError(
        fmt::format("credential {}: this program has no adapter \"{}\"", stored.id, stored.crm));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(prepared.access, Minted(stored, refused_version, clock_.Now()));
  return prepared;
}

Result<AccessIssuer::Access> AccessIssuer::Minted(const StoredCredential& stored,
                                                  int64_t refused_version,
                                                  absl::Time now) {
  {
    const std::lock_guard lock(mutex_);
    const auto refused = refused_.find(stored.id);
    if (refused != refused_.end() && refused->second.credential_version == stored.version &&
        now < refused->second.retry_at) {
      return WithReason(absl::UnauthenticatedError(refused->second.text), "credential_refused");
    }
    const auto found = index_.find(stored.id);
    if (found == index_.end()) {
      return Access();
    }
    const Issued& old = *found->second->second;
    if (old.expires_at == absl::InfiniteFuture() || old.credential_version != stored.version) {
      return Access();
    }
    if (old.version != refused_version) {
      if (now >= old.expires_at - kExpiryMargin) {
        return Access();
      }
      // A minted token that is still good outlives the reading of its row.
      return std::make_shared<const Issued>(Issued{.response = old.response.Clone(),
                                                   .account_id = old.account_id,
                                                   .crm = old.crm,
                                                   .credential_version = old.credential_version,
                                                   .version = old.version,
                                                   .expires_at = old.expires_at,
                                                   .after_refusal = old.after_refusal,
                                                   .read_at = now});
    }
    if (!old.after_refusal || now - absl::FromUnixMicros(old.version) > options_.fresh_for) {
      return Access();
    }
  }
  return Refuse(stored, now, std::string(kCallsRefused));
}

Status AccessIssuer::Refuse(const StoredCredential& stored, absl::Time now, std::string text) {
  const std::lock_guard lock(mutex_);
  refused_[stored.id] = {.crm = stored.crm,
                         .credential_version = stored.version,
                         .at = now,
                         .retry_at = now + options_.retry_refused_after,
                         .text = text};
  return WithReason(absl::UnauthenticatedError(text), "credential_refused");
}

Secret AccessIssuer::StateOf(const StoredCredential& stored) const {
  if (stored.login_box.empty()) {
    return {};
  }
  auto state =
      OpenLogin(stored.login_box, stored.sealed, stored.MakeBinding(), *root_keys_.Current());
  if (!state.ok()) {
    // A login without it costs one more call.
    obs::Warn("login_state_unreadable",
              ToStd(state.status().message()),
              {{"credential_id", stored.id}, {"crm", stored.crm}});
    return {};
  }
  return *std::move(state);
}

void AccessIssuer::KeepState(const StoredCredential& stored, const Secret& state) {
  if (state.empty() && stored.login_box.empty()) {
    return;
  }
  Status status = absl::OkStatus();
  std::string box;
  if (!state.empty()) {
    auto sealed = SealLogin(state, stored.sealed, stored.MakeBinding(), *root_keys_.Current());
    status = sealed.status();
    box = sealed.ok() ? *std::move(sealed) : std::string();
  }
  if (status.ok()) {
    status = database_.Write([&](soci::session& session) -> Status {
      UpdateLogin(session, stored, box);
      return absl::OkStatus();
    });
  }
  if (!status.ok()) {
    obs::Warn("login_state_not_kept",
              ToStd(status.message()),
              {{"credential_id", stored.id}, {"crm", stored.crm}});
  }
}

Result<AccessIssuer::Access> AccessIssuer::LogIn(const StoredCredential& stored,
                                                 const crm::Adapter& adapter,
                                                 int64_t refused_version) {
  const auto begin = std::chrono::steady_clock::now();
  DEALSTREAM_ASSIGN_OR_RETURN(const crm::CredentialFields fields,
                              Open(stored.sealed, stored.MakeBinding(), *root_keys_.Current()));
  const Secret before = StateOf(stored);
  metrics_.ObserveKms(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());

  const absl::Time now = clock_.Now();
  auto login = adapter.credential().LogIn(
      fields, {.state = before.Clone(), .now = now}, transports_(stored.crm));
  metrics_.CountMint(stored.crm, login.ok());
  if (!login.ok()) {
    return RefusesCredential(login.status())
               ? Refuse(stored, clock_.Now(), std::string(ToStd(login.status().message())))
               : Annotate(login.status(), fmt::format("credential {}", stored.id));
  }
  const crm::Access& access = login->access;
  DEALSTREAM_RETURN_IF_ERROR(
      Annotate(CheckUrl(access.base_url,
                        {.allowed_host_suffixes = adapter.AllowedHostSuffixes(),
                         .allow_loopback = options_.allow_loopback}),
               fmt::format("credential {}: base_url", stored.id)));
  if (!(login->state == before)) {
    // Before the access is used: should we die now, the old one may be worth nothing.
    KeepState(stored, login->state);
  }
  // A minted token's version is the time of its making: it grows over restarts, and is larger than
  // that of any credential.
  const bool minted = access.expires_at != absl::InfiniteFuture();
  const int64_t version =
      minted ? std::max(absl::ToUnixMicros(now), refused_version + 1) : stored.version;
  return std::make_shared<const Issued>(Issued{.response = Serialize(access, stored.crm, version),
                                               .account_id = stored.account_id,
                                               .crm = stored.crm,
                                               .credential_version = stored.version,
                                               .version = version,
                                               .expires_at = access.expires_at,
                                               .after_refusal = minted && refused_version != 0,
                                               .read_at = now});
}

void AccessIssuer::Drop(const std::string& credential_id) {
  const auto found = index_.find(credential_id);
  if (found != index_.end()) {
    entries_.erase(found->second);
    index_.erase(found);
  }
}

void AccessIssuer::Keep(const std::string& credential_id, Access access) {
  Drop(credential_id);
  entries_.emplace_front(credential_id, std::move(access));
  index_[credential_id] = entries_.begin();
  if (entries_.size() > options_.cache_entries) {
    index_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

void AccessIssuer::Forget(const std::string& credential_id) {
  const std::lock_guard lock(mutex_);
  flights_.erase(credential_id);
  refused_.erase(credential_id);
  Drop(credential_id);
}

std::optional<KnownRefusal> AccessIssuer::RefusalOf(const std::string& credential_id,
                                                    int64_t credential_version) const {
  const std::lock_guard lock(mutex_);
  const auto found = refused_.find(credential_id);
  if (found == refused_.end() || found->second.credential_version != credential_version ||
      found->second.at + kRefusalKnownFor <= clock_.Now()) {
    return std::nullopt;
  }
  return KnownRefusal{.at = found->second.at, .text = found->second.text};
}

void AccessIssuer::UpdateFailing() {
  const absl::Time now = clock_.Now();
  std::map<std::string, int, std::less<>> counts;
  {
    const std::lock_guard lock(mutex_);
    for (auto entry = refused_.begin(); entry != refused_.end();) {
      if (entry->second.at + kRefusalKnownFor <= now) {
        entry = refused_.erase(entry);
      } else {
        ++counts[entry->second.crm];
        ++entry;
      }
    }
  }
  for (const auto& adapter : registry_.adapters()) {
    const auto found = counts.find(adapter->id());
    metrics_.SetFailing(adapter->id(), found == counts.end() ? 0 : found->second);
  }
}

}  // namespace dealstream::vault
