#include "libs/crm/megaplan/credential.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/bad_value.h"
#include "libs/crm/api/credential.h"
#include "libs/crm/api/json.h"
#include "libs/crm/megaplan/client.h"

namespace dealstream::crm::megaplan {
namespace {

constexpr std::string_view kApiPath = "/api/v3";
constexpr std::string_view kDomainSuffix = ".megaplan.ru";
constexpr std::string_view kWantDomain = "https://<account>.megaplan.ru";
// A token is renewed so long before its end; one that lives shorter, at half of its life. Source:
// README.md#credential, a public client.
constexpr auto kRenewBefore = absl::Hours(2);
// The parts of a form end at it: no name or password holds it, or another one is tried.
constexpr std::string_view kBoundary = "----dealstream-form";

bool IsHost(std::string_view host) {
  return !host.empty() && host.front() != '.' && host.back() != '.' &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' ||
                  c == ':' || c == '[' || c == ']';
         });
}

struct Address {
  // "https://" or "http://".
  std::string scheme;
  // With the port, lower case.
  std::string host;

  std::string BaseUrl() const { return fmt::format("{}{}{}", scheme, host, kApiPath); }
};

// With or without scheme, slash and path of the API.
Result<Address> ParseAddress(std::string_view field, std::string_view given) {
  Address address;
  std::string rest = absl::AsciiStrToLower(ToAbsl(given));
  address.scheme = "https://";
  for (std::string_view scheme : {"https://", "http://"}) {
    if (rest.starts_with(scheme)) {
      address.scheme = scheme;
      rest.erase(0, scheme.size());
      break;
    }
  }
  while (rest.ends_with('/')) {
    rest.pop_back();
  }
  if (rest.ends_with(kApiPath)) {
    rest.resize(rest.size() - kApiPath.size());
  }
  // A name without a dot or port is no host that could be reached.
  if (!IsHost(rest) || rest.find_first_of(".:") == std::string::npos ||
      rest == kDomainSuffix.substr(1)) {
    return BadAddress(field, given, kWantDomain);
  }
  address.host = std::move(rest);
  return address;
}

// Where the API is: base_url where one is given, else the domain.
Result<Address> ApiAddress(const CredentialFields& fields) {
  const std::string_view base_url = PlainField(fields, "base_url");
  return base_url.empty() ? ParseAddress("domain", PlainField(fields, "domain"))
                          : ParseAddress("base_url", base_url);
}

// A form of multipart/form-data. Holds secrets: it wipes itself.
class Form {
 public:
  explicit Form(std::string_view boundary) : boundary_(boundary) {}
  Form(const Form&) = delete;
  Form& operator=(const Form&) = delete;
  Form(Form&&) = delete;
  Form& operator=(Form&&) = delete;
  ~Form() { WipeString(body_); }

  void Add(std::string_view name, std::string_view value) {
    // Room for all of it at once: a string that grows leaves its bytes behind.
    body_.reserve(kRoom);
    body_ += "--";
    body_ += boundary_;
    body_ += "\r\nContent-Disposition: form-data; name=\"";
    body_ += name;
    body_ += "\"\r\n\r\n";
    body_ += value;
    body_ += "\r\n";
  }

  http::Request Request(const std::string& base_url, std::string_view operation) const {
    http::Request request;
    request.method = "POST";
    request.url = base_url + "/auth/access_token";
    request.headers = {{"Accept", "application/json"},
                       {"Content-Type", "multipart/form-data; boundary=" + boundary_}};
    request.body.reserve(kRoom + boundary_.size());
    request.body = body_;
    request.body += "--";
    request.body += boundary_;
    request.body += "--\r\n";
    request.timeout = absl::Seconds(20);
    // Each one mints a token of its own.
    request.idempotent = false;
    request.operation = operation;
    return request;
  }

 private:
  static constexpr size_t kRoom = 4096;

  std::string boundary_;
  std::string body_;
};

struct Tokens {
  Secret access;
  Secret refresh;
  absl::Duration lifetime;
};

// What a refusal of a login means. Any 4xx but "slower" is one of the credential: to ask again
// would change nothing. Source: README.md#credential, inferred.
Status LoginRefused(int64_t status) {
  return WithReason(
      absl::UnauthenticatedError(fmt::format(
          "login: got status {}, want 200 with a token: check the user name, the password and the "
          "domain",
          status)),
      "login_refused");
}

bool IsRefusal(int64_t status) {
  return status >= 400 && status < 500 && status != 408 && status != 429;
}

// What a login answered.
struct Reply {
  Tokens tokens;
  int64_t seconds = 0;
  // A refusal within an answer of status 200.
  int64_t refusal = 0;
};

Status ReadSecret(json::Node node, Secret& secret) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(node.String(text));
  secret = Secret(text);
  return absl::OkStatus();
}

Status ReadReply(std::string_view key, json::Node value, Reply& reply) {
  if (key == "access_token") {
    return ReadSecret(value, reply.tokens.access);
  }
  if (key == "refresh_token") {
    return ReadSecret(value, reply.tokens.refresh);
  }
  if (key == "expires_in") {
    return value.Int(reply.seconds);
  }
  if (key == "meta") {
    return value.Object([&](std::string_view field, json::Node number) {
      return field == "status" ? number.Int(reply.refusal) : absl::OkStatus();
    });
  }
  reply.refusal = key == "error" ? 400 : reply.refusal;
  return absl::OkStatus();
}

Status Missing(std::string_view field, std::string_view want) {
  return WithReason(
      absl::DataLossError(fmt::format("login: {}: got nothing, want {}", field, want)),
      json::kWrongShape);
}

Result<Tokens> ReadTokens(std::string_view body) {
  json::Document document;
  Reply reply;
  const Status status = document.Read("login", body, [&](json::Node root) {
    return root.Object(
        [&](std::string_view key, json::Node value) { return ReadReply(key, value, reply); });
  });
  document.Wipe();
  DEALSTREAM_RETURN_IF_ERROR(status);
  if (reply.tokens.access.empty()) {
    return IsRefusal(reply.refusal) ? LoginRefused(reply.refusal)
                                    : Missing("access_token", "a token");
  }
  if (reply.seconds <= 0) {
    return Missing("expires_in", "seconds above 0");
  }
  reply.tokens.lifetime = absl::Seconds(reply.seconds);
  return std::move(reply.tokens);
}

// Whatever was answered; an error means that nothing was.
Result<http::Response> Ask(const Form& form,
                           const std::string& base_url,
                           std::string_view operation,
                           http::Transport& transport) {
  http::Request request = form.Request(base_url, operation);
  auto response = transport.Send(request);
  WipeString(request.body);
  return response;
}

Result<Tokens> TokensOf(std::string_view operation, http::Response& response) {
  const Status status = StatusOfAnswer(operation, response);
  if (!status.ok()) {
    return IsRefusal(response.status) ? LoginRefused(response.status) : status;
  }
  Result<Tokens> tokens = ReadTokens(response.body);
  WipeString(response.body);
  // Cut on its way, maybe.
  if (ReasonOf(tokens.status()) == json::kMalformed) {
    return WithReason(absl::UnavailableError(tokens.status().message()), json::kMalformed);
  }
  return tokens;
}

// A boundary that no value holds.
std::string BoundaryFor(std::string_view a, std::string_view b) {
  std::string boundary(kBoundary);
  while (a.find(boundary) != std::string_view::npos || b.find(boundary) != std::string_view::npos) {
    boundary += 'x';
  }
  return boundary;
}

// Renewal isn't documented, and a server may answer to a grant that it doesn't know with any
// failure, today and tomorrow: all answers but "slower" are refusals.
Result<Tokens> WithRefreshToken(const Secret& state,
                                const std::string& base_url,
                                http::Transport& transport) {
  const std::string_view token = state.Reveal(RevealToken{});
  Form form(BoundaryFor(token, ""));
  form.Add("refresh_token", token);
  form.Add("grant_type", "refresh_token");
  constexpr std::string_view kOperation = "refresh_token";
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, Ask(form, base_url, kOperation, transport));
  Result<Tokens> tokens = TokensOf(kOperation, response);
  if (tokens.ok() || absl::IsResourceExhausted(tokens.status())) {
    return tokens;
  }
  return absl::UnauthenticatedError(tokens.status().message());
}

Result<Tokens> WithPassword(std::string_view username,
                            const Secret& password,
                            const std::string& base_url,
                            http::Transport& transport) {
  const std::string_view secret = password.Reveal(RevealToken{});
  Form form(BoundaryFor(username, secret));
  form.Add("username", username);
  form.Add("password", secret);
  form.Add("grant_type", "password");
  constexpr std::string_view kOperation = "login";
  DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, Ask(form, base_url, kOperation, transport));
  return TokensOf(kOperation, response);
}

// Unless it must wait, the password may do better.
bool IsWorthThePassword(const Status& renewal) {
  const Disposition disposition = DispositionOf(renewal);
  return disposition == Disposition::kPark || disposition == Disposition::kDeadLetter;
}

Status CheckUsername(std::string_view username) {
  const bool control = std::any_of(username.begin(), username.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
  });
  if (username.empty() || username.size() > 255 || control) {
    return BadValue("username",
                    control ? "a text with control characters" : username,
                    "the user name that one logs in to Megaplan with");
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<CredentialFieldSpec> Credential::Fields() const {
  return {
      {"username", "Логин (username)", "User name", /*secret=*/false, /*required=*/true},
      {"password", "Пароль (password)", "Password", /*secret=*/true, /*required=*/true},
      {"domain", "Домен Мегаплан", "Megaplan domain", /*secret=*/false, /*required=*/true},
      {"base_url", "Адрес API", "API address", /*secret=*/false, /*required=*/false},
  };
}

Result<std::string> Credential::CrmAccountId(const CredentialFields& fields) const {
  DEALSTREAM_RETURN_IF_ERROR(CheckUsername(PlainField(fields, "username")));
  DEALSTREAM_RETURN_IF_ERROR(ApiAddress(fields).status());
  DEALSTREAM_ASSIGN_OR_RETURN(Address address,
                              ParseAddress("domain", PlainField(fields, "domain")));
  if (address.host.ends_with(kDomainSuffix)) {
    address.host.resize(address.host.size() - kDomainSuffix.size());
  }
  return address.host;
}

Result<Login> Credential::LogIn(const CredentialFields& fields,
                                const LoginContext& context,
                                http::Transport& transport) const {
  const std::string_view username = PlainField(fields, "username");
  DEALSTREAM_RETURN_IF_ERROR(CheckUsername(username));
  DEALSTREAM_ASSIGN_OR_RETURN(const Address address, ApiAddress(fields));
  const Secret* password = FindField(fields, "password");
  if (password == nullptr) {
    return absl::InvalidArgumentError("password: got nothing, want the password of the user");
  }
  const std::string base_url = address.BaseUrl();
  Result<Tokens> tokens = absl::UnauthenticatedError("no refresh token");
  if (!context.state.empty()) {
    tokens = WithRefreshToken(context.state, base_url, transport);
  }
  if (IsWorthThePassword(tokens.status())) {
    tokens = WithPassword(username, *password, base_url, transport);
  }
  DEALSTREAM_RETURN_IF_ERROR(tokens.status());

  Login login;
  login.access.base_url = base_url;
  login.access.headers.emplace_back("Authorization",
                                    BearerToken(tokens->access.Reveal(RevealToken{})));
  login.access.expires_at =
      context.now + std::max(tokens->lifetime - kRenewBefore, tokens->lifetime / 2);
  login.state = std::move(tokens->refresh);
  return login;
}

}  // namespace dealstream::crm::megaplan
