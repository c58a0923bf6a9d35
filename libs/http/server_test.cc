#include "libs/http/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dealstream::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Sends the bytes on a new connection and reads until the server closes it.
std::string Talk(int port, const std::string& bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  std::string answer;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
    answer.append(buffer, static_cast<size_t>(count));
  }
  close(fd);
  return answer;
}

std::unique_ptr<Server> Start(Server::Handler handler, int64_t max_body_bytes = 1 << 20) {
  ServerOptions options;
  options.address = "127.0.0.1:0";
  options.threads = 2;
  options.max_body_bytes = max_body_bytes;
  auto server = Server::Create(options, std::move(handler));
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(ServerTest, HandsOverPathQueryHeadersAndBodyAsSent) {
  ServerRequest seen;
  auto server = Start([&seen](const ServerRequest& request) {
    seen = request;
    return ServerResponse{201, {{"Content-Type", "text/plain"}}, "made"};
  });
  const std::string answer =
      Talk(server->port(),
           "POST /a%2Fb/c?x=%20y&z HTTP/1.1\r\nHost: a\r\nX-Thing: One\r\nContent-Length: 3\r\n"
           "Connection: close\r\n\r\nabc");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 201 "));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 4\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nmade"));
  EXPECT_THAT(answer, HasSubstr(" GMT\r\n"));
  EXPECT_EQ(answer.find("Date:"), answer.rfind("Date:"));
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.path, "/a%2Fb/c");
  EXPECT_EQ(seen.query, "x=%20y&z");
  EXPECT_EQ(FindHeader(seen.headers, "x-thing"), "One");
  EXPECT_EQ(FindHeader(seen.headers, "x-other"), "");
  EXPECT_EQ(seen.body, "abc");
}

TEST(ServerTest, ReadsAChunkedBody) {
  std::string body;
  auto server = Start([&body](const ServerRequest& request) {
    body = request.body;
    return ServerResponse{204, {}, ""};
  });
  const std::string answer =
      Talk(server->port(),
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
           "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 204 "));
  EXPECT_EQ(body, "abcde");
}

TEST(ServerTest, RefusesABodyOverTheLimit) {
  bool called = false;
  auto server = Start(
      [&called](const ServerRequest&) {
        called = true;
        return ServerResponse{};
      },
      4);
  EXPECT_THAT(Talk(server->port(), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345"),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_FALSE(called);
}

TEST(ServerTest, KeepsTheConnectionForTheNextRequest) {
  int calls = 0;
  auto server = Start([&calls](const ServerRequest&) {
    ++calls;
    return ServerResponse{200, {}, "x"};
  });
  Talk(server->port(),
       "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
       "HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n"
       "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(calls, 3);
}

TEST(ServerTest, AThrowingHandlerGivesAnInternalError) {
  auto server =
      Start([](const ServerRequest&) -> ServerResponse { throw std::runtime_error("secret"); });
  const std::string answer =
      Talk(server->port(), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
  EXPECT_THAT(answer, ::testing::Not(HasSubstr("secret")));
}

TEST(ServerTest, ATakenPortIsAnError) {
  auto handler = [](const ServerRequest&) { return ServerResponse{}; };
  auto first = Start(handler);
  ServerOptions options;
  options.address = "127.0.0.1:" + std::to_string(first->port());
  EXPECT_EQ(Server::Create(options, handler).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace dealstream::http
