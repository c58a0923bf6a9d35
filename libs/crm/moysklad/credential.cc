#include "libs/crm/moysklad/credential.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::crm::moysklad {
namespace {

constexpr std::string_view kDefaultBaseUrl = "https://api.moysklad.ru";
constexpr std::string_view kApiPath = "/api/remap/1.2";

const Secret* FindField(const CredentialFields& fields, std::string_view name) {
  auto found = std::find_if(
      fields.begin(), fields.end(), [name](const auto& field) { return field.first == name; });
  return found != fields.end() && !found->second.empty() ? &found->second : nullptr;
}

// A field that is no secret.
std::string_view PlainField(const CredentialFields& fields, std::string_view name) {
  const Secret* field = FindField(fields, name);
  return field == nullptr ? std::string_view() : field->Reveal(RevealToken{});
}

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
    return absl::InvalidArgumentError(
        fmt::format("login: got \"{}\", want user@company", login.substr(0, 100)));
  }
  return absl::AsciiStrToLower(ToAbsl(login.substr(at + 1)));
}

// Scheme and host, with the API's path.
Result<std::string> BaseUrl(std::string_view given) {
  std::string url(given.empty() ? kDefaultBaseUrl : given);
  while (url.ends_with('/')) {
    url.pop_back();
  }
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  const std::string_view rest = std::string_view(url).substr(scheme);
  const bool has_path = rest.find('/') != std::string_view::npos;
  if (scheme == 0 || rest.empty() || rest.front() == '/' || !IsPlainText(rest) ||
      rest.find_first_of("@?#\\") != std::string_view::npos ||
      (has_path && !rest.ends_with(kApiPath))) {
    return absl::InvalidArgumentError(fmt::format(
        "base_url: got \"{}\", want {} or nothing", given.substr(0, 100), kDefaultBaseUrl));
  }
  if (!has_path) {
    url += kApiPath;
  }
  return url;
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
  DEALSTREAM_RETURN_IF_ERROR(BaseUrl(PlainField(fields, "base_url")).status());
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
  DEALSTREAM_ASSIGN_OR_RETURN(access.base_url, BaseUrl(PlainField(fields, "base_url")));
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
