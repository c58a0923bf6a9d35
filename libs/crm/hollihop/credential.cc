#include "libs/crm/hollihop/credential.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/credential.h"
#include "libs/crm/hollihop/text.h"

namespace dealstream::crm::hollihop {
namespace {

constexpr std::string_view kDomain = ".t8s.ru";
constexpr std::string_view kApiPath = "/Api/V2";
// Longer than any key that was seen (64).
constexpr size_t kLongestKey = 512;

struct Address {
  std::string account;
  std::string base_url;
};

Status NoAddress(std::string_view given) {
  return BadAddress("url", given, "the school's address as https://school.t8s.ru");
}

// Tests and the demo have a simulator here; the outbound guard refuses it elsewhere.
bool IsLoopback(std::string_view host) { return host == "localhost" || host.starts_with("127."); }

bool IsPort(std::string_view port) {
  return !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

// Segments of a path without the API's own, wherever slashes are doubled.
std::vector<std::string> SegmentsBeforeApi(std::string_view path) {
  std::vector<std::string> segments = absl::StrSplit(ToAbsl(path), '/', absl::SkipEmpty());
  const size_t size = segments.size();
  if (size >= 2 && Folded(segments[size - 2]) == "api" && Folded(segments[size - 1]) == "v2") {
    segments.resize(size - 2);
  }
  return segments;
}

// "school1"; never the name of a function of the API, which might be one that writes.
bool IsSchool(std::string_view segment) {
  static constexpr auto kVerbs =
      std::to_array<std::string_view>({"get", "add", "edit", "set", "delete", "register"});
  const std::string folded = Folded(segment);
  return segment.size() <= 64 &&
         std::all_of(segment.begin(),
                     segment.end(),
                     [](char c) {
                       return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
                              c == '_';
                     }) &&
         std::none_of(kVerbs.begin(), kVerbs.end(), [&folded](std::string_view verb) {
           return folded.starts_with(verb);
         });
}

Result<Address> ParseAddress(std::string_view given) {
  std::string_view rest = Trim(given);
  bool is_http = false;
  if (const size_t colon = rest.find("://"); colon != std::string_view::npos) {
    const std::string scheme = Folded(rest.substr(0, colon));
    if (scheme != "http" && scheme != "https") {
      return NoAddress(given);
    }
    is_http = scheme == "http";
    rest.remove_prefix(colon + 3);
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string authority = Folded(rest.substr(0, slash));
  const std::vector<std::string> segments = SegmentsBeforeApi(rest.substr(slash));
  const size_t colon = std::min(authority.find(':'), authority.size());
  const std::string host = authority.substr(0, colon);
  const bool has_port = colon < authority.size();
  if (!IsHostName(host) || (has_port && !IsPort(authority.substr(colon + 1)))) {
    return NoAddress(given);
  }
  Address address;
  if (host.size() > kDomain.size() && host.ends_with(kDomain)) {
    // What follows could be a function that writes; the key never goes unencrypted.
    if (!segments.empty() || has_port) {
      return NoAddress(given);
    }
    address.account = host.substr(0, host.size() - kDomain.size());
    address.base_url = fmt::format("https://{}{}", host, kApiPath);
    return address;
  }
  if (!IsLoopback(host) || segments.size() > 1 || (!segments.empty() && !IsSchool(segments[0]))) {
    return NoAddress(given);
  }
  address.account = segments.empty() ? authority : segments[0];
  address.base_url = fmt::format("{}://{}{}{}{}",
                                 is_http ? "http" : "https",
                                 authority,
                                 segments.empty() ? "" : "/",
                                 segments.empty() ? "" : segments[0],
                                 kApiPath);
  return address;
}

Result<Address> AddressOf(const CredentialFields& fields) {
  return ParseAddress(PlainField(fields, "url"));
}

}  // namespace

std::vector<CredentialFieldSpec> Credential::Fields() const {
  return {
      {"url", "URL (домен Hollihop)", "URL (Hollihop domain)", /*secret=*/false, /*required=*/true},
      {"api_key", "API key", "API key", /*secret=*/true, /*required=*/true},
  };
}

Result<std::string> Credential::CrmAccountId(const CredentialFields& fields) const {
  DEALSTREAM_ASSIGN_OR_RETURN(Address address, AddressOf(fields));
  return std::move(address.account);
}

Result<Access> Credential::MakeAccess(const CredentialFields& fields, http::Transport&) const {
  Access access;
  DEALSTREAM_ASSIGN_OR_RETURN(Address address, AddressOf(fields));
  access.base_url = std::move(address.base_url);
  const Secret* key = FindField(fields, "api_key");
  // Copied from a page: blanks around it are not of it.
  const std::string_view text =
      key == nullptr ? std::string_view() : Trim(key->Reveal(RevealToken{}));
  if (text.empty() || text.size() > kLongestKey) {
    return absl::InvalidArgumentError(fmt::format(
        "api_key: got {} characters, want the key of Настройки → Интеграция → API → Общий ключ",
        text.size()));
  }
  access.query.emplace_back("authkey", Secret(text));
  return access;
}

}  // namespace dealstream::crm::hollihop
