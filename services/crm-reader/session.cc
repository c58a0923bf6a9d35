#include "services/crm-reader/session.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace dealstream::reader {
namespace {

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

void AppendQuery(std::string& url, std::string_view name, std::string_view value, bool& first) {
  url += first ? '?' : '&';
  first = false;
  if (!name.empty()) {
    url += PercentEncode(name);
    url += '=';
  }
  std::string encoded = PercentEncode(value);
  url += encoded;
  WipeString(encoded);
}

std::string_view OutcomeOf(const Result<http::Response>& result) {
  if (!result.ok()) {
    switch (result.status().code()) {
      case absl::StatusCode::kDeadlineExceeded:
        return "timeout";
      case absl::StatusCode::kUnavailable:
        return "unreachable";
      case absl::StatusCode::kPermissionDenied:
        return "host_not_allowed";
      default:
        return "bad_answer";
    }
  }
  int status = result->status;
  if (status == 429) {
    return "rate_limited";
  }
  if (status == 401 || status == 403) {
    return "refused";
  }
  if (status >= 500) {
    return "server_error";
  }
  return status >= 400 ? "client_error" : "ok";
}

}  // namespace

std::string PercentEncode(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (IsUnreserved(c)) {
      out += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

Status CallSession::WaitForTurn(double units) {
  absl::Time until = deps_.clock.Now() + options_.longest_wait;
  while (true) {
    if (deps_.stopping.load(std::memory_order_relaxed)) {
      return absl::CancelledError("the reader is stopping");
    }
    absl::Time now = deps_.clock.Now();
    if (absl::Duration open = deps_.limits.breaker.OpenFor(now); open > absl::ZeroDuration()) {
      return WithRetryAfter(
          WithReason(absl::UnavailableError("calls to this CRM account are suspended: it fails"),
                     "circuit_open"),
          open);
    }
    absl::Duration wait = deps_.limits.limiter.Take(units, now);
    if (wait <= absl::ZeroDuration()) {
      return absl::OkStatus();
    }
    if (now + wait > until) {
      return WithRetryAfter(
          WithReason(absl::ResourceExhaustedError("this CRM account's rate limit is used up"),
                     kOwnLimit),
          wait);
    }
    deps_.clock.Sleep(std::clamp(wait, absl::Milliseconds(1), absl::Milliseconds(100)));
  }
}

Result<http::Request> CallSession::MakeRequest(const Call& call) const {
  http::Request request;
  request.method = std::string(call.method);
  request.operation = call.operation;
  request.timeout = std::min(call.timeout, options_.longest_call);
  request.idempotent = call.idempotent;
  request.body = call.body;
  const crm::Access& access = deps_.access.access;

  std::string path = call.path;
  for (const auto& [name, value] : access.path) {
    std::string placeholder = fmt::format("{{{}}}", name);
    size_t at = path.find(placeholder);
    if (at != std::string::npos) {
      std::string encoded = PercentEncode(value.Reveal(RevealToken()));
      path.replace(at, placeholder.size(), encoded);
      WipeString(encoded);
    }
  }
  request.url.reserve(access.base_url.size() + path.size() + 1024);
  request.url = access.base_url;
  request.url += path;
  bool first = path.find('?') == std::string::npos;
  WipeString(path);
  for (const auto& [name, value] : call.query) {
    AppendQuery(request.url, name, value, first);
  }
  for (const auto& [name, value] : access.query) {
    AppendQuery(request.url, name, value.Reveal(RevealToken()), first);
  }
  request.headers = call.headers;
  for (const auto& [name, value] : access.headers) {
    request.headers.emplace_back(name, std::string(value.Reveal(RevealToken())));
  }
  return request;
}

Result<http::Response> CallSession::SendOnce(const Call& call, const http::Request& request) {
  units_ += call.units;
  DEALSTREAM_RETURN_IF_ERROR(WaitForTurn(call.units));
  absl::Time began = deps_.clock.Now();
  auto result = deps_.transport.Send(request);
  absl::Time now = deps_.clock.Now();
  std::string_view outcome = OutcomeOf(result);
  deps_.metrics.Request(call.operation, outcome, now - began);
  if (outcome == "server_error" || outcome == "timeout" || outcome == "unreachable") {
    deps_.limits.breaker.Failed(now);
  } else if (result.ok()) {
    deps_.limits.breaker.Succeeded();
  }
  return result;
}

Result<http::Response> CallSession::Send(const Call& call) {
  DEALSTREAM_ASSIGN_OR_RETURN(http::Request request, MakeRequest(call));
  auto result = SendOnce(call, request);
  // A kept connection that the other side has just closed looks like this; anything slower or
  // worse is for the retry topics.
  bool worth_a_second = !result.ok() && result.status().code() == absl::StatusCode::kUnavailable &&
                        ReasonOf(result.status()) != "circuit_open" && call.idempotent;
  if (worth_a_second) {
    result = SendOnce(call, request);
  }
  WipeString(request.url);
  for (auto& header : request.headers) {
    WipeString(header.second);
  }
  return result;
}

}  // namespace dealstream::reader
