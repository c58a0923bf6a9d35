#pragma once

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::hollihop {

// The school's address ("https://school.t8s.ru") and the API key, which goes with every call as the
// argument `authkey`, percent-encoded: it may hold '/', '+' and '=' (README.md#credential).
class Credential final : public CredentialType {
 public:
  std::vector<CredentialFieldSpec> Fields() const override;
  // The school's name before ".t8s.ru", in lower case.
  Result<std::string> CrmAccountId(const CredentialFields& fields) const override;
  Result<Access> MakeAccess(const CredentialFields& fields, http::Transport& login) const override;
};

}  // namespace dealstream::crm::hollihop
