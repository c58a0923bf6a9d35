#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/webhook-ingest/answer.h"

// One HTTP/1.x connection seen from the server, without the socket: bytes in, answers out. It knows
// no routes and no Kafka; the handler knows no bytes of HTTP. All of it belongs to one thread.
namespace dealstream::ingest {

struct HttpLimits {
  // Request line and headers, with line ends.
  size_t max_head_bytes = 16 << 10;
  size_t max_headers = 100;
  size_t max_body_bytes = 1 << 20;
};

class HttpParser;

// What the sessions of a thread have in common.
struct SessionGroup {
  SessionGroup();
  ~SessionGroup();
  SessionGroup(const SessionGroup&) = delete;
  SessionGroup& operator=(const SessionGroup&) = delete;

  // Bytes of bodies that may be held while they come in, and that are.
  size_t max_body_memory = 64 << 20;
  size_t body_memory = 0;
  // We are going to stop: each answer is its connection's last.
  bool closing = false;
  // Parsers without a session, to be used again.
  std::vector<std::unique_ptr<HttpParser>> spare_parsers;
};

struct HeaderView {
  // As sent; names compare without case.
  std::string_view name;
  std::string_view value;
};

// Views live as long as the call that is given it.
struct RequestHead {
  std::string_view method;
  // Starts with "/" (or is "*"); not decoded.
  std::string_view path;
  // Without "?".
  std::string_view query;
  const std::vector<HeaderView>& headers;
};

// What a session can't go on with.
enum class HttpError {
  kBadRequest,       // 400
  kTimeout,          // 408: the request came in too slowly
  kBodyTooLarge,     // 413
  kExpectation,      // 417
  kHeadersTooLarge,  // 431
  kNotImplemented,   // 501: a transfer coding other than chunked
  kNoMemory,         // 503: the budget for bodies is used up
  kGone,             // the connection is no more: no answer is possible
};

class HttpSession;

// A request whose head was taken. Not owned by the session; gets exactly one of the two calls,
// unless it answers the session before.
class RequestHandler {
 public:
  // The request is whole; `body` lives as long as the call. Answers now or later, once.
  virtual void OnBody(std::string_view body) = 0;
  // The rest won't come, or the connection went away while the answer was awaited. Answers at once,
  // except for kGone. The session is not to be used afterwards.
  virtual void OnFailed(HttpError error) = 0;

 protected:
  ~RequestHandler() = default;
};

class HttpHandler {
 public:
  // The head is whole. Either answers at once (the body is then not read) and returns null, or
  // returns who takes the body.
  virtual RequestHandler* OnHead(HttpSession& session, const RequestHead& head) = 0;
  // Failed before there was a whole head. Answers at once.
  virtual void OnError(HttpSession& session, HttpError error) = 0;

 protected:
  ~HttpHandler() = default;
};

class HttpOutput {
 public:
  // Takes the bytes; what can't be sent now is kept and sent later.
  virtual void Write(std::string_view bytes) = 0;
  // The session went on outside of Input: look at its phase again. May destroy the session.
  virtual void Resumed() = 0;

 protected:
  ~HttpOutput() = default;
};

class HttpSession {
 public:
  enum class Phase {
    kIdle,      // Between requests.
    kHead,      // In the middle of a head.
    kBody,      // The head was taken, the body is coming in.
    kHandling,  // The request is whole, the answer is awaited. Nothing is read meanwhile.
    kClosing,   // The last answer was written; see unread.
  };

  // The references outlive the session.
  HttpSession(const HttpLimits& limits,
              SessionGroup& group,
              HttpHandler& handler,
              HttpOutput& output);
  // Tells a request that is under way that the connection is gone.
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  // REQUIRES: wants_input().
  void Input(std::string_view bytes);
  // The time for the present phase is over: answers 408 where a request has begun, else closes.
  void Timeout();
  // The connection ends with the next answer; at once when idle.
  void CloseSoon();
  // Answers the request at hand. For requests answered outside of OnHead, OnBody and OnFailed the
  // session goes on with what was read meanwhile, and may be gone when this returns.
  void Answer(PreparedAnswer& answer, std::string_view notice_id = {});

  Phase phase() const { return phase_; }
  bool wants_input() const { return phase_ < Phase::kHandling; }
  // In kClosing: a part of the request was not read, so that closing at once could destroy the
  // answer on its way (a reset).
  bool unread() const { return unread_; }
  // Requests whose head has been whole.
  int64_t requests() const { return requests_; }
  // Memory held for the request at hand.
  size_t buffered_bytes() const { return pending_.capacity() + body_.capacity(); }

 private:
  friend class HttpParser;

  void Process(std::string_view in);
  bool Step(std::string_view& in);
  bool StepHead(std::string_view& in);
  bool StepBody(std::string_view& in);
  std::optional<HttpError> ScanHead(std::string_view in, size_t* head_size);
  void TakeHead(std::string_view head, size_t in_hand);
  void TakeParser();
  void GiveParserBack();
  bool HoldBody(std::string_view bytes);
  void Complete();
  void Fail(HttpError error);
  void ReleaseBody();
  void Keep(std::string_view rest);

  const HttpLimits& limits_;
  SessionGroup& group_;
  HttpHandler& handler_;
  HttpOutput& output_;
  // While a request is coming in.
  std::unique_ptr<HttpParser> parser_;
  RequestHandler* request_ = nullptr;
  Phase phase_ = Phase::kIdle;
  bool running_ = false;
  bool close_soon_ = false;
  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool head_only_ = false;
  bool unread_ = false;
  int64_t requests_ = 0;
  // Read, not consumed yet.
  std::string pending_;
  // How far the head in hand has been looked at, and where its last line begins.
  size_t scanned_ = 0;
  size_t line_at_ = 0;
  // Bytes of a body that nobody wants and that are in hand already.
  size_t skip_ = 0;
  std::string body_;
  // The whole body where it came in one piece; lives while the parser is being fed.
  std::string_view direct_body_;
};

}  // namespace dealstream::ingest
