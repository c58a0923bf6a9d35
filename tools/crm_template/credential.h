#pragma once

#include <string>
#include <vector>

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::newcrm {

// A key that goes into a header; it doesn't expire.
class Credential final : public CredentialType {
 public:
  std::vector<CredentialFieldSpec> Fields() const override;
  Result<std::string> CrmAccountId(const CredentialFields& fields) const override;
  Result<Access> MakeAccess(const CredentialFields& fields, http::Transport& login) const override;
};

}  // namespace dealstream::crm::newcrm
