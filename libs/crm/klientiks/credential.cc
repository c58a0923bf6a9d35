#include "libs/crm/klientiks/credential.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/crm/api/bad_value.h"
#include "libs/crm/api/credential.h"
#include "libs/crm/klientiks/wire.h"

namespace dealstream::crm::klientiks {
namespace {

constexpr ApiAddress kApi = {.origin = "https://klientiks.ru", .path = "/clientix/Restapi"};
// 12 and 32 in all that was seen; what longer ones mean is not ours to say.
constexpr size_t kLongestId = 64;

// Copied out of the page of the CRM's settings, often with a space behind it.
std::string_view Given(const CredentialFields& fields, std::string_view name) {
  const Secret* field = FindField(fields, name);
  return field == nullptr ? std::string_view() : Trim(field->Reveal(RevealToken{}));
}

bool IsPlainWord(std::string_view text) {
  return !text.empty() && text.size() <= kLongestId &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c));
         });
}

Result<std::string> PlainId(const CredentialFields& fields, std::string_view name) {
  const std::string_view id = Given(fields, name);
  if (!IsPlainWord(id)) {
    return BadValue(
        name, id, "letters and digits, 12 hexadecimal ones as a rule: see Меню, Настройки, API");
  }
  return std::string(id);
}

}  // namespace

std::vector<CredentialFieldSpec> Credential::Fields() const {
  return {
      {"account_id", "account_id", "account_id", /*secret=*/false, /*required=*/true},
      {"user_id", "user_id", "user_id", /*secret=*/false, /*required=*/true},
      {"access_token", "access_token", "access_token", /*secret=*/true, /*required=*/true},
      {"base_url", "Адрес API", "API address", /*secret=*/false, /*required=*/false},
  };
}

Result<std::string> Credential::CrmAccountId(const CredentialFields& fields) const {
  DEALSTREAM_RETURN_IF_ERROR(BaseUrl(Given(fields, "base_url"), kApi).status());
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string id, PlainId(fields, "account_id"));
  return absl::AsciiStrToLower(id);
}

Result<Access> Credential::MakeAccess(const CredentialFields& fields, http::Transport&) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string account_id, PlainId(fields, "account_id"));
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string user_id, PlainId(fields, "user_id"));
  const std::string_view token = Given(fields, "access_token");
  if (!IsPlainWord(token)) {
    // What was typed may be a secret of another kind.
    return absl::InvalidArgumentError(fmt::format(
        "access_token: got {}, want letters and digits, 32 hexadecimal ones as a rule: see Меню, "
        "Настройки, API",
        token.empty() ? "nothing" : "another text"));
  }
  Access access;
  DEALSTREAM_ASSIGN_OR_RETURN(access.base_url, BaseUrl(Given(fields, "base_url"), kApi));
  access.headers.emplace_back("Authorization", BearerToken(token));
  access.path.emplace_back("account_id", Secret(account_id));
  access.path.emplace_back("user_id", Secret(user_id));
  access.path.emplace_back("access_token", Secret(token));
  return access;
}

}  // namespace dealstream::crm::klientiks
