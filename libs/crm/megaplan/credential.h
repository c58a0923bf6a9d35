#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::megaplan {

// Name and password of a user, and the account's domain. They are exchanged for a token (OAuth2,
// password grant), which is renewed with the refresh token that came with it; where that is
// refused, the password is used again in the same login. See README.md#credential.
class Credential final : public CredentialType {
 public:
  std::vector<CredentialFieldSpec> Fields() const override;
  // The part of the domain before .megaplan.ru; the whole host of any other domain. Lower case.
  Result<std::string> CrmAccountId(const CredentialFields& fields) const override;
  Result<Login> LogIn(const CredentialFields& fields,
                      const LoginContext& context,
                      http::Transport& transport) const override;
};

}  // namespace dealstream::crm::megaplan
