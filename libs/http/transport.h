#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

// Outbound HTTP as adapters see it.
namespace dealstream::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  // Upper case.
  std::string method = "GET";
  // Absolute. May hold a secret (some CRMs want a key in the path or the query): never log it, see
  // `operation`.
  std::string url;
  Headers headers;
  std::string body;
  // From the call until the last byte of the answer.
  absl::Duration timeout = absl::Seconds(10);
  // Safe to send twice. A lost answer of one that isn't is never tried again by the transport.
  bool idempotent = true;
  // Stable name for metrics, logs and errors ("get_order"); what is shown in place of the URL.
  std::string_view operation;
};

struct Response {
  int status = 0;
  // Names in lower case, in the order received.
  Headers headers;
  // After content decoding (gzip, deflate).
  std::string body;
};

// First value of a header, by its lower-case name; empty when absent.
std::string_view FindHeader(const Headers& headers, std::string_view name);

// Sends one request and waits for the answer. Any answer with a status is ok here, 500 included; an
// error means that there is none: Unavailable (refused, reset, TLS), DeadlineExceeded,
// PermissionDenied with reason "host_not_allowed" (outbound guard), DataLoss with reason
// "answer_too_large" (limit on decoded size, gzip bombs included). Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<Response> Send(const Request& request) = 0;
};

}  // namespace dealstream::http
