#include "libs/crm/newcrm/credential.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::crm::newcrm {
namespace {

constexpr std::string_view kDefaultBaseUrl = "https://api.newcrm.example/v1";

const Secret* FindField(const CredentialFields& fields, std::string_view name) {
  const auto found = std::find_if(
      fields.begin(), fields.end(), [name](const auto& field) { return field.first == name; });
  return found != fields.end() && !found->second.empty() ? &found->second : nullptr;
}

// A field that is no secret.
std::string_view PlainField(const CredentialFields& fields, std::string_view name) {
  const Secret* field = FindField(fields, name);
  return field == nullptr ? std::string_view() : field->Reveal(RevealToken{});
}

bool IsVisible(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
}

Result<std::string> Account(const CredentialFields& fields) {
  const std::string_view account = PlainField(fields, "account");
  if (account.empty() || account.size() > 100 ||
      !std::all_of(account.begin(), account.end(), [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-';
      })) {
    return absl::InvalidArgumentError(fmt::format(
        "account: got \"{}\", want letters, digits and dashes", account.substr(0, 100)));
  }
  return absl::AsciiStrToLower(ToAbsl(account));
}

Result<std::string> BaseUrl(const CredentialFields& fields) {
  const std::string_view given = PlainField(fields, "base_url");
  std::string url(given.empty() ? kDefaultBaseUrl : given);
  while (url.ends_with('/')) {
    url.pop_back();
  }
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  if (scheme == 0 || scheme == url.size() || url[scheme] == '/' || !IsVisible(url) ||
      url.find_first_of("@?#\\") != std::string::npos) {
    return absl::InvalidArgumentError(fmt::format(
        "base_url: got \"{}\", want {} or nothing", given.substr(0, 100), kDefaultBaseUrl));
  }
  return url;
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
  DEALSTREAM_RETURN_IF_ERROR(BaseUrl(fields).status());
  return Account(fields);
}

Result<Access> Credential::MakeAccess(const CredentialFields& fields, http::Transport&) const {
  DEALSTREAM_RETURN_IF_ERROR(Account(fields).status());
  const Secret* key = FindField(fields, "key");
  if (key == nullptr || !IsVisible(key->Reveal(RevealToken{}))) {
    return absl::InvalidArgumentError("key: want a text without blanks");
  }
  Access access;
  DEALSTREAM_ASSIGN_OR_RETURN(access.base_url, BaseUrl(fields));
  std::string value = fmt::format("Bearer {}", key->Reveal(RevealToken{}));
  access.headers.emplace_back("Authorization", Secret(value));
  WipeString(value);
  return access;
}

}  // namespace dealstream::crm::newcrm
