#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

// Errors as values. Codes equal gRPC's. A message says `where: what was found, what was expected`,
// with values but never a secret. No exception crosses a library's border.
namespace dealstream {

using Status = absl::Status;
template <typename T>
using Result = absl::StatusOr<T>;

// What a consuming loop does about a status. It acts on the code and on nothing else.
enum class Disposition {
  kDone,      // Ok, AlreadyExists: done, or done before.
  kRetry,     // Unavailable, DeadlineExceeded, Aborted: the other side may recover.
  kSlowDown,  // ResourceExhausted: the CRM says slower; see RetryAfter.
  kPark,  // Unauthenticated, PermissionDenied, FailedPrecondition: key, right or setting is wrong.
  kGone,  // NotFound: the object is gone at the CRM; the adapter decides what it means.
  kDeadLetter,  // InvalidArgument, DataLoss, OutOfRange, Unimplemented: this message can never
                // pass.
  kStop,        // Cancelled: we are stopping; leave uncommitted.
  kBug,         // Internal, Unknown: dead-letter and alert.
};

Disposition DispositionOf(const Status& status);

// A stable lower-case code of the failure for metrics and dead letters ("rate_limited"). Set by
// WithReason; without it, the status code's name ("invalid_argument").
std::string ReasonOf(const Status& status);
Status WithReason(Status status, std::string_view reason);

// How long the other side asked us to wait. Absent where it did not say.
std::optional<absl::Duration> RetryAfter(const Status& status);
Status WithRetryAfter(Status status, absl::Duration delay);

// The same status with "where: " put before its message.
Status Annotate(const Status& status, std::string_view where);

}  // namespace dealstream

#define DEALSTREAM_CONCAT_INNER(a, b) a##b
#define DEALSTREAM_CONCAT(a, b) DEALSTREAM_CONCAT_INNER(a, b)

// Returns from the function when `expr` (a Status) is not ok. May stand in a lambda within `expr`.
#define DEALSTREAM_RETURN_IF_ERROR(expr) \
  DEALSTREAM_RETURN_IF_ERROR_IMPL(DEALSTREAM_CONCAT(status_macro_, __COUNTER__), expr)
#define DEALSTREAM_RETURN_IF_ERROR_IMPL(status, expr)         \
  do {                                                        \
    if (::dealstream::Status status = (expr); !status.ok()) { \
      return status;                                          \
    }                                                         \
  } while (false)

// Evaluates `expr` (a Result) and assigns its value to `lhs`, or returns its status.
#define DEALSTREAM_ASSIGN_OR_RETURN(lhs, expr) \
  DEALSTREAM_ASSIGN_OR_RETURN_IMPL(DEALSTREAM_CONCAT(result_macro_, __LINE__), lhs, expr)
#define DEALSTREAM_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                                     \
  if (!result.ok()) {                                       \
    return std::move(result).status();                      \
  }                                                         \
  lhs = *std::move(result)
