#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::moysklad {

// Login ("user@company") and password, sent as Basic with every call: minting a token would revoke
// the tokens of the customer's other integrations (README.md#credential).
class Credential final : public CredentialType {
 public:
  std::vector<CredentialFieldSpec> Fields() const override;
  // The company of the login, in lower case.
  Result<std::string> CrmAccountId(const CredentialFields& fields) const override;
  Result<Access> MakeAccess(const CredentialFields& fields, http::Transport& login) const override;
};

}  // namespace dealstream::crm::moysklad
