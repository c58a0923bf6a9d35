#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include <fmt/format.h>
#include <grpcpp/support/status.h>

#include "libs/base/strings.h"
#include "libs/rpc/rpc.h"

namespace dealstream::rpc {
namespace {

// The details that go beside code and message (trailer grpc-status-details-bin), text:
//   reason "\n" milliseconds
// Either may be empty. Both ends are ours; others see code and message.
std::string MakeDetails(const Status& status) {
  const std::string reason = ReasonOf(status);
  // Without a reason of its own a status names its code, which the code says already.
  const bool has_reason = reason != ReasonOf(Status(status.code(), ""));
  const std::optional<absl::Duration> delay = RetryAfter(status);
  if (!has_reason && !delay) {
    return "";
  }
  return fmt::format("{}\n{}",
                     has_reason ? reason : "",
                     delay ? fmt::format("{}", absl::ToInt64Milliseconds(*delay)) : "");
}

}  // namespace

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) {
    return grpc::Status::OK;
  }
  return {static_cast<grpc::StatusCode>(status.code()),
          std::string(ToStd(status.message())),
          MakeDetails(status)};
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  const std::string details = status.error_details();
  const size_t end = details.find('\n');
  if (end == std::string::npos) {
    return result;
  }
  if (end > 0) {
    result = WithReason(std::move(result), std::string_view(details).substr(0, end));
  }
  int64_t milliseconds = 0;
  if (absl::SimpleAtoi(details.substr(end + 1), &milliseconds)) {
    result = WithRetryAfter(std::move(result), absl::Milliseconds(milliseconds));
  }
  return result;
}

}  // namespace dealstream::rpc
