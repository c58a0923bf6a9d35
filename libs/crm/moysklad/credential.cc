#include "libs/crm/moysklad/credential.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/bad_value.h"
#include "libs/crm/api/credential.h"

namespace dealstream::crm::moysklad {
namespace {

constexpr ApiAddress kApi = {.origin = "https://api.moysklad.ru", .path = "/api/remap/1.2"};

bool IsPlainText(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
  });
}

Result<std::string> Company(std::string_view login) {
  const size_t at = login.find_last_of('@');
  // A colon would end the login in the Basic scheme.
  if (at == std::string_view::npos || at == 0 || at + 1 == login.size() || !IsPlainText(login) ||
      login.find(':') != std::string_view::npos) {
    return BadValue("login", login, "user@company");
  }
  return absl::AsciiStrToLower(ToAbsl(login.substr(at + 1)));
}

}  // namespace

std::vector<CredentialFieldSpec> Credential::Fields() const {
  return {
      {"login", "Логин", "Login", /*secret=*/false, /*required=*/true},
      {"password", "Пароль", "Password", /*secret=*/true, /*required=*/true},
      {"base_url", "Адрес API", "API address", /*secret=*/false, /*required=*/false},
  };
}

Result<std::string> Credential::CrmAccountId(const CredentialFields& fields) const {
  DEALSTREAM_RETURN_IF_ERROR(BaseUrl(PlainField(fields, "base_url"), kApi).status());
  return Company(PlainField(fields, "login"));
}

Result<Access> Credential::MakeAccess(const CredentialFields& fields, http::Transport&) const {
  const std::string_view login = PlainField(fields, "login");
  DEALSTREAM_RETURN_IF_ERROR(Company(login).status());
  const Secret* password = FindField(fields, "password");
  if (password == nullptr) {
    return absl::InvalidArgumentError("password: got nothing, want the password of the login");
  }
  Access access;
  DEALSTREAM_ASSIGN_OR_RETURN(access.base_url, BaseUrl(PlainField(fields, "base_url"), kApi));
  std::string pair = fmt::format("{}:{}", login, password->Reveal(RevealToken{}));
  std::string encoded = absl::Base64Escape(pair);
  std::string value = fmt::format("Basic {}", encoded);
  access.headers.emplace_back("Authorization", Secret(value));
  WipeString(pair);
  WipeString(encoded);
  WipeString(value);
  return access;
}

}  // namespace dealstream::crm::moysklad
