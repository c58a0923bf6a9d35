#include "libs/crm/api/credential.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/bad_value.h"

namespace dealstream::crm {

const Secret* FindField(const CredentialFields& fields, std::string_view name) {
  const auto found = std::find_if(
      fields.begin(), fields.end(), [name](const auto& field) { return field.first == name; });
  return found != fields.end() && !found->second.empty() ? &found->second : nullptr;
}

std::string_view PlainField(const CredentialFields& fields, std::string_view name) {
  const Secret* field = FindField(fields, name);
  return field == nullptr ? std::string_view() : field->Reveal(RevealToken{});
}

bool IsVisibleAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
}

bool IsHostName(std::string_view host) {
  return !host.empty() && host.size() <= 253 && host.front() != '.' && host.front() != '-' &&
         host.back() != '.' && host.find("..") == std::string_view::npos &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.';
         });
}

Status BadAddress(std::string_view field, std::string_view given, std::string_view want) {
  std::string_view host = ToStd(absl::StripAsciiWhitespace(ToAbsl(given)));
  if (const size_t scheme = host.find("://"); scheme != std::string_view::npos) {
    host.remove_prefix(scheme + 3);
  }
  host = host.substr(0, host.find_first_of("/?#\\:"));
  // A key has no dots, as a rule, and what stands before an @ is a user.
  const bool is_host = IsHostName(host) && host.find('.') != std::string_view::npos &&
                       given.find('@') == std::string_view::npos;
  if (is_host || given.empty()) {
    return BadValue(field, host, want);
  }
  return absl::InvalidArgumentError(
      fmt::format("{}: got {} bytes that begin with no host, want {}", field, given.size(), want));
}

Result<std::string> BaseUrl(std::string_view given, const ApiAddress& standard) {
  std::string_view url = given.empty() ? standard.origin : given;
  while (url.ends_with('/')) {
    url.remove_suffix(1);
  }
  const size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  const std::string_view rest = url.substr(scheme);
  const bool has_path = rest.find('/') != std::string_view::npos;
  // Braces are where the secrets of a path go.
  if (scheme == 0 || rest.empty() || rest.front() == '/' || !IsVisibleAscii(rest) ||
      rest.find_first_of("@?#\\{}") != std::string_view::npos ||
      (has_path && (standard.path.empty() || !rest.ends_with(standard.path)))) {
    return BadAddress("base_url", given, fmt::format("{} or nothing", standard.origin));
  }
  return fmt::format("{}{}", url, has_path ? std::string_view() : standard.path);
}

Secret BearerToken(std::string_view token) {
  constexpr std::string_view kScheme = "Bearer ";
  std::string value;
  // Room for all of it at once: a string that grows leaves its bytes behind.
  value.reserve(kScheme.size() + token.size());
  value += kScheme;
  value += token;
  Secret secret(value);
  WipeString(value);
  return secret;
}

}  // namespace dealstream::crm
