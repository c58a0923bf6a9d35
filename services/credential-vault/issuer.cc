#include "services/credential-vault/issuer.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "dealstream/vault/v1/vault.pb.h"
#include "services/credential-vault/envelope.h"
#include "services/credential-vault/fields.h"
#include "services/credential-vault/store.h"

namespace dealstream::vault {
namespace {

// A minted token isn't handed out in its last moments.
constexpr absl::Duration kExpiryMargin = absl::Minutes(1);
constexpr absl::Duration kFailingFor = absl::Hours(2);

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
                           const storage::Database& database,
                           const RootKeyFile& root_keys,
                           Transports transports,
                           WorkerPool& workers,
                           VaultMetrics& metrics)
    : options_(options),
      clock_(clock),
      registry_(registry),
      database_(database),
      root_keys_(root_keys),
      transports_(std::move(transports)),
      workers_(workers),
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

void AccessIssuer::Issue(const std::string& credential_id, int64_t refused_version, Done done) {
  std::shared_ptr<Flight> flight;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Flight>& slot = flights_[credential_id];
    if (slot) {
      slot->waiting.push_back(std::move(done));
      return;
    }
    slot = std::make_shared<Flight>();
    slot->waiting.push_back(std::move(done));
    flight = slot;
  }
  const bool taken = workers_.Submit([this, credential_id, refused_version, flight] {
    Fly(credential_id, refused_version, flight);
  });
  if (taken) {
    return;
  }
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    flights_.erase(credential_id);
    waiting.swap(flight->waiting);
  }
  for (const Done& refused : waiting) {
    refused(WithReason(absl::UnavailableError("the vault has too much to do"), "overloaded"));
  }
}

void AccessIssuer::Fly(const std::string& credential_id,
                       int64_t refused_version,
                       const std::shared_ptr<Flight>& flight) {
  const Result<Access> made = Make(credential_id, refused_version);
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(flight->waiting);
    const auto found = flights_.find(credential_id);
    if (found != flights_.end() && found->second == flight) {
      flights_.erase(found);
      if (made.ok()) {
        Keep(credential_id, *made);
      }
    }
    if (made.ok() && refused_version != 0 && (*made)->version == refused_version) {
      failing_[credential_id] = {.crm = (*made)->crm, .until = clock_.Now() + kFailingFor};
    }
  }
  for (const Done& done : waiting) {
    done(made);
  }
}

Result<AccessIssuer::Access> AccessIssuer::Make(const std::string& credential_id,
                                                int64_t refused_version) {
  StoredCredential stored;
  DEALSTREAM_RETURN_IF_ERROR(database_.Read([&](soci::session& session) -> Status {
    DEALSTREAM_ASSIGN_OR_RETURN(stored, Find(session, credential_id));
    return absl::OkStatus();
  }));
  const crm::Adapter* adapter = registry_.Find(stored.crm);
  if (adapter == nullptr) {
    return absl::FailedPreconditionError(
        fmt::format("credential {}: this program has no adapter \"{}\"", stored.id, stored.crm));
  }
  const auto begin = std::chrono::steady_clock::now();
  DEALSTREAM_ASSIGN_OR_RETURN(const crm::CredentialFields fields,
                              Open(stored.sealed, stored.MakeBinding(), *root_keys_.Current()));
  metrics_.ObserveKms(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());

  const absl::Time now = clock_.Now();
  {
    // A minted token that is still good outlives the reading of its row.
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(credential_id);
    if (found != index_.end()) {
      const Issued& old = *found->second->second;
      if (old.expires_at != absl::InfiniteFuture() && old.credential_version == stored.version &&
          old.version != refused_version && now < old.expires_at - kExpiryMargin) {
        return std::make_shared<const Issued>(Issued{.response = old.response.Clone(),
                                                     .account_id = old.account_id,
                                                     .crm = old.crm,
                                                     .credential_version = old.credential_version,
                                                     .version = old.version,
                                                     .expires_at = old.expires_at,
                                                     .read_at = now});
      }
    }
  }

  auto login = adapter->credential().LogIn(fields, {.state = {}, .now = now}, transports_(stored.crm));
  metrics_.CountMint(stored.crm, login.ok());
  if (!login.ok()) {
    return Annotate(login.status(), fmt::format("credential {}", stored.id));
  }
  const crm::Access* access = &login->access;
  DEALSTREAM_RETURN_IF_ERROR(
      Annotate(CheckUrl(access->base_url,
                        {.allowed_host_suffixes = adapter->AllowedHostSuffixes(),
                         .allow_loopback = options_.allow_loopback}),
               fmt::format("credential {}: base_url", stored.id)));
  // A minted token's version is the time of its making: it grows over restarts, and is larger than
  // that of any credential.
  const bool minted = access->expires_at != absl::InfiniteFuture();
  const int64_t version = minted ? absl::ToUnixMicros(now) : stored.version;
  return std::make_shared<const Issued>(Issued{.response = Serialize(*access, stored.crm, version),
                                               .account_id = stored.account_id,
                                               .crm = stored.crm,
                                               .credential_version = stored.version,
                                               .version = version,
                                               .expires_at = access->expires_at,
                                               .read_at = now});
}

void AccessIssuer::Keep(const std::string& credential_id, Access access) {
  const auto found = index_.find(credential_id);
  if (found != index_.end()) {
    entries_.erase(found->second);
    index_.erase(found);
  }
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
  failing_.erase(credential_id);
  const auto found = index_.find(credential_id);
  if (found != index_.end()) {
    entries_.erase(found->second);
    index_.erase(found);
  }
}

void AccessIssuer::UpdateFailing() {
  const absl::Time now = clock_.Now();
  std::map<std::string, int, std::less<>> counts;
  {
    const std::lock_guard lock(mutex_);
    for (auto entry = failing_.begin(); entry != failing_.end();) {
      if (entry->second.until <= now) {
        entry = failing_.erase(entry);
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
