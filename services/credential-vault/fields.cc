#include "services/credential-vault/fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "libs/base/strings.h"

namespace dealstream::vault {
namespace {

using crm::CredentialFieldSpec;

// Far over any password or token we know.
constexpr size_t kMaxValueBytes = 16 * 1024;

struct Url {
  bool https = false;
  std::string host;
  // Without the colon; may be empty.
  std::string_view port;
};

bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-';
}

// Strict on purpose: a URL that two parsers could read in two ways is refused.
bool ParseUrl(std::string_view text, Url* url) {
  const std::string lower = absl::AsciiStrToLower(ToAbsl(text.substr(0, 8)));
  url->https = lower == "https://";
  if (!url->https && !lower.starts_with("http://")) {
    return false;
  }
  text.remove_prefix(url->https ? 8 : 7);
  const std::string_view authority = text.substr(0, text.find_first_of("/?#"));
  size_t end = 0;
  if (authority.starts_with("[::1]")) {
    end = 5;
  } else {
    while (end < authority.size() && IsHostCharacter(authority[end])) {
      ++end;
    }
  }
  url->host = absl::AsciiStrToLower(ToAbsl(authority.substr(0, end)));
  const std::string_view rest = authority.substr(end);
  url->port = rest.empty() ? rest : rest.substr(1);
  return !url->host.empty() && (rest.empty() || rest.front() == ':') &&
         std::all_of(url->port.begin(), url->port.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c));
         });
}

bool IsLoopback(std::string_view host) {
  const bool is_ipv4 = std::all_of(host.begin(), host.end(), [](char c) {
    return c == '.' || absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  return host == "localhost" || host == "[::1]" || (is_ipv4 && host.starts_with("127."));
}

bool HasSuffix(std::string_view host, std::string_view suffix) {
  return host == suffix || (host.size() > suffix.size() && host.ends_with(suffix) &&
                            host[host.size() - suffix.size() - 1] == '.');
}

const CredentialFieldSpec* FindSpec(const std::vector<CredentialFieldSpec>& specs,
                                    std::string_view name) {
  const auto found = std::find_if(
      specs.begin(), specs.end(), [name](const auto& spec) { return spec.name == name; });
  return found == specs.end() ? nullptr : &*found;
}

std::string Names(const std::vector<CredentialFieldSpec>& specs) {
  std::vector<std::string_view> names;
  names.reserve(specs.size());
  for (const CredentialFieldSpec& spec : specs) {
    names.push_back(spec.name);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

Status CheckOne(const CredentialFieldSpec& spec, std::string_view value, const UrlRules& rules) {
  if (value.size() > kMaxValueBytes) {
    return absl::InvalidArgumentError(
        fmt::format("{}: got {} bytes, want at most {}", spec.name, value.size(), kMaxValueBytes));
  }
  if (spec.required && value.empty()) {
    return absl::InvalidArgumentError(fmt::format("{}: got nothing, want a value", spec.name));
  }
  if (value.find('\0') != std::string_view::npos || value.find('\n') != std::string_view::npos ||
      value.find('\r') != std::string_view::npos) {
    return absl::InvalidArgumentError(fmt::format("{}: want one line of text", spec.name));
  }
  if (!spec.secret && value.find("://") != std::string_view::npos) {
    return Annotate(CheckUrl(value, rules), spec.name);
  }
  return absl::OkStatus();
}

}  // namespace

Status CheckUrl(std::string_view url, const UrlRules& rules) {
  Url parsed;
  if (!ParseUrl(url, &parsed)) {
    return absl::InvalidArgumentError("want https://host, without user and with a plain host name");
  }
  if (rules.allow_loopback && IsLoopback(parsed.host)) {
    return absl::OkStatus();
  }
  const bool allowed =
      std::any_of(rules.allowed_host_suffixes.begin(),
                  rules.allowed_host_suffixes.end(),
                  [&](const std::string& suffix) { return HasSuffix(parsed.host, suffix); });
  if (!allowed) {
    return WithReason(
        absl::InvalidArgumentError(fmt::format("points to \"{}\", want a host of {}{}",
                                               parsed.host.substr(0, 100),
                                               fmt::join(rules.allowed_host_suffixes, ", "),
                                               rules.allow_loopback ? ", or loopback" : "")),
        "host_not_allowed");
  }
  if (!parsed.https || !(parsed.port.empty() || parsed.port == "443")) {
    return WithReason(absl::InvalidArgumentError("want https on port 443"), "host_not_allowed");
  }
  return absl::OkStatus();
}

Result<CheckedFields> CheckFields(
    const crm::Adapter& adapter,
    const google::protobuf::RepeatedPtrField<v1::CredentialField>& given,
    bool allow_loopback) {
  const std::vector<CredentialFieldSpec> specs = adapter.credential().Fields();
  for (int i = 0; i < given.size(); ++i) {
    if (FindSpec(specs, given[i].name()) == nullptr) {
      return absl::InvalidArgumentError(fmt::format("\"{}\": no field of {}, which has {}",
                                                    given[i].name().substr(0, 100),
                                                    adapter.id(),
                                                    Names(specs)));
    }
    for (int j = 0; j < i; ++j) {
      if (given[i].name() == given[j].name()) {
        return absl::InvalidArgumentError(fmt::format("{}: given twice", given[i].name()));
      }
    }
  }
  const UrlRules rules{.allowed_host_suffixes = adapter.AllowedHostSuffixes(),
                       .allow_loopback = allow_loopback};
  CheckedFields checked;
  for (const CredentialFieldSpec& spec : specs) {
    const auto found = std::find_if(given.begin(), given.end(), [&spec](const auto& field) {
      return field.name() == spec.name;
    });
    const std::string_view value = found == given.end() ? std::string_view() : found->value();
    DEALSTREAM_RETURN_IF_ERROR(CheckOne(spec, value, rules));
    if (value.empty()) {
      continue;
    }
    checked.fields.emplace_back(spec.name, Secret(value));
    if (!spec.secret) {
      checked.plain.emplace_back(spec.name, value);
    }
  }
  DEALSTREAM_ASSIGN_OR_RETURN(checked.crm_account_id,
                              adapter.credential().CrmAccountId(checked.fields));
  return checked;
}

}  // namespace dealstream::vault
