#include "libs/crm/newcrm/credential.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/bad_value.h"
#include "libs/crm/api/credential.h"

namespace dealstream::crm::newcrm {
namespace {

constexpr ApiAddress kApi = {.origin = "https://api.newcrm.example", .path = "/v1"};

Result<std::string> Account(const CredentialFields& fields) {
  const std::string_view account = PlainField(fields, "account");
  if (account.empty() || account.size() > 100 ||
      !std::all_of(account.begin(), account.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-';
      })) {
    return BadValue("account", account, "letters, digits and dashes");
  }
  return absl::AsciiStrToLower(ToAbsl(account));
}

}  // namespace

std::vector<CredentialFieldSpec> Credential::Fields() const {
  return {
      {"account", "Аккаунт", "Account", /*secret=*/false, /*required=*/true},
      {"key", "Ключ API", "API key", /*secret=*/true, /*required=*/true},
      {"base_url", "Адрес API", "API address", /*secret=*/false, /*required=*/false},
  };
}

Result<std::string> Credential::CrmAccountId(const CredentialFields& fields) const {
  DEALSTREAM_RETURN_IF_ERROR(BaseUrl(PlainField(fields, "base_url"), kApi).status());
  return Account(fields);
}

Result<Access> Credential::MakeAccess(const CredentialFields& fields, http::Transport&) const {
  DEALSTREAM_RETURN_IF_ERROR(Account(fields).status());
  const Secret* key = FindField(fields, "key");
  if (key == nullptr || !IsVisibleAscii(key->Reveal(RevealToken{}))) {
    return absl::InvalidArgumentError("key: want a text without blanks");
  }
  Access access;
  DEALSTREAM_ASSIGN_OR_RETURN(access.base_url, BaseUrl(PlainField(fields, "base_url"), kApi));
  access.headers.emplace_back("Authorization", BearerToken(key->Reveal(RevealToken{})));
  return access;
}

}  // namespace dealstream::crm::newcrm
