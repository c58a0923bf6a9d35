#include "libs/crm/alfacrm/credential.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/alfacrm/client.h"
#include "libs/crm/alfacrm/wire.h"
#include "libs/crm/api/bad_value.h"
#include "libs/crm/api/credential.h"
#include "libs/crm/api/json.h"

namespace dealstream::crm::alfacrm {
namespace {

constexpr std::string_view kSuffix = ".s20.online";
// Older documentation says 15 minutes, newer clients an hour. Source: README.md#credential.
constexpr int64_t kTokenSeconds = 840;
constexpr int64_t kLongestTokenSeconds = 24 * 3600;
constexpr size_t kLongestToken = 4096;

// Of an address, or what stands in its place: without user, port, path and query, which may hold
// secrets.
std::string_view HostIn(std::string_view given) {
  std::string_view rest = ToStd(absl::StripAsciiWhitespace(ToAbsl(given)));
  const size_t scheme = rest.find("://");
  if (scheme != std::string_view::npos) {
    rest.remove_prefix(scheme + 3);
  }
  rest = rest.substr(0, rest.find_first_of("/?#\\ "));
  const size_t user = rest.rfind('@');
  if (user != std::string_view::npos) {
    rest.remove_prefix(user + 1);
  }
  return rest.substr(0, rest.find(':'));
}

// "school", "school.s20.online" and the address of any page as "school.s20.online".
Result<std::string> Host(std::string_view given) {
  std::string_view rest = ToStd(absl::StripAsciiWhitespace(ToAbsl(given)));
  const size_t scheme = rest.find("://");
  if (scheme != std::string_view::npos) {
    rest.remove_prefix(scheme + 3);
  }
  rest = rest.substr(0, rest.find_first_of("/?#"));
  std::string host = absl::AsciiStrToLower(ToAbsl(rest));
  if (!host.empty() && host.find('.') == std::string::npos) {
    host += kSuffix;
  }
  // The suffix alone is nobody's.
  if (!IsHostName(host) || host == kSuffix.substr(1)) {
    return BadAddress(
        "hostname", given, "the school's address in AlfaCRM, such as school.s20.online");
  }
  return host;
}

Status CheckEmail(std::string_view email) {
  const size_t at = email.find('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == email.size() ||
      email.find_first_of(" \t\r\n\"\\") != std::string_view::npos) {
    return BadValue("email", email, "the e-mail of the user's profile in AlfaCRM");
  }
  return absl::OkStatus();
}

Result<absl::Duration> TokenLife(std::string_view given) {
  if (given.empty()) {
    return absl::Seconds(kTokenSeconds);
  }
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(ToAbsl(given), &seconds) || seconds < 60 ||
      seconds > kLongestTokenSeconds) {
    return BadValue("token_ttl_s", given, fmt::format("60 to {} seconds", kLongestTokenSeconds));
  }
  return absl::Seconds(seconds);
}

// Calls go to the host that names the CRM account, whose limit is kept; or to one on this machine,
// where development keeps its simulators. No other process allows that.
Result<std::string> Address(std::string_view given, const std::string& host) {
  const std::string origin = fmt::format("https://{}", host);
  const std::string given_host = absl::AsciiStrToLower(ToAbsl(HostIn(given)));
  auto url = BaseUrl(given, {.origin = origin, .path = ""});
  const bool is_here = given_host == "127.0.0.1" || given_host == "localhost";
  if (!url.ok() || (!given.empty() && given_host != host && !is_here)) {
    return BadValue("base_url", given_host, fmt::format("{} or nothing", origin));
  }
  return url;
}

struct Plain {
  std::string host;
  std::string base_url;
  absl::Duration token_life;
};

Result<Plain> CheckPlain(const CredentialFields& fields) {
  Plain plain;
  DEALSTREAM_ASSIGN_OR_RETURN(plain.host, Host(PlainField(fields, "hostname")));
  DEALSTREAM_RETURN_IF_ERROR(CheckEmail(PlainField(fields, "email")));
  DEALSTREAM_ASSIGN_OR_RETURN(plain.base_url, Address(PlainField(fields, "base_url"), plain.host));
  DEALSTREAM_ASSIGN_OR_RETURN(plain.token_life, TokenLife(PlainField(fields, "token_ttl_s")));
  return plain;
}

http::Request LoginRequest(const Plain& plain, const CredentialFields& fields, const Secret& key) {
  http::Request request;
  request.method = "POST";
  request.operation = "log_in";
  request.url = fmt::format("{}/v2api/auth/login", plain.base_url);
  request.headers = {{"Content-Type", "application/json"}, {"Accept", "application/json"}};
  if (const Secret* app_key = FindField(fields, "app_key")) {
    request.headers.emplace_back("X-APP-KEY", std::string(app_key->Reveal(RevealToken{})));
  }
  std::string escaped = EscapeJson(key.Reveal(RevealToken{}));
  request.body = fmt::format(
      R"({{"email":"{}","api_key":"{}"}})", EscapeJson(PlainField(fields, "email")), escaped);
  WipeString(escaped);
  return request;
}

void Wipe(http::Request& request) {
  WipeString(request.body);
  for (auto& [name, value] : request.headers) {
    WipeString(value);
  }
}

// A refusal in words for the credential's owner.
Status OfAnswer(const http::Response& response, const Plain& plain) {
  if (response.status == 404) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: there is no AlfaCRM at this address (status 404): check the host name", plain.host));
  }
  const Status status = StatusOfAnswer("log_in", response);
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
      return absl::UnauthenticatedError(
          fmt::format("{}: AlfaCRM refuses e-mail and API key (status {}): check both in the "
                      "profile of the administrator's account",
                      plain.host,
                      response.status));
    case absl::StatusCode::kPermissionDenied:
      return absl::PermissionDeniedError(fmt::format(
          "{}: AlfaCRM doesn't let this user use the API (status {}): switch the module "
          "v2api on for its role",
          plain.host,
          response.status));
    default:
      return status;
  }
}

// Of {"token": text}.
Result<Secret> TokenOf(const std::string& body) {
  json::Document document;
  std::optional<Secret> token;
  DEALSTREAM_RETURN_IF_ERROR(document.Read("log_in", body, [&token](json::Node root) {
    return root.Object([&token](std::string_view key, json::Node value) -> Status {
      if (key != "token") {
        return absl::OkStatus();
      }
      std::string_view text;
      DEALSTREAM_RETURN_IF_ERROR(value.String(text));
      if (text.empty() || text.size() > kLongestToken || !IsVisibleAscii(text)) {
        return value.Wrong(fmt::format("a text of {} bytes", text.size()), "a token");
      }
      token = Secret(text);
      return absl::OkStatus();
    });
  }));
  if (!token.has_value()) {
    return WithReason(absl::DataLossError("log_in: token: got nothing, want a text"),
                      json::kWrongShape);
  }
  return *std::move(token);
}

}  // namespace

std::vector<CredentialFieldSpec> Credential::Fields() const {
  return {
      {"hostname", "hostname", "hostname", /*secret=*/false, /*required=*/true},
      {"email", "email", "email", /*secret=*/false, /*required=*/true},
      {"api_key", "api_key", "api_key", /*secret=*/true, /*required=*/true},
      {"app_key", "Ключ приложения партнёра", "Partner's app key", true, /*required=*/false},
      {"token_ttl_s", "Срок жизни токена, с", "Life of a token, s", false, /*required=*/false},
      {"base_url", "Адрес API", "API address", /*secret=*/false, /*required=*/false},
  };
}

Result<std::string> Credential::CrmAccountId(const CredentialFields& fields) const {
  DEALSTREAM_ASSIGN_OR_RETURN(Plain plain, CheckPlain(fields));
  return std::move(plain.host);
}

Result<Login> Credential::LogIn(const CredentialFields& fields,
                                const LoginContext& context,
                                http::Transport& transport) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const Plain plain, CheckPlain(fields));
  const Secret* key = FindField(fields, "api_key");
  if (key == nullptr) {
    return absl::InvalidArgumentError("api_key: got nothing, want the API key (v2api) of the user");
  }
  http::Request request = LoginRequest(plain, fields, *key);
  auto response = transport.Send(request);
  Wipe(request);
  DEALSTREAM_RETURN_IF_ERROR(response.status());
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(*response, plain));
  auto token = TokenOf(response->body);
  WipeString(response->body);
  DEALSTREAM_RETURN_IF_ERROR(token.status());

  Login login;
  login.access.base_url = plain.base_url;
  login.access.headers.emplace_back("X-ALFACRM-TOKEN", *std::move(token));
  if (const Secret* app_key = FindField(fields, "app_key")) {
    login.access.headers.emplace_back("X-APP-KEY", app_key->Clone());
  }
  login.access.expires_at = context.now + plain.token_life;
  return login;
}

}  // namespace dealstream::crm::alfacrm
