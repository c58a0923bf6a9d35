#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "google/protobuf/repeated_ptr_field.h"

#include "dealstream/vault/v1/vault.pb.h"
#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

// What may be stored: a credential's fields against the adapter's own list, and where its URLs may
// point.
namespace dealstream::vault {

using PlainFields = std::vector<std::pair<std::string, std::string>>;

struct CheckedFields {
  crm::CredentialFields fields;
  // Those that the adapter declares plain, in its order.
  PlainFields plain;
  std::string crm_account_id;
};

// Where a tenant's URL may point. Development only: loopback, by http too, whatever the suffixes.
struct UrlRules {
  std::vector<std::string> allowed_host_suffixes;
  bool allow_loopback = false;
};

// InvalidArgument says where `url` points and where it may. Want: https, an allowed host or a
// subdomain of one, the usual port, no user.
Status CheckUrl(std::string_view url, const UrlRules& rules);

// InvalidArgument names the unknown, missing, doubled or malformed field; values of secret ones are
// in no message.
Result<CheckedFields> CheckFields(
    const crm::Adapter& adapter,
    const google::protobuf::RepeatedPtrField<v1::CredentialField>& given,
    bool allow_loopback);

}  // namespace dealstream::vault
