#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// The host of the school, e-mail and API key: a login mints a token for some minutes. The host is
// the account on the CRM's side.
class Credential final : public CredentialType {
 public:
  std::vector<CredentialFieldSpec> Fields() const override;
  Result<std::string> CrmAccountId(const CredentialFields& fields) const override;
  Result<Login> LogIn(const CredentialFields& fields,
                      const LoginContext& context,
                      http::Transport& transport) const override;
};

}  // namespace dealstream::crm::alfacrm
