#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libs/base/secret.h"
#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"
#include "services/credential-vault/root_keys.h"

// Envelope encryption of a credential's fields: a random data key of its own for each sealing,
// itself wrapped by the newest root key. XChaCha20-Poly1305 with random nonces. Pure but for the
// random bytes.
//
// Both boxes are
//
//   format     1 byte, 1
//   nonce     24 bytes
//   box        what was boxed + 16 bytes
//
// and the associated data of both binds them to their row: purpose ("fields" or "key"), credential
// id, tenant, CRM, CRM account id, name, plain fields and version, each after its size (8 bytes,
// little-endian); that of the wrapped key also the version of the root key. So nothing of a row can
// be changed, nor moved to another row, without the credential failing to open.
//
// The fields are boxed as: count (4 bytes), then for each: size of name (4), name, size of value
// (4), value; numbers little-endian.
//
// What a login leaves for the next one is a third box, under the data key of its row (purpose
// "login"): it goes with that key, so wrapping the key anew needs nothing of it, and a rotation
// makes it worthless.
namespace dealstream::vault {

// Raw bytes.
struct Sealed {
  std::string fields;
  std::string wrapped_key;
  int64_t root_key_version = 0;
};

// What the box is bound to: the columns of its row.
struct Binding {
  std::string credential_id;
  std::string account_id;
  std::string crm;
  std::string crm_account_id;
  std::string name;
  // As stored.
  std::string plain_fields;
  int64_t version = 0;
};

Sealed Seal(const crm::CredentialFields& fields, const Binding& binding, const RootKeys& keys);

// DataLoss: the row has been tampered with, or its root key isn't in the file; says which.
Result<crm::CredentialFields> Open(const Sealed& sealed,
                                   const Binding& binding,
                                   const RootKeys& keys);

// The state of a login, boxed for the row of `sealed`; and back.
Result<std::string> SealLogin(const Secret& state,
                              const Sealed& sealed,
                              const Binding& binding,
                              const RootKeys& keys);
Result<Secret> OpenLogin(std::string_view box,
                         const Sealed& sealed,
                         const Binding& binding,
                         const RootKeys& keys);

// The same box with its key wrapped by the newest root key.
Result<Sealed> Rewrap(const Sealed& sealed, const Binding& binding, const RootKeys& keys);

}  // namespace dealstream::vault
