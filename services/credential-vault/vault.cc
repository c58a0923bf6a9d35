#include "services/credential-vault/vault.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/ascii.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <soci/soci.h>

#include "libs/base/ids.h"
#include "services/credential-vault/envelope.h"
#include "services/credential-vault/fields.h"
#include "services/credential-vault/store.h"

namespace dealstream::vault {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kLargestPage = 1000;
constexpr size_t kMaxNameBytes = 200;
constexpr size_t kMaxIdBytes = 64;

AuditEvent EventOf(const std::string& caller, Method method, std::string credential_id = "") {
  AuditEvent event;
  event.caller = caller.substr(0, 100);
  event.method = NameOf(method);
  // An id that can't be one isn't kept at any length.
  event.credential_id = std::move(credential_id);
  event.credential_id.resize(std::min(event.credential_id.size(), kMaxIdBytes));
  return event;
}

void Describe(AuditEvent& event, const StoredCredential& stored) {
  event.credential_id = stored.id;
  event.account_id = stored.account_id;
  event.crm = stored.crm;
  event.version = stored.version;
}

Status CheckText(std::string_view field, std::string_view text, size_t most) {
  const bool printable = std::none_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
  if (text.empty() || text.size() > most || !printable) {
    return absl::InvalidArgumentError(
        fmt::format("{}: got {}, want 1 to {} bytes of printable text",
                    field,
                    text.empty() ? std::string("nothing") : fmt::format("{} bytes", text.size()),
                    most));
  }
  return absl::OkStatus();
}

Result<const crm::Adapter*> FindAdapter(const crm::Registry& registry, const std::string& crm) {
  if (const crm::Adapter* adapter = registry.Find(crm)) {
    return adapter;
  }
  std::vector<std::string_view> ids;
  for (const auto& adapter : registry.adapters()) {
    ids.push_back(adapter->id());
  }
  return absl::InvalidArgumentError(fmt::format(
      "crm: got \"{}\", want one of {}", crm.substr(0, kMaxIdBytes), fmt::join(ids, ", ")));
}

}  // namespace

// ---- The calls: done, then audited

Result<v1::Credential> Vault::PutCredential(const std::string& caller,
                                            const v1::PutCredentialRequest& request) {
  AuditEvent event = EventOf(caller, Method::kPutCredential);
  auto result = Put(event, request);
  if (!result.ok()) {
    return Audited(std::move(event), result.status());
  }
  return result;
}

Result<v1::ListCredentialsResponse> Vault::ListCredentials(
    const std::string& caller, const v1::ListCredentialsRequest& request) {
  AuditEvent event = EventOf(caller, Method::kListCredentials);
  auto result = List(event, request);
  DEALSTREAM_RETURN_IF_ERROR(Audited(std::move(event), result.status()));
  return result;
}

Result<v1::Credential> Vault::GetCredential(const std::string& caller, const std::string& id) {
  AuditEvent event = EventOf(caller, Method::kGetCredential, id);
  auto result = Get(event);
  DEALSTREAM_RETURN_IF_ERROR(Audited(std::move(event), result.status()));
  return result;
}

Result<v1::Credential> Vault::RotateCredential(const std::string& caller,
                                               const v1::RotateCredentialRequest& request) {
  AuditEvent event = EventOf(caller, Method::kRotateCredential, request.id());
  auto result = Rotate(event, request);
  if (!result.ok()) {
    return Audited(std::move(event), result.status());
  }
  parts_.issuer.Forget(request.id());
  return result;
}

Status Vault::DeleteCredential(const std::string& caller, const std::string& id) {
  AuditEvent event = EventOf(caller, Method::kDeleteCredential, id);
  const Status status = Delete(event);
  if (!status.ok()) {
    return Audited(std::move(event), status);
  }
  parts_.issuer.Forget(id);
  return status;
}

void Vault::IssueAccess(const std::string& caller,
                        const std::string& credential_id,
                        int64_t refused_version,
                        AccessIssuer::Done done) {
  AuditEvent event = EventOf(caller, Method::kIssueAccess, credential_id);
  if (const Status allowed = parts_.policy.Check(caller, Method::kIssueAccess); !allowed.ok()) {
    done(FinishIssue(std::move(event), allowed));
    return;
  }
  if (const AccessIssuer::Access kept = parts_.issuer.Cached(credential_id, refused_version)) {
    const Status status = FinishIssue(std::move(event), kept);
    done(status.ok() ? Result<AccessIssuer::Access>(kept) : status);
    return;
  }
  // Nobody logs in to a CRM for one who may not read it; with what others have made, FinishIssue
  // checks.
  const auto may_use = [this, caller](const StoredCredential& stored) {
    return parts_.policy.Check(caller, Method::kIssueAccess, stored.crm);
  };
  parts_.issuer.Issue(credential_id,
                      refused_version,
                      may_use,
                      [this, event = std::move(event), done = std::move(done)](
                          const Result<AccessIssuer::Access>& made) {
                        const Status status = FinishIssue(event, made);
                        done(status.ok() ? made : Result<AccessIssuer::Access>(status));
                      });
}

Status Vault::FinishIssue(AuditEvent event, const Result<AccessIssuer::Access>& access) {
  Status status = access.status();
  if (access.ok()) {
    const Issued& issued = **access;
    event.account_id = issued.account_id;
    event.crm = issued.crm;
    event.version = issued.version;
    status = parts_.policy.Check(event.caller, Method::kIssueAccess, issued.crm);
  }
  const std::string crm = event.crm;
  status = Audited(std::move(event), status);
  parts_.metrics.CountRead(crm, absl::StatusCodeToString(status.code()));
  return status;
}

Status Vault::Audited(AuditEvent event, const Status& status) {
  event.outcome = absl::StatusCodeToString(status.code());
  const Status written = parts_.audit.Append(std::move(event));
  return status.ok() ? written : status;
}

Sealed Vault::SealMeasured(const crm::CredentialFields& fields, const Binding& binding) {
  const auto begin = std::chrono::steady_clock::now();
  Sealed sealed = Seal(fields, binding, *parts_.root_keys.Current());
  parts_.metrics.ObserveKms(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return sealed;
}

// ---- What each does

Result<v1::Credential> Vault::Put(AuditEvent& event, const v1::PutCredentialRequest& request) {
  event.account_id = request.account_id().substr(0, kMaxIdBytes);
  event.crm = request.crm().substr(0, kMaxIdBytes);
  DEALSTREAM_RETURN_IF_ERROR(
      parts_.policy.Check(event.caller, Method::kPutCredential, request.crm()));
  DEALSTREAM_ASSIGN_OR_RETURN(const crm::Adapter* adapter,
                              FindAdapter(parts_.registry, request.crm()));
  // Without one, any account's integrations may use it.
  if (!request.account_id().empty()) {
    DEALSTREAM_RETURN_IF_ERROR(CheckText("account_id", request.account_id(), kMaxIdBytes));
  }
  DEALSTREAM_RETURN_IF_ERROR(CheckText("name", request.name(), kMaxNameBytes));
  DEALSTREAM_ASSIGN_OR_RETURN(const CheckedFields checked,
                              CheckFields(*adapter, request.fields(), parts_.allow_loopback));

  const absl::Time now = parts_.clock.Now();
  StoredCredential stored{.id = NewId("crd_", parts_.clock),
                          .account_id = request.account_id(),
                          .crm = request.crm(),
                          .name = request.name(),
                          .crm_account_id = checked.crm_account_id,
                          .plain_fields = EncodePlain(checked.plain),
                          .version = 1,
                          .sealed = {},
                          .login_box = {},
                          .created_at = absl::ToUnixMicros(now),
                          .updated_at = absl::ToUnixMicros(now)};
  stored.sealed = SealMeasured(checked.fields, stored.MakeBinding());
  DEALSTREAM_RETURN_IF_ERROR(parts_.database.Write([&](soci::session& session) {
    Insert(session, stored);
    Describe(event, stored);
    event.outcome = "OK";
    AppendAudit(session, event, now);
    return absl::OkStatus();
  }));
  return stored.ToProto();
}

Result<v1::ListCredentialsResponse> Vault::List(AuditEvent& event,
                                                const v1::ListCredentialsRequest& request) {
  event.account_id = request.account_id().substr(0, kMaxIdBytes);
  event.crm = request.crm().substr(0, kMaxIdBytes);
  DEALSTREAM_RETURN_IF_ERROR(
      parts_.policy.CheckList(event.caller, request.crm(), request.account_id()));
  if (request.page_size() < 0 || request.page_size() > kLargestPage) {
    return absl::InvalidArgumentError(
        fmt::format("page_size: got {}, want 0 to {}", request.page_size(), kLargestPage));
  }
  const auto page =
      static_cast<size_t>(request.page_size() == 0 ? kDefaultPage : request.page_size());
  v1::ListCredentialsResponse response;
  DEALSTREAM_RETURN_IF_ERROR(parts_.database.Read([&](soci::session& session) {
    // One more than asked for shows whether there is a next page.
    const std::vector<StoredCredential> rows = vault::List(session,
                                                           request.account_id(),
                                                           request.crm(),
                                                           request.page_token(),
                                                           static_cast<int>(page) + 1);
    for (size_t i = 0; i < std::min(page, rows.size()); ++i) {
      *response.add_credentials() = Shown(rows[i]);
    }
    if (rows.size() > page) {
      response.set_next_page_token(rows[page - 1].id);
    }
    return absl::OkStatus();
  }));
  return response;
}

Result<v1::Credential> Vault::Get(AuditEvent& event) {
  DEALSTREAM_RETURN_IF_ERROR(parts_.policy.Check(event.caller, Method::kGetCredential));
  StoredCredential stored;
  DEALSTREAM_RETURN_IF_ERROR(parts_.database.Read([&](soci::session& session) -> Status {
    DEALSTREAM_ASSIGN_OR_RETURN(stored, Find(session, event.credential_id));
    return absl::OkStatus();
  }));
  Describe(event, stored);
  DEALSTREAM_RETURN_IF_ERROR(parts_.policy.Check(event.caller, Method::kGetCredential, stored.crm));
  return Shown(stored);
}

v1::Credential Vault::Shown(const StoredCredential& stored) const {
  v1::Credential credential = stored.ToProto();
  if (const auto refusal = parts_.issuer.RefusalOf(stored.id, stored.version)) {
    v1::Refusal& shown = *credential.mutable_refusal();
    const int64_t micros = absl::ToUnixMicros(refusal->at);
    shown.mutable_at()->set_seconds(micros / 1'000'000);
    shown.mutable_at()->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1'000));
    shown.set_text(refusal->text);
  }
  return credential;
}

Result<v1::Credential> Vault::Rotate(AuditEvent& event,
                                     const v1::RotateCredentialRequest& request) {
  DEALSTREAM_RETURN_IF_ERROR(parts_.policy.Check(event.caller, Method::kRotateCredential));
  StoredCredential stored;
  DEALSTREAM_RETURN_IF_ERROR(parts_.database.Read([&](soci::session& session) -> Status {
    DEALSTREAM_ASSIGN_OR_RETURN(stored, Find(session, event.credential_id));
    return absl::OkStatus();
  }));
  Describe(event, stored);
  DEALSTREAM_RETURN_IF_ERROR(
      parts_.policy.Check(event.caller, Method::kRotateCredential, stored.crm));
  DEALSTREAM_ASSIGN_OR_RETURN(const crm::Adapter* adapter,
                              FindAdapter(parts_.registry, stored.crm));
  DEALSTREAM_ASSIGN_OR_RETURN(const CheckedFields checked,
                              CheckFields(*adapter, request.fields(), parts_.allow_loopback));
  if (checked.crm_account_id != stored.crm_account_id) {
    return WithReason(
        absl::InvalidArgumentError(fmt::format(
            "fields: they are of the CRM account \"{}\", want \"{}\": for another account, put a "
            "new credential",
            checked.crm_account_id,
            stored.crm_account_id)),
        "crm_account_changed");
  }

  const int64_t old_version = stored.version;
  const absl::Time now = parts_.clock.Now();
  stored.version = old_version + 1;
  stored.plain_fields = EncodePlain(checked.plain);
  stored.updated_at = absl::ToUnixMicros(now);
  stored.sealed = SealMeasured(checked.fields, stored.MakeBinding());
  DEALSTREAM_RETURN_IF_ERROR(parts_.database.Write([&](soci::session& session) -> Status {
    DEALSTREAM_RETURN_IF_ERROR(Update(session, stored, old_version));
    AuditEvent done = event;
    done.version = stored.version;
    done.outcome = "OK";
    AppendAudit(session, done, now);
    return absl::OkStatus();
  }));
  return stored.ToProto();
}

Status Vault::Delete(AuditEvent& event) {
  DEALSTREAM_RETURN_IF_ERROR(parts_.policy.Check(event.caller, Method::kDeleteCredential));
  return parts_.database.Write([&](soci::session& session) -> Status {
    DEALSTREAM_ASSIGN_OR_RETURN(const StoredCredential stored, Find(session, event.credential_id));
    Describe(event, stored);
    DEALSTREAM_RETURN_IF_ERROR(
        parts_.policy.Check(event.caller, Method::kDeleteCredential, stored.crm));
    vault::Delete(session, stored.id);
    AuditEvent done = event;
    done.outcome = "OK";
    AppendAudit(session, done, parts_.clock.Now());
    return absl::OkStatus();
  });
}

}  // namespace dealstream::vault
