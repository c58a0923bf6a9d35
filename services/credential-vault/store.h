#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dealstream/vault/v1/vault.pb.h"
#include "libs/base/status.h"
#include "libs/storage/database.h"
#include "services/credential-vault/envelope.h"
#include "services/credential-vault/fields.h"

namespace soci {
class session;
}

// The table of credentials. Functions, each one statement inside of a transaction of the caller;
// they may throw what SOCI throws (see storage::Work).
namespace dealstream::vault {

// A row. `created_at` and `updated_at`: microseconds since the epoch.
struct StoredCredential {
  std::string id;
  std::string account_id;
  std::string crm;
  std::string name;
  std::string crm_account_id;
  // See EncodePlain.
  std::string plain_fields;
  int64_t version = 0;
  Sealed sealed;
  // See SealLogin; empty: none.
  std::string login_box;
  int64_t created_at = 0;
  int64_t updated_at = 0;

  Binding MakeBinding() const;
  // Metadata only.
  v1::Credential ToProto() const;
};

// The schema of the vault's store, audit log included.
const std::vector<storage::Migration>& Migrations();

// Plain fields as the column keeps them: "name=value" joined by "&", both percent-encoded.
std::string EncodePlain(const PlainFields& fields);
PlainFields DecodePlain(const std::string& text);

void Insert(soci::session& session, const StoredCredential& credential);
// NotFound.
Result<StoredCredential> Find(soci::session& session, const std::string& id);
// Ordered by id, after `after`, at most `limit`; empty filters mean all.
std::vector<StoredCredential> List(soci::session& session,
                                   const std::string& account_id,
                                   const std::string& crm,
                                   const std::string& after,
                                   int limit);
// Replaces what a rotation replaces, and drops what a login left. Aborted: the row's version isn't
// `expected_version` any more.
Status Update(soci::session& session, const StoredCredential& credential, int64_t expected_version);
// Keeps what a login left, unless the row has changed since it was read. Empty: nothing.
void UpdateLogin(soci::session& session,
                 const StoredCredential& credential,
                 const std::string& login_box);
void Delete(soci::session& session, const std::string& id);

// Rows whose key is wrapped by this root key, at most `limit`.
std::vector<StoredCredential> FindWrappedBy(soci::session& session,
                                            int64_t root_key_version,
                                            int limit);
// Rows whose key is wrapped by an older root key, at most `limit`, after id `after`.
std::vector<StoredCredential> FindWrappedBefore(soci::session& session,
                                                int64_t root_key_version,
                                                const std::string& after,
                                                int limit);
// Puts the new wrapping in place; false: not done, the row has changed since it was read.
bool UpdateWrapping(soci::session& session, const StoredCredential& old, const Sealed& rewrapped);

}  // namespace dealstream::vault
