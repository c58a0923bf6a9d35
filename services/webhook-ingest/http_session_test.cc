#include "services/webhook-ingest/http_session.h"

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dealstream::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Phase = HttpSession::Phase;

const DateText& TestDate() {
  static const DateText date = [] {
    DateText text{};
    text.fill('D');
    return text;
  }();
  return date;
}

int StatusOf(HttpError error) {
  switch (error) {
    case HttpError::kBadRequest:
      return 400;
    case HttpError::kTimeout:
      return 408;
    case HttpError::kBodyTooLarge:
      return 413;
    case HttpError::kExpectation:
      return 417;
    case HttpError::kHeadersTooLarge:
      return 431;
    case HttpError::kNotImplemented:
      return 501;
    case HttpError::kNoMemory:
      return 503;
    case HttpError::kGone:
      break;
  }
  return 0;
}

// A session whose requests are written down; "/refuse" is answered 404 at the head, the others 200
// with their body when they are whole, or, with `later`, when AnswerOne is called.
class Peer final : public HttpHandler, public HttpOutput, RequestHandler {
 public:
  explicit Peer(HttpLimits limits = {}) : limits_(limits) {
    session_ = std::make_unique<HttpSession>(limits_, group, *this, *this);
  }

  RequestHandler* OnHead(HttpSession& session, const RequestHead& head) override {
    line_ = fmt::format("{} {} ?{}", head.method, head.path, head.query);
    headers.clear();
    for (const HeaderView& header : head.headers) {
      headers.push_back(fmt::format("{}={}", header.name, header.value));
    }
    if (head.path == "/refuse") {
      Answer(session, 404, "no");
      return nullptr;
    }
    return this;
  }
  void OnError(HttpSession& session, HttpError error) override {
    errors.push_back(StatusOf(error));
    Answer(session, StatusOf(error), "");
  }
  void OnBody(std::string_view body) override {
    requests.push_back(fmt::format("{} [{}]", line_, body));
    if (!later) {
      AnswerOne();
    }
  }
  void OnFailed(HttpError error) override {
    errors.push_back(StatusOf(error));
    if (error != HttpError::kGone) {
      Answer(*session_, StatusOf(error), "");
    }
  }
  void Write(std::string_view bytes) override { out.append(bytes); }
  void Resumed() override { ++resumed; }

  void AnswerOne() { Answer(*session_, 200, "ok"); }
  void Answer(HttpSession& session, int status, std::string body) {
    PreparedAnswer answer({.status = status, .reason = "R", .body = std::move(body)}, TestDate());
    session.Answer(answer);
  }

  // In pieces of the given size.
  void Feed(std::string_view bytes, size_t piece = 1 << 20) {
    while (!bytes.empty() && session_->wants_input()) {
      session_->Input(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(piece, bytes.size()));
    }
  }
  void Hangup() { session_.reset(); }
  HttpSession& session() { return *session_; }

  SessionGroup group;
  bool later = false;
  std::vector<std::string> requests;
  std::vector<std::string> headers;
  std::vector<int> errors;
  std::string out;
  int resumed = 0;

 private:
  HttpLimits limits_;
  std::string line_;
  std::unique_ptr<HttpSession> session_;
};

TEST(HttpSessionTest, GivesAWholeRequestWhateverThePieces) {
  const std::string bytes =
      "POST /hook/t?a=%20b&c HTTP/1.1\r\nHost: h\r\nContent-Type: x/y\r\nContent-Length: 5\r\n\r\n"
      "hello";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    Peer peer;
    peer.Feed(bytes, piece);
    EXPECT_THAT(peer.requests, ElementsAre("POST /hook/t ?a=%20b&c [hello]")) << piece;
    EXPECT_THAT(peer.headers, ElementsAre("Host=h", "Content-Type=x/y", "Content-Length=5"));
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 200 R\r\n"));
    EXPECT_EQ(peer.session().phase(), Phase::kIdle);
    EXPECT_LE(peer.session().buffered_bytes(), 64U);
  }
}

TEST(HttpSessionTest, TakesChunksWhateverThePieces) {
  const std::string bytes =
      "PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
      "3\r\nabc\r\n0A;ext=\"v\"\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    Peer peer;
    peer.Feed(bytes, piece);
    EXPECT_THAT(peer.requests, ElementsAre("PUT /p ? [abc0123456789]")) << piece;
    EXPECT_THAT(peer.errors, IsEmpty());
    EXPECT_EQ(peer.session().phase(), Phase::kIdle);
    EXPECT_EQ(peer.group.body_memory, 0U);
  }
}

TEST(HttpSessionTest, TakesAnEmptyChunkedBodyByteForByte) {
  Peer peer;
  peer.Feed("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1);
  EXPECT_THAT(peer.requests, ElementsAre("POST /p ? []"));
}

TEST(HttpSessionTest, KeepsTheOrderOfPipelinedRequests) {
  Peer peer;
  peer.later = true;
  peer.Feed(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
      "GET /3 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\n");
  EXPECT_THAT(peer.requests, ElementsAre("GET /1 ? []"));
  EXPECT_FALSE(peer.session().wants_input());
  peer.AnswerOne();
  EXPECT_THAT(peer.requests, ElementsAre("GET /1 ? []", "POST /2 ? [x]"));
  EXPECT_EQ(peer.resumed, 1);
  peer.AnswerOne();
  peer.AnswerOne();
  EXPECT_EQ(peer.requests.size(), 3U);
  EXPECT_EQ(peer.session().phase(), Phase::kClosing);
  EXPECT_FALSE(peer.session().unread());
}

TEST(HttpSessionTest, StaysOpenAsTheVersionsWantIt) {
  struct Case {
    std::string version_and_header;
    Phase phase;
    std::string said;
  };
  for (const Case& c : {Case{"1.1\r\nHost: h", Phase::kIdle, ""},
                        Case{"1.1\r\nHost: h\r\nConnection: close", Phase::kClosing, "close"},
                        Case{"1.1\r\nHost: h\r\nConnection: Keep-Alive", Phase::kIdle, ""},
                        Case{"1.0", Phase::kClosing, "close"},
                        Case{"1.0\r\nConnection: keep-alive", Phase::kIdle, "keep-alive"}}) {
    Peer peer;
    peer.Feed(fmt::format("GET / HTTP/{}\r\n\r\n", c.version_and_header));
    EXPECT_EQ(peer.session().phase(), c.phase) << c.version_and_header;
    if (c.said.empty()) {
      EXPECT_THAT(peer.out, Not(HasSubstr("Connection:")));
    } else {
      EXPECT_THAT(peer.out, HasSubstr("Connection: " + c.said + "\r\n"));
    }
  }
}

TEST(HttpSessionTest, RefusesBadRequests) {
  const std::string host = "Host: h\r\n";
  for (const std::string& bytes : std::vector<std::string>{
           "\x16\x03\x01\x02",
           " GET / HTTP/1.1\r\n",
           "GET /\n",
           "GET / HTTP/1.1\nHost: h\n\n",
           "GET\r\n\r\n",
           "GET /\r\n\r\n",
           "GET / HTTP/2.0\r\n" + host + "\r\n",
           "GET / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "Host: i\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "no colon\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "a b: c\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "a: b\r\n c\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "a:\r\n\tc\r\n\r\n",
           "GET / HTTP/1.1\r\n " + host + "\r\n",
           "GET / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "Content-Length: 1x\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n",
           "GET / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
           "POST / HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
           "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
           "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
           "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nabcdef\r\n",
           "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" +
               std::string(20'000, 'x'),
       }) {
    Peer peer;
    peer.Feed(bytes);
    EXPECT_THAT(peer.errors, ElementsAre(400)) << bytes.substr(0, 200);
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(peer.out, HasSubstr("Connection: close\r\n"));
    EXPECT_EQ(peer.session().phase(), Phase::kClosing);
    EXPECT_TRUE(peer.session().unread());
    EXPECT_THAT(peer.requests, IsEmpty());
  }
}

TEST(HttpSessionTest, RefusesCodingsThatHideWhereARequestEnds) {
  for (const std::string coding :
       {"gzip", "gzip, chunked", "chunked, gzip", "xchunked", "identity"}) {
    Peer peer;
    peer.Feed("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: " + coding +
              "\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(peer.errors, ElementsAre(501)) << coding;
    EXPECT_THAT(peer.requests, IsEmpty());
  }
}

TEST(HttpSessionTest, BoundsTheHead) {
  const HttpLimits limits{.max_head_bytes = 1024, .max_headers = 5};
  {
    Peer peer(limits);
    peer.Feed("GET /" + std::string(2000, 'x'), 100);
    EXPECT_THAT(peer.errors, ElementsAre(431));
  }
  {
    Peer peer(limits);
    peer.Feed("GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(2000, 'x') + "\r\n\r\n");
    EXPECT_THAT(peer.errors, ElementsAre(431));
  }
  {
    Peer peer(limits);
    peer.Feed("GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\ne: 1\r\n\r\n");
    EXPECT_THAT(peer.errors, ElementsAre(431));
  }
}

TEST(HttpSessionTest, RefusesABodyTooLargeBeforeReadingIt) {
  const HttpLimits limits{.max_body_bytes = 10};
  {
    Peer peer(limits);
    peer.Feed("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 413 "));
    EXPECT_TRUE(peer.session().unread());
  }
  {
    Peer peer(limits);
    peer.Feed(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n");
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 413 "));
  }
  {
    Peer peer(limits);
    peer.Feed(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n");
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 413 "));
  }
  {
    Peer peer(limits);
    peer.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789");
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 200 "));
  }
}

TEST(HttpSessionTest, SaysContinueOnceWhereTheBodyIsAwaited) {
  Peer peer;
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  peer.Feed(head);
  EXPECT_EQ(peer.out, "HTTP/1.1 100 Continue\r\n\r\n");
  peer.Feed("ab");
  peer.Feed("cd");
  EXPECT_THAT(peer.out, HasSubstr("100 Continue\r\n\r\nHTTP/1.1 200"));
  peer.out.clear();
  peer.Feed(head + "abcd");
  EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 200"));
  peer.Feed("POST / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n");
  EXPECT_THAT(peer.errors, ElementsAre(417));
}

TEST(HttpSessionTest, AnswersHeadWithoutABody) {
  Peer peer;
  peer.Feed("HEAD /refuse HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(peer.out, HasSubstr("Content-Length: 2\r\n"));
  EXPECT_THAT(peer.out, testing::EndsWith("\r\n\r\n"));
  peer.out.clear();
  peer.Feed("GET /refuse HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(peer.out, testing::EndsWith("\r\n\r\nno"));
}

TEST(HttpSessionTest, AnswersEarlyAndPassesOverABodyThatIsHere) {
  Peer peer;
  peer.Feed(
      "POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: "
      "h\r\n\r\n");
  EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(peer.requests, ElementsAre("GET / ? []"));
  EXPECT_EQ(peer.session().phase(), Phase::kIdle);
}

TEST(HttpSessionTest, AnswersEarlyAndEndsBeforeABodyThatIsNot) {
  for (const std::string rest :
       {"Content-Length: 5\r\n\r\nhell", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    Peer peer;
    peer.Feed("POST /refuse HTTP/1.1\r\nHost: h\r\n" + rest);
    EXPECT_THAT(peer.out, HasSubstr("Connection: close\r\n"));
    EXPECT_EQ(peer.session().phase(), Phase::kClosing);
    EXPECT_TRUE(peer.session().unread());
  }
}

TEST(HttpSessionTest, TimesOutByPhase) {
  {
    Peer peer;
    peer.session().Timeout();
    EXPECT_EQ(peer.session().phase(), Phase::kClosing);
    EXPECT_EQ(peer.out, "");
  }
  {
    Peer peer;
    peer.Feed("GET / HT");
    EXPECT_EQ(peer.session().phase(), Phase::kHead);
    peer.session().Timeout();
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 408 "));
    EXPECT_EQ(peer.session().phase(), Phase::kClosing);
  }
  {
    Peer peer;
    peer.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    EXPECT_EQ(peer.session().phase(), Phase::kBody);
    peer.session().Timeout();
    EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 408 "));
    EXPECT_EQ(peer.group.body_memory, 0U);
  }
}

TEST(HttpSessionTest, TellsARequestThatItsConnectionIsGone) {
  {
    Peer peer;
    peer.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
    peer.Hangup();
    EXPECT_THAT(peer.errors, ElementsAre(0));
    EXPECT_EQ(peer.group.body_memory, 0U);
  }
  {
    Peer peer;
    peer.later = true;
    peer.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.Hangup();
    EXPECT_THAT(peer.errors, ElementsAre(0));
  }
  {
    Peer peer;
    peer.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.Hangup();
    EXPECT_THAT(peer.errors, IsEmpty());
  }
}

TEST(HttpSessionTest, BoundsTheMemoryOfAllBodies) {
  Peer peer;
  peer.group.max_body_memory = 100;
  peer.group.body_memory = 95;
  peer.Feed("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_EQ(peer.group.body_memory, 98U);
  peer.Feed("def");
  EXPECT_THAT(peer.out, StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(peer.group.body_memory, 95U);
}

TEST(HttpSessionTest, EndsSoonWhenAsked) {
  {
    Peer peer;
    peer.session().CloseSoon();
    EXPECT_EQ(peer.session().phase(), Phase::kClosing);
  }
  {
    Peer peer;
    peer.later = true;
    peer.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.session().CloseSoon();
    EXPECT_EQ(peer.session().phase(), Phase::kHandling);
    peer.AnswerOne();
    EXPECT_THAT(peer.out, HasSubstr("Connection: close\r\n"));
    EXPECT_EQ(peer.session().phase(), Phase::kClosing);
  }
  {
    Peer peer;
    peer.group.closing = true;
    peer.Feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_THAT(peer.out, HasSubstr("200 R"));
    EXPECT_THAT(peer.out, HasSubstr("Connection: close\r\n"));
  }
}

TEST(HttpSessionTest, TakesAbsoluteTargetsAndLeadingLines) {
  Peer peer;
  peer.Feed("\r\n\r\nGET http://h:80/p?q HTTP/1.1\r\nHost: h\r\n\r\n");
  peer.Feed("GET http://h HTTP/1.1\r\nHost: h\r\n\r\n");
  peer.Feed("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(peer.requests, ElementsAre("GET /p ?q []", "GET / ? []", "OPTIONS * ? []"));
}

}  // namespace
}  // namespace dealstream::ingest
