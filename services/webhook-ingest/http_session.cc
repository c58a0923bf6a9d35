#include "services/webhook-ingest/http_session.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "absl/strings/match.h"
#include <boost/beast/http/basic_parser.hpp>

#include "libs/base/strings.h"

namespace dealstream::ingest {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
// Empty lines that are passed over before a request line (RFC 9112, 2.2), in bytes.
constexpr size_t kMaxLeadingBytes = 8;
// Beast 1.74 asserts that it has seen this many bytes when it comes back to a last chunk. A chunked
// body ends with as many, so that to hold back fewer never waits for what doesn't come.
constexpr size_t kLeastChunkBytes = 5;
constexpr size_t kSpareParsers = 16;

std::string_view ToStd(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase(ToAbsl(a), ToAbsl(b));
}

bool IsTokenStart(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// "scheme://host/path" is the same as "/path" (RFC 9112, 3.2.2).
std::string_view WithoutOrigin(std::string_view target) {
  const size_t scheme_end = target.find("://");
  if (target.empty() || target[0] == '/' || scheme_end == std::string_view::npos) {
    return target;
  }
  const size_t path_at = target.find_first_of("/?", scheme_end + 3);
  return path_at == std::string_view::npos ? std::string_view("/") : target.substr(path_at);
}

}  // namespace

// The parser of one request at a time; its memory serves one request after the other.
class HttpParser {
 public:
  // Beast's parser with our decisions. It is given a whole head at once (so that the views of a
  // head live together), then the body in pieces.
  class Grammar final : public http::basic_parser<true> {
   public:
    Grammar(HttpSession& session, std::vector<HeaderView>& header_views)
        : headers(header_views), session_(session) {
      headers.clear();
      eager(false);
      // Both limits are ours: the head is whole, and the handler wants to know of a body too large.
      header_limit(std::numeric_limits<std::uint32_t>::max());
      body_limit(std::numeric_limits<std::uint64_t>::max());
    }

    std::string_view method;
    std::string_view target;
    int version = 11;
    std::vector<HeaderView>& headers;
    bool has_host = false;
    bool expects_continue = false;
    std::optional<HttpError> error;

   private:
    using error_code = boost::beast::error_code;
    using string_view = boost::beast::string_view;

    void Refuse(HttpError why, error_code& ec) {
      error = why;
      ec = http::error::bad_value;
    }

    void on_request_impl(http::verb /*verb*/,
                         string_view method_text,
                         string_view target_text,
                         int http_version,
                         error_code& /*ec*/) override {
      method = ToStd(method_text);
      target = ToStd(target_text);
      version = http_version;
    }

    void on_response_impl(int /*code*/, string_view, int /*version*/, error_code&) override {}

    void on_field_impl(http::field field,
                       string_view name,
                       string_view value,
                       error_code& ec) override {
      if (is_header_done()) {
        return;  // A trailer: nothing here wants one.
      }
      if (headers.size() >= session_.limits_.max_headers) {
        return Refuse(HttpError::kHeadersTooLarge, ec);
      }
      switch (field) {
        case http::field::host:
          if (has_host) {
            return Refuse(HttpError::kBadRequest, ec);
          }
          has_host = true;
          break;
        case http::field::transfer_encoding:
          // Beast takes a request with another coding for one without a body: what follows would be
          // read as the next request.
          if (!EqualsIgnoreCase(ToStd(value), "chunked")) {
            return Refuse(HttpError::kNotImplemented, ec);
          }
          break;
        case http::field::expect:
          if (!EqualsIgnoreCase(ToStd(value), "100-continue")) {
            return Refuse(HttpError::kExpectation, ec);
          }
          expects_continue = true;
          break;
        default:
          break;
      }
      headers.push_back({ToStd(name), ToStd(value)});
    }

    void on_header_impl(error_code& ec) override {
      if (version >= 11 && !has_host) {
        Refuse(HttpError::kBadRequest, ec);
      }
    }

    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

    std::size_t on_body_impl(string_view body, error_code& ec) override {
      if (session_.body_.empty() && body.size() == *content_length()) {
        session_.direct_body_ = ToStd(body);
      } else if (!session_.HoldBody(ToStd(body))) {
        Refuse(HttpError::kNoMemory, ec);
      }
      return body.size();
    }

    void on_chunk_header_impl(std::uint64_t size, string_view, error_code& ec) override {
      if (size > session_.limits_.max_body_bytes - session_.body_.size()) {
        Refuse(HttpError::kBodyTooLarge, ec);
      }
    }

    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code& ec) override {
      if (!session_.HoldBody(ToStd(body))) {
        Refuse(HttpError::kNoMemory, ec);
      }
      return body.size();
    }

    void on_finish_impl(error_code&) override {}

    HttpSession& session_;
  };

  Grammar& Begin(HttpSession& session) { return grammar.emplace(session, headers); }

  std::optional<Grammar> grammar;
  std::vector<HeaderView> headers;
};

SessionGroup::SessionGroup() = default;
SessionGroup::~SessionGroup() = default;

HttpSession::HttpSession(const HttpLimits& limits,
                         SessionGroup& group,
                         HttpHandler& handler,
                         HttpOutput& output)
    : limits_(limits), group_(group), handler_(handler), output_(output) {}

HttpSession::~HttpSession() {
  ReleaseBody();
  GiveParserBack();
  if (request_ != nullptr) {
    request_->OnFailed(HttpError::kGone);
  }
}

void HttpSession::Input(std::string_view bytes) {
  assert(wants_input());
  if (pending_.empty()) {
    Process(bytes);
    return;
  }
  pending_.append(bytes);
  Process(pending_);
}

void HttpSession::Process(std::string_view in) {
  running_ = true;
  while (wants_input() && Step(in)) {
  }
  running_ = false;
  Keep(in);
}

bool HttpSession::Step(std::string_view& in) {
  return phase_ == Phase::kBody ? StepBody(in) : StepHead(in);
}

bool HttpSession::StepHead(std::string_view& in) {
  const size_t skipped = std::min(skip_, in.size());
  in.remove_prefix(skipped);
  skip_ -= skipped;
  if (phase_ == Phase::kIdle) {
    for (size_t i = 0; i < kMaxLeadingBytes && !in.empty() && (in[0] == '\r' || in[0] == '\n');
         ++i) {
      in.remove_prefix(1);
    }
    if (in.empty()) {
      return false;
    }
    if (close_soon_) {
      phase_ = Phase::kClosing;
      unread_ = true;
      return false;
    }
    phase_ = Phase::kHead;
    scanned_ = 0;
    line_at_ = 0;
  }
  size_t head_size = 0;
  if (auto error = ScanHead(in, &head_size)) {
    Fail(*error);
    return false;
  }
  if (head_size == 0) {
    return false;
  }
  const std::string_view head = in.substr(0, head_size);
  in.remove_prefix(head_size);
  TakeHead(head, in.size());
  return true;
}

// Finds the end of the head without parsing it; 0: not here yet. Lines end with CR LF only.
std::optional<HttpError> HttpSession::ScanHead(std::string_view in, size_t* head_size) {
  if (scanned_ == 0 && !IsTokenStart(in[0])) {
    return HttpError::kBadRequest;
  }
  const std::string_view within = in.substr(0, limits_.max_head_bytes);
  for (;;) {
    const size_t newline = within.find('\n', scanned_);
    if (newline == std::string_view::npos) {
      scanned_ = within.size();
      return in.size() >= limits_.max_head_bytes ? std::optional(HttpError::kHeadersTooLarge)
                                                 : std::nullopt;
    }
    if (newline == 0 || within[newline - 1] != '\r') {
      return HttpError::kBadRequest;
    }
    // A header that goes on in the next line. Source: RFC 9112 5.2. The parser would unfold it into
    // memory of its own, which ends before the handler looks.
    if (line_at_ > 0 && (within[line_at_] == ' ' || within[line_at_] == '\t')) {
      return HttpError::kBadRequest;
    }
    if (newline - line_at_ == 1) {
      *head_size = newline + 1;
      return std::nullopt;
    }
    scanned_ = newline + 1;
    line_at_ = newline + 1;
  }
}

void HttpSession::TakeHead(std::string_view head, size_t in_hand) {
  if (parser_ == nullptr) {
    TakeParser();
  }
  HttpParser::Grammar& parser = parser_->Begin(*this);
  boost::beast::error_code ec;
  const size_t used = parser.put({head.data(), head.size()}, ec);
  if (ec || used != head.size() || !parser.is_header_done()) {
    Fail(parser.error.value_or(HttpError::kBadRequest));
    return;
  }
  ++requests_;
  const bool whole = parser.is_done();
  const uint64_t length = parser.content_length().value_or(0);
  keep_alive_ = parser.keep_alive();
  http_1_0_ = parser.version < 11;
  head_only_ = parser.method == "HEAD";
  phase_ = Phase::kBody;
  // Should the head be answered at once: a body that is here already is passed over, another one
  // ends the connection.
  const bool body_in_hand = !parser.chunked() && length <= in_hand;
  unread_ = !whole && !body_in_hand;
  skip_ = unread_ ? 0 : static_cast<size_t>(length);

  const std::string_view target = WithoutOrigin(parser.target);
  const size_t question = target.find('?');
  RequestHead request{.method = parser.method,
                      .path = target.substr(0, question),
                      .query = question == std::string_view::npos ? std::string_view()
                                                                  : target.substr(question + 1),
                      .headers = parser.headers};
  request_ = handler_.OnHead(*this, request);
  if (request_ == nullptr) {
    assert(phase_ != Phase::kBody);
    return;
  }
  unread_ = false;
  skip_ = 0;
  parser.headers.clear();
  if (length > limits_.max_body_bytes) {
    Fail(HttpError::kBodyTooLarge);
    return;
  }
  if (whole) {
    Complete();
    return;
  }
  if (parser.expects_continue && !http_1_0_ && in_hand == 0) {
    output_.Write(kContinue);
  }
}

bool HttpSession::StepBody(std::string_view& in) {
  HttpParser::Grammar& parser = *parser_->grammar;
  while (in.size() >= (parser.chunked() ? kLeastChunkBytes : 1)) {
    boost::beast::error_code ec;
    in.remove_prefix(parser.put({in.data(), in.size()}, ec));
    if (parser.error) {
      Fail(*parser.error);
      return false;
    }
    if (ec == http::error::need_more) {
      // The line of a chunk's size, or trailers, are still incomplete.
      if (in.size() > limits_.max_head_bytes) {
        Fail(HttpError::kBadRequest);
      }
      return false;
    }
    if (ec) {
      Fail(HttpError::kBadRequest);
      return false;
    }
    if (parser.is_done()) {
      Complete();
      return true;
    }
  }
  return false;
}

bool HttpSession::HoldBody(std::string_view bytes) {
  if (bytes.size() > group_.max_body_memory - group_.body_memory) {
    return false;
  }
  group_.body_memory += bytes.size();
  body_.append(bytes);
  return true;
}

void HttpSession::Complete() {
  phase_ = Phase::kHandling;
  request_->OnBody(direct_body_.data() != nullptr ? direct_body_ : std::string_view(body_));
  direct_body_ = {};
  ReleaseBody();
}

void HttpSession::Fail(HttpError error) {
  keep_alive_ = false;
  unread_ = true;
  ReleaseBody();
  if (request_ != nullptr) {
    request_->OnFailed(error);
  } else {
    handler_.OnError(*this, error);
  }
  assert(phase_ == Phase::kClosing);
}

void HttpSession::Timeout() {
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kClosing;
  } else if (wants_input()) {
    running_ = true;
    Fail(HttpError::kTimeout);
    running_ = false;
    Keep({});
  }
}

void HttpSession::CloseSoon() {
  close_soon_ = true;
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kClosing;
  }
}

void HttpSession::Answer(PreparedAnswer& answer, std::string_view notice_id) {
  assert(phase_ != Phase::kClosing);
  const bool close = !keep_alive_ || close_soon_ || group_.closing || unread_;
  const Persistence persistence = close       ? Persistence::kClose
                                  : http_1_0_ ? Persistence::kKeepAlive
                                              : Persistence::kDefault;
  request_ = nullptr;
  phase_ = close ? Phase::kClosing : Phase::kIdle;
  output_.Write(answer.Render(persistence, notice_id, head_only_));
  head_only_ = false;
  if (running_) {
    return;
  }
  Process(pending_);
  output_.Resumed();
}

void HttpSession::TakeParser() {
  if (group_.spare_parsers.empty()) {
    parser_ = std::make_unique<HttpParser>();
    return;
  }
  parser_ = std::move(group_.spare_parsers.back());
  group_.spare_parsers.pop_back();
}

void HttpSession::GiveParserBack() {
  if (parser_ == nullptr) {
    return;
  }
  if (group_.spare_parsers.size() < kSpareParsers) {
    group_.spare_parsers.push_back(std::move(parser_));
  }
  parser_.reset();
}

void HttpSession::ReleaseBody() {
  group_.body_memory -= body_.size();
  std::string().swap(body_);
}

// Keeps what was not consumed, in a buffer that exists only while there is something in it.
void HttpSession::Keep(std::string_view rest) {
  if (phase_ != Phase::kBody) {
    GiveParserBack();
  }
  if (rest.empty() || phase_ == Phase::kClosing) {
    if (pending_.capacity() > sizeof(std::string)) {
      std::string().swap(pending_);
    } else {
      pending_.clear();
    }
    return;
  }
  if (rest.data() >= pending_.data() && rest.data() < pending_.data() + pending_.size()) {
    pending_.erase(0, static_cast<size_t>(rest.data() - pending_.data()));
  } else {
    pending_.assign(rest);
  }
}

}  // namespace dealstream::ingest
