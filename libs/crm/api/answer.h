#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/http/transport.h"

// What an answer means as far as HTTP says. An adapter departs from it where its CRM does, and
// repeats no text of the CRM in errors: it may quote what was sent.
namespace dealstream::crm {

enum class BodyKind { kJson, kHtml, kEmpty, kOther };

// By the first byte that is no blank.
BodyKind KindOf(std::string_view body);

// "get_order: got status 404 with HTML, want 200 with JSON".
std::string AnswerText(std::string_view operation, int status, BodyKind body);

inline bool IsGood(int status) { return status >= 200 && status < 300; }

// Ok for a good status with JSON. 401: Unauthenticated; 402, 403: PermissionDenied; 429: as
// TooFast; other 4xx but 408: InvalidArgument "refused"; the rest: Unavailable. A page for people
// is not the API's word, a proxy or a guard against attacks wrote it: HTML with any status but 401
// and 429 is Unavailable "html_answer". `pause`: for a 429.
Status StatusOfHttp(std::string_view message, int status, BodyKind body, absl::Duration pause);

// ResourceExhausted "rate_limited", to be tried again after `pause`.
Status TooFast(std::string_view message, absl::Duration pause);

// No refusal is longer; a larger number is a mistake of theirs or of something between us.
inline constexpr absl::Duration kLongestPause = absl::Minutes(10);

// Retry-After in seconds, kLongestPause at most. `otherwise`: where it isn't there or is no number;
// HTTP allows a date, which no CRM was seen to send.
absl::Duration RetryAfterOf(const http::Headers& headers, absl::Duration otherwise);

}  // namespace dealstream::crm
