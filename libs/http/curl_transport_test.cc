#include "libs/http/curl_transport.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "libs/base/strings.h"

namespace dealstream::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSecretPart[] = "s3cr3t";

std::string Gzip(const std::string& text) {
  z_stream z = {};
  deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string Answer(const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

// A server of raw bytes: each connection's request is given to the script, whose bytes are sent
// back; then the connection ends, by a reset if `reset`.
class RawServer {
 public:
  using Script = std::function<std::string(const std::string& request)>;

  explicit RawServer(Script script, bool reset = false)
      : script_(std::move(script)), reset_(reset) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Accept(); });
  }

  ~RawServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    for (auto& worker : workers_) {
      worker.join();
    }
  }

  std::string Url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }
  int port() const { return port_; }
  int connections() const { return connections_; }

 private:
  void Accept() {
    while (true) {
      const int fd = accept(listener_, nullptr, nullptr);
      if (fd < 0) {
        return;
      }
      ++connections_;
      workers_.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) const {
    std::string request;
    char buffer[4096];
    while (!IsWhole(request)) {
      const ssize_t count = recv(fd, buffer, sizeof(buffer), 0);
      if (count <= 0) {
        close(fd);
        return;
      }
      request.append(buffer, static_cast<size_t>(count));
    }
    const std::string answer = script_(request);
    size_t sent = 0;
    while (sent < answer.size()) {
      const ssize_t count = send(fd, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) {
        break;
      }
      sent += static_cast<size_t>(count);
    }
    if (reset_) {
      const linger hard = {1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    }
    close(fd);
  }

  static bool IsWhole(const std::string& request) {
    const size_t end = request.find("\r\n\r\n");
    if (end == std::string::npos) {
      return false;
    }
    const size_t at = request.find("Content-Length: ");
    const size_t size = at < end ? std::stoul(request.substr(at + 16)) : 0;
    return request.size() >= end + 4 + size;
  }

  const Script script_;
  const bool reset_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> connections_ = 0;
  std::vector<std::thread> workers_;
  std::thread thread_;
};

std::unique_ptr<CurlTransport> Make(CurlOptions options) {
  auto transport = CurlTransport::Create(std::move(options));
  EXPECT_TRUE(transport.ok()) << transport.status();
  return *std::move(transport);
}

std::unique_ptr<CurlTransport> Development(int64_t max_response_bytes = 1 << 20) {
  CurlOptions options;
  options.allow_loopback = true;
  options.max_response_bytes = max_response_bytes;
  return Make(std::move(options));
}

std::unique_ptr<CurlTransport> Production(std::vector<std::string> suffixes) {
  CurlOptions options;
  options.allowed_host_suffixes = std::move(suffixes);
  return Make(std::move(options));
}

Request Get(std::string url) {
  Request request;
  request.url = std::move(url);
  request.operation = "get_thing";
  return request;
}

// The error, checked to show neither the URL's path nor its query.
Status ErrorOf(Transport& transport, const Request& request) {
  const auto response = transport.Send(request);
  EXPECT_FALSE(response.ok());
  Status status = response.status();
  EXPECT_THAT(status.ToString(), Not(HasSubstr(kSecretPart)));
  EXPECT_THAT(ToStd(status.message()), HasSubstr("get_thing"));
  return status;
}

TEST(CurlTransportTest, SendsMethodHeadersAndBodyAndReadsTheAnswer) {
  std::string seen;
  RawServer server([&seen](const std::string& request) {
    seen = request;
    return "HTTP/1.1 404 Not Found\r\nX-RateLimit-Remaining:  7 \r\nX-Empty:\r\n"
           "Content-Length: 4\r\n\r\ngone";
  });
  auto transport = Development();
  Request request = Get(server.Url("/a%20b?c=%2B"));
  request.method = "PUT";
  request.headers = {{"Authorization", "Basic abc"}, {"X-None", ""}};
  request.body = "{}";
  const auto response = transport->Send(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "gone");
  EXPECT_EQ(FindHeader(response->headers, "x-ratelimit-remaining"), "7");
  EXPECT_EQ(FindHeader(response->headers, "x-empty"), "");
  EXPECT_THAT(seen, HasSubstr("PUT /a%20b?c=%2B HTTP/1.1\r\n"));
  EXPECT_THAT(seen, HasSubstr("Authorization: Basic abc\r\n"));
  EXPECT_THAT(seen, HasSubstr("X-None:\r\n"));
  EXPECT_THAT(seen, HasSubstr("Accept-Encoding: gzip, deflate\r\n"));
  EXPECT_THAT(seen, HasSubstr("\r\n\r\n{}"));
  EXPECT_THAT(seen, Not(HasSubstr("Content-Type")));
  EXPECT_THAT(seen, Not(HasSubstr("Expect")));
}

TEST(CurlTransportTest, SendsNoContentTypeAndNoLengthOnGet) {
  std::string seen;
  RawServer server([&seen](const std::string& request) {
    seen = request;
    return Answer("");
  });
  EXPECT_TRUE(Development()->Send(Get(server.Url())).ok());
  EXPECT_THAT(seen, HasSubstr("GET / HTTP/1.1\r\n"));
  EXPECT_THAT(seen, Not(HasSubstr("Content-")));
}

TEST(CurlTransportTest, DecodesGzipAndKeepsTheCallersAcceptEncoding) {
  std::string seen;
  RawServer server([&seen](const std::string& request) {
    seen = request;
    return Answer(Gzip("decoded"), "Content-Encoding: gzip\r\n");
  });
  Request request = Get(server.Url());
  request.headers = {{"Accept-Encoding", "gzip"}};
  const auto response = Development()->Send(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "decoded");
  EXPECT_THAT(seen, HasSubstr("Accept-Encoding: gzip\r\n"));
}

TEST(CurlTransportTest, StopsAGzipBomb) {
  const std::string bomb = Gzip(std::string(64 << 20, 'x'));
  RawServer server(
      [&bomb](const std::string&) { return Answer(bomb, "Content-Encoding: gzip\r\n"); });
  const Status status = ErrorOf(*Development(), Get(server.Url("/s3cr3t")));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReasonOf(status), "answer_too_large");
}

TEST(CurlTransportTest, StopsAPlainAnswerOverTheLimit) {
  RawServer server([](const std::string&) { return Answer(std::string(11, 'x')); });
  EXPECT_EQ(ReasonOf(ErrorOf(*Development(10), Get(server.Url("/s3cr3t")))), "answer_too_large");
}

TEST(CurlTransportTest, HalfABodyIsUnavailable) {
  RawServer plain(
      [](const std::string&) { return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"; });
  EXPECT_EQ(ErrorOf(*Development(), Get(plain.Url("/s3cr3t"))).code(),
            absl::StatusCode::kUnavailable);
  // Cut inside the packed bytes, with a length that fits: only the decoder can see it.
  std::string packed = Gzip("{\"rows\":[]}");
  packed.resize(packed.size() - 4);
  RawServer zipped(
      [&packed](const std::string&) { return Answer(packed, "Content-Encoding: gzip\r\n"); });
  EXPECT_EQ(ReasonOf(ErrorOf(*Development(), Get(zipped.Url("/s3cr3t")))), "broken_answer");
}

TEST(CurlTransportTest, AHugeHeaderIsRefused) {
  RawServer one([](const std::string&) {
    return Answer("", "X-Long: " + std::string(200 << 10, 'x') + "\r\n");
  });
  EXPECT_EQ(ReasonOf(ErrorOf(*Development(), Get(one.Url("/s3cr3t")))), "answer_too_large");
  RawServer many([](const std::string&) {
    std::string headers;
    for (int i = 0; i < 5000; ++i) {
      headers += "X-" + std::to_string(i) + ": " + std::string(40, 'x') + "\r\n";
    }
    return Answer("", headers);
  });
  EXPECT_EQ(ReasonOf(ErrorOf(*Development(), Get(many.Url("/s3cr3t")))), "answer_too_large");
}

TEST(CurlTransportTest, ASlowServerMeetsTheDeadline) {
  RawServer server([](const std::string&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    return Answer("late");
  });
  Request request = Get(server.Url("/s3cr3t"));
  request.timeout = absl::Milliseconds(50);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ErrorOf(*Development(), request).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(300));
}

TEST(CurlTransportTest, WaitingForAConnectionCountsIntoTheTimeout) {
  std::atomic<bool> release = false;
  RawServer server([&release](const std::string&) {
    while (!release) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return Answer("x");
  });
  CurlOptions options;
  options.allow_loopback = true;
  options.max_connections_per_host = 1;
  auto transport = Make(std::move(options));
  std::thread first([&] { EXPECT_TRUE(transport->Send(Get(server.Url("/first"))).ok()); });
  while (server.connections() == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Request second = Get(server.Url("/s3cr3t"));
  second.timeout = absl::Milliseconds(50);
  EXPECT_EQ(ErrorOf(*transport, second).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(server.connections(), 1);
  release = true;
  first.join();
}

TEST(CurlTransportTest, ResetRefusedAndNonsenseAreUnavailable) {
  auto transport = Development();
  std::string url;
  {
    RawServer reset([](const std::string&) { return ""; }, /*reset=*/true);
    url = reset.Url("/s3cr3t");
    EXPECT_EQ(ErrorOf(*transport, Get(url)).code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(ErrorOf(*transport, Get(url)).code(), absl::StatusCode::kUnavailable);
  RawServer nonsense([](const std::string&) { return "SSH-2.0-x\r\n"; });
  EXPECT_EQ(ErrorOf(*transport, Get(nonsense.Url("/s3cr3t"))).code(),
            absl::StatusCode::kUnavailable);
}

TEST(CurlTransportTest, RedirectsAreGivenBackAndNotFollowed) {
  RawServer server([](const std::string&) {
    return "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
  });
  const auto response = Development()->Send(Get(server.Url()));
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->status, 302);
}

TEST(CurlTransportTest, ManyThreadsShareIt) {
  RawServer server(
      [](const std::string& request) { return Answer(request.substr(0, request.find('\r'))); });
  auto transport = Development();
  std::vector<std::thread> threads;
  threads.reserve(16);
  std::atomic<int> right = 0;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 10; ++j) {
        const std::string path = "/" + std::to_string(i) + "/" + std::to_string(j);
        const auto response = transport->Send(Get(server.Url(path)));
        right += response.ok() && response->body == "GET " + path + " HTTP/1.1" ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(right, 160);
}

TEST(CurlTransportTest, StoppingCancelsWhatIsUnderWay) {
  std::atomic<bool> release = false;
  RawServer server([&release](const std::string&) {
    while (!release) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return "";
  });
  auto transport = Development();
  Status status;
  std::thread caller(
      [&, pointer = transport.get()] { status = pointer->Send(Get(server.Url())).status(); });
  while (server.connections() == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  transport.reset();
  caller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  release = true;
}

TEST(CurlTransportTest, HeadersCannotBeSmuggledIn) {
  auto transport = Development();
  for (const auto& [name, value] :
       Headers{{"X", "a\r\nY: b"}, {"X\n", "a"}, {"", "a"}, {"X", std::string("a\0b", 3)}}) {
    Request request = Get("http://127.0.0.1:1/");
    request.headers = {{name, value}};
    EXPECT_EQ(ErrorOf(*transport, request).code(), absl::StatusCode::kInvalidArgument);
  }
}

// ---- The outbound guard
// --------------------------------------------------------------------------

void ExpectNotAllowed(Transport& transport, const std::string& url) {
  Request request = Get(url);
  request.timeout = absl::Seconds(2);
  const Status status = ErrorOf(transport, request);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << url << " " << status;
  EXPECT_EQ(ReasonOf(status), "host_not_allowed") << url;
}

TEST(OutboundGuardTest, OnlyAllowedHostsHttpsAndItsPort) {
  auto transport = Production({"crm.example", ".dotted.example"});
  for (const char* url : {"https://evil.example/s3cr3t",
                          "https://evilcrm.example/",
                          "https://crm.example.evil/",
                          "https://crm.example@evil.example/",
                          "https://user:s3cr3t@crm.example/",
                          "https://user@crm.example/",
                          "https://crm.example:8443/",
                          "http://crm.example/?key=s3cr3t",
                          "http://crm.example:443/",
                          "ftp://crm.example/",
                          "file:///etc/passwd",
                          "gopher://crm.example/",
                          "https://1.1.1.1/",
                          "https://xdotted.example/"}) {
    ExpectNotAllowed(*transport, url);
  }
  EXPECT_EQ(transport->Send(Get("nonsense\n")).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(OutboundGuardTest, AnAllowedNameThatResolvesToAPrivateAddressIsRefusedAtConnect) {
  // The name passes; what it resolves to doesn't. The same check stands before every connection,
  // so that a name that resolves differently the second time gains nothing.
  ExpectNotAllowed(*Production({"localhost"}), "https://localhost/s3cr3t");
  for (const char* address : {"127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0"}) {
    ExpectNotAllowed(*Production({address}), std::string("https://") + address + "/");
  }
}

TEST(OutboundGuardTest, DevelopmentOpensLoopbackAndNothingElse) {
  auto transport = Development();
  for (const char* url : {"http://10.0.0.1/s3cr3t",
                          "http://169.254.169.254/latest",
                          "http://0.0.0.0:8080/",
                          "http://[::ffff:10.0.0.1]/",
                          "http://[64:ff9b::a00:1]/",
                          "http://[fd00::1]/",
                          "http://[::]/",
                          "http://1.1.1.1/",
                          "https://1.1.1.1/",
                          "http://user:s3cr3t@127.0.0.1/",
                          "ftp://127.0.0.1/"}) {
    ExpectNotAllowed(*transport, url);
  }
  RawServer server([](const std::string&) { return Answer("ok"); });
  const std::string port = std::to_string(server.port());
  EXPECT_TRUE(transport->Send(Get("http://localhost:" + port + "/")).ok());
  // Another spelling of 127.0.0.1.
  EXPECT_TRUE(transport->Send(Get("http://2130706433:" + port + "/")).ok());
}

TEST(OutboundGuardTest, DevelopmentKeepsAllowedHostsToTlsOutside) {
  CurlOptions options;
  options.allow_loopback = true;
  options.allowed_host_suffixes = {"1.1.1.1"};
  auto transport = Make(std::move(options));
  ExpectNotAllowed(*transport, "http://1.1.1.1/");
  ExpectNotAllowed(*transport, "https://1.1.1.1:8443/");
}

TEST(OutboundGuardTest, ProxiesOfTheEnvironmentAreNotUsed) {
  RawServer proxy([](const std::string&) { return Answer("proxied"); });
  RawServer server([](const std::string&) { return Answer("direct"); });
  setenv("http_proxy", proxy.Url().c_str(), 1);
  setenv("ALL_PROXY", proxy.Url().c_str(), 1);
  const auto response = Development()->Send(Get(server.Url()));
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->body, "direct");
}

TEST(OutboundGuardTest, AnEmptySuffixWouldAllowAllAndIsRefused) {
  CurlOptions options;
  options.allowed_host_suffixes = {"."};
  EXPECT_EQ(CurlTransport::Create(std::move(options)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dealstream::http
