#pragma once

#include <functional>
#include <string>

#include "dealstream/vault/v1/vault.pb.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/crm/api/registry.h"
#include "libs/storage/database.h"
#include "services/credential-vault/audit.h"
#include "services/credential-vault/envelope.h"
#include "services/credential-vault/issuer.h"
#include "services/credential-vault/metrics.h"
#include "services/credential-vault/policy.h"
#include "services/credential-vault/root_keys.h"
#include "services/credential-vault/store.h"

namespace dealstream::vault {

// What the vault does, call by call; `caller` is the common name of its certificate. Every call is
// checked against the policy and audited, refused ones included; a change and its audit row are one
// transaction. All but IssueAccess block on the store. Thread-safe.
class Vault {
 public:
  // All outlive the vault.
  struct Parts {
    const Clock& clock;
    const crm::Registry& registry;
    storage::Database& database;
    const RootKeyFile& root_keys;
    const Policy& policy;
    AuditWriter& audit;
    AccessIssuer& issuer;
    VaultMetrics& metrics;
    bool allow_loopback;
  };
  explicit Vault(const Parts& parts) : parts_(parts) {}

  Result<v1::Credential> PutCredential(const std::string& caller,
                                       const v1::PutCredentialRequest& request);
  Result<v1::ListCredentialsResponse> ListCredentials(const std::string& caller,
                                                      const v1::ListCredentialsRequest& request);
  Result<v1::Credential> GetCredential(const std::string& caller, const std::string& id);
  Result<v1::Credential> RotateCredential(const std::string& caller,
                                          const v1::RotateCredentialRequest& request);
  Status DeleteCredential(const std::string& caller, const std::string& id);
  // Calls `done` at once when the access is kept, else later on a worker.
  void IssueAccess(const std::string& caller,
                   const std::string& credential_id,
                   int64_t refused_version,
                   AccessIssuer::Done done);

 private:
  Result<v1::Credential> Put(AuditEvent& event, const v1::PutCredentialRequest& request);
  Result<v1::ListCredentialsResponse> List(AuditEvent& event,
                                           const v1::ListCredentialsRequest& request);
  Result<v1::Credential> Get(AuditEvent& event);
  Result<v1::Credential> Rotate(AuditEvent& event, const v1::RotateCredentialRequest& request);
  Status Delete(AuditEvent& event);
  // Metadata, with what is known of the CRM's refusal.
  v1::Credential Shown(const StoredCredential& stored) const;

  // Writes the audit row of a call that changed nothing; gives the call's status, or why it can't
  // be written.
  Status Audited(AuditEvent event, const Status& status);
  // The status of the finished call, its audit row and metric done.
  Status FinishIssue(AuditEvent event, const Result<AccessIssuer::Access>& access);
  // Seals fields and measures it.
  Sealed SealMeasured(const crm::CredentialFields& fields, const Binding& binding);

  const Parts parts_;
};

}  // namespace dealstream::vault
