#include "libs/crm/klientiks/credential.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/klientiks/wire.h"

namespace dealstream::crm::klientiks {
namespace {

constexpr std::string_view kDefaultBaseUrl = "https://klientiks.ru";
constexpr std::string_view kApiPath = "/clientix/Restapi";
// 12 and 32 in all that was seen; what longer ones mean is not ours to say.
constexpr size_t kLongestId = 64;

const Secret* FindField(const CredentialFields& fields, std::string_view name) {
  auto found = std::find_if(
      fields.begin(), fields.end(), [name](const auto& field) { return field.first == name; });
  return found != fields.end() && !found->second.empty() ? &found->second : nullptr;
}

// Copied out of the page of the CRM's settings, often with a space behind it.
std::string_view Given(const Secret* field) {
  return field == nullptr ? std::string_view() : Trim(field->Reveal(RevealToken{}));
}

bool IsPlainWord(std::string_view text) {
  return !text.empty() && text.size() <= kLongestId &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c));
         });
}

Result<std::string> PlainId(const CredentialFields& fields, std::string_view name) {
  const std::string_view id = Given(FindField(fields, name));
  if (!IsPlainWord(id)) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: got \"{}\", want letters and digits, 12 hexadecimal ones as a rule: see Меню, "
        "Настройки, API",
        name,
        id.substr(0, 100)));
  }
  return std::string(id);
}

Result<std::string> BaseUrl(std::string_view given) {
  std::string url(given.empty() ? kDefaultBaseUrl : given);
  while (url.ends_with('/')) {
    url.pop_back();
  }
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  const std::string_view rest = std::string_view(url).substr(scheme);
  const bool has_path = rest.find('/') != std::string_view::npos;
  const bool plain = std::none_of(rest.begin(), rest.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == 0x7f;
  });
  if (scheme == 0 || rest.empty() || rest.front() == '/' || !plain ||
      rest.find_first_of("@?#\\{}") != std::string_view::npos ||
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
      {"account_id", "account_id", "account_id", /*secret=*/false, /*required=*/true},
      {"user_id", "user_id", "user_id", /*secret=*/false, /*required=*/true},
      {"access_token", "access_token", "access_token", /*secret=*/true, /*required=*/true},
      {"base_url", "Адрес API", "API address", /*secret=*/false, /*required=*/false},
  };
}

Result<std::string> Credential::CrmAccountId(const CredentialFields& fields) const {
  DEALSTREAM_RETURN_IF_ERROR(BaseUrl(Given(FindField(fields, "base_url"))).status());
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string id, PlainId(fields, "account_id"));
  return absl::AsciiStrToLower(id);
}

Result<Access> Credential::MakeAccess(const CredentialFields& fields, http::Transport&) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string account_id, PlainId(fields, "account_id"));
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string user_id, PlainId(fields, "user_id"));
  const std::string_view token = Given(FindField(fields, "access_token"));
  if (!IsPlainWord(token)) {
    // What was typed may be a secret of another kind.
    return absl::InvalidArgumentError(fmt::format(
        "access_token: got {}, want letters and digits, 32 hexadecimal ones as a rule: see Меню, "
        "Настройки, API",
        token.empty() ? "nothing" : "another text"));
  }
  Access access;
  DEALSTREAM_ASSIGN_OR_RETURN(access.base_url, BaseUrl(Given(FindField(fields, "base_url"))));
  std::string bearer = fmt::format("Bearer {}", token);
  access.headers.emplace_back("Authorization", Secret(bearer));
  WipeString(bearer);
  access.path.emplace_back("account_id", Secret(account_id));
  access.path.emplace_back("user_id", Secret(user_id));
  access.path.emplace_back("access_token", Secret(token));
  return access;
}

}  // namespace dealstream::crm::klientiks
