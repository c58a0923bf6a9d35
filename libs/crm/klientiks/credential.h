#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::klientiks {

// account_id, user_id and access_token of "Меню -> Настройки -> API". The first two stand in the
// path of every call; the token goes in the header Authorization or, where that is refused, in the
// path (README.md#transport).
class Credential final : public CredentialType {
 public:
  std::vector<CredentialFieldSpec> Fields() const override;
  // The account id, in lower case.
  Result<std::string> CrmAccountId(const CredentialFields& fields) const override;
  // Path: account_id, user_id, access_token.
  Result<Access> MakeAccess(const CredentialFields& fields, http::Transport& login) const override;
};

}  // namespace dealstream::crm::klientiks
