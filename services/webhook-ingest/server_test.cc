#include "services/webhook-ingest/server.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <prometheus/counter.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/webhook-ingest/testing.h"

namespace dealstream::ingest {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr int kWaitMs = 10'000;

// A blocking client.
class Peer {
 public:
  explicit Peer(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { close(fd_); }

  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) {
        return false;
      }
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  void Post(std::string_view token, std::string_view body) {
    Send(fmt::format("POST /hook/{} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
                     token,
                     body.size(),
                     body));
  }
  // One answer without a body; "" when the connection ends first.
  std::string ReadAnswer() {
    size_t end = std::string::npos;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReadSome()) {
        return "";
      }
    }
    size_t size = end + 4;
    if (const size_t at = in_.find("Content-Length: "); at < end) {
      size += std::stoul(in_.substr(at + 16));
    }
    while (in_.size() < size) {
      if (!ReadSome()) {
        return "";
      }
    }
    const std::string answer = in_.substr(0, size);
    in_.erase(0, size);
    return answer;
  }
  std::string ReadStatus() { return ReadAnswer().substr(0, 12); }
  // Everything until the other side ends; "timeout" behind it when it doesn't.
  std::string ReadToEnd() {
    while (ReadSome()) {
    }
    return std::exchange(in_, "");
  }
  bool HasNothing(int ms) {
    pollfd poll_fd{fd_, POLLIN, 0};
    return poll(&poll_fd, 1, ms) == 0;
  }
  void ShutdownWrite() { shutdown(fd_, SHUT_WR); }

 private:
  bool ReadSome() {
    pollfd poll_fd{fd_, POLLIN, 0};
    if (poll(&poll_fd, 1, kWaitMs) != 1) {
      in_ += "timeout";
      return false;
    }
    char buffer[4096];
    const ssize_t n = recv(fd_, buffer, sizeof(buffer), 0);
    if (n <= 0) {
      return false;
    }
    in_.append(buffer, static_cast<size_t>(n));
    return true;
  }

  int fd_;
  std::string in_;
};

class ServerTest : public testing::Test {
 protected:
  explicit ServerTest(absl::Duration patience = absl::Seconds(30))
      : registry_(FakeRegistry(patience)) {
    options_.address = "127.0.0.1:0";
    options_.threads = 2;
    options_.limits.max_body_bytes = 100'000;
    options_.make_producer = [this](int notify_fd) -> Result<std::unique_ptr<kafka::Producer>> {
      return std::make_unique<FakeProducer>(broker_, notify_fd);
    };
    for (const std::string token : {"on", "off"}) {
      TokenTarget target;
      target.digest = DigestForTest(token);
      target.integration_id = "int_" + token;
      target.crm_account_id = "company";
      target.active = token == "on";
      tokens_.Put(target);
    }
  }

  void Start() {
    auto server = Server::Create(options_, shared_, health_, metrics_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  const crm::Registry registry_;
  obs::Metrics metrics_{"test", "1", "r"};
  obs::Health health_{Clock::System()};
  const Crms crms_{registry_, absl::Milliseconds(400), metrics_};
  TokenTable tokens_{2};
  std::atomic<bool> tokens_complete_{true};
  KeyOrder order_{absl::Milliseconds(300)};
  const HttpMetrics http_metrics_{metrics_};
  const DoorShared shared_{.clock = Clock::System(),
                           .crms = crms_,
                           .tokens = tokens_,
                           .tokens_complete = tokens_complete_,
                           .order = order_,
                           .metrics = http_metrics_,
                           .retry_after = absl::Seconds(2)};
  FakeBroker broker_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, StoresAndAnswersOnOneConnection) {
  Start();
  Peer peer(server_->port());
  for (int i = 0; i < 100; ++i) {
    peer.Post("on", fmt::format("body {}", i));
    const std::string answer = peer.ReadAnswer();
    ASSERT_THAT(answer, StartsWith("HTTP/1.1 202 "));
    ASSERT_THAT(answer, EndsWith("thanks"));
  }
  EXPECT_EQ(broker_.stored().size(), 100U);
  peer.Post("off", "x");
  EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 202");
  peer.Post("nope", "x");
  EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 404");
  EXPECT_EQ(broker_.stored().size(), 100U);
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(ServerTest, ServesManyConnectionsAtOnce) {
  Start();
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 200; ++i) {
    peers.push_back(std::make_unique<Peer>(server_->port()));
  }
  for (int round = 0; round < 3; ++round) {
    for (auto& peer : peers) {
      peer->Post("on", std::string(5000, 'x'));
    }
    for (auto& peer : peers) {
      ASSERT_EQ(peer->ReadStatus(), "HTTP/1.1 202");
    }
  }
  EXPECT_EQ(broker_.stored().size(), 600U);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  Start();
  Peer peer(server_->port());
  std::string bytes;
  for (int i = 0; i < 50; ++i) {
    bytes += i % 2 == 0 ? "POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
                        : "GET /hook/nope HTTP/1.1\r\nHost: h\r\n\r\n";
  }
  peer.Send(bytes);
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(peer.ReadStatus(), i % 2 == 0 ? "HTTP/1.1 202" : "HTTP/1.1 404") << i;
  }
}

TEST_F(ServerTest, TakesLargeAndChunkedBodies) {
  Start();
  Peer peer(server_->port());
  peer.Post("on", std::string(100'000, 'x'));
  EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 202");
  peer.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 10; ++i) {
    peer.Send(fmt::format("{:x}\r\n{}\r\n", 9000, std::string(9000, 'y')));
  }
  peer.Send("0\r\n\r\n");
  EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 202");
  EXPECT_GT(broker_.stored()[1].value->size(), 90'000U);
}

TEST_F(ServerTest, AnswersABodyTooLargeWhileItIsStillBeingSent) {
  Start();
  Peer peer(server_->port());
  // As a client that reads only when it has sent everything: the answer must not be lost.
  peer.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n");
  EXPECT_TRUE(peer.Send(std::string(2'000'000, 'x')));
  EXPECT_THAT(peer.ReadToEnd(), StartsWith("HTTP/1.1 413 "));
  Peer chunky(server_->port());
  chunky.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  chunky.Send("186a1\r\n");
  EXPECT_THAT(chunky.ReadToEnd(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(ServerTest, SaysContinue) {
  Start();
  Peer peer(server_->port());
  peer.Send(
      "POST /hook/on HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(peer.ReadAnswer(), StartsWith("HTTP/1.1 100 "));
  peer.Send("ab");
  EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 202");
}

TEST_F(ServerTest, GetsRidOfSlowClients) {
  options_.head_timeout = absl::Milliseconds(100);
  options_.body_timeout = absl::Milliseconds(100);
  options_.idle_timeout = absl::Milliseconds(100);
  Start();
  Peer idle(server_->port());
  Peer slow_head(server_->port());
  Peer slow_body(server_->port());
  slow_head.Send("POST /hook/on HT");
  slow_body.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx");
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_THAT(slow_head.ReadToEnd(), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(slow_body.ReadToEnd(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, ADripOfBytesDoesNotProlongAHead) {
  options_.head_timeout = absl::Milliseconds(200);
  Start();
  Peer peer(server_->port());
  peer.Send("POST /hook/on HTTP/1.1\r\n");
  const absl::Time start = absl::Now();
  while (peer.HasNothing(20) && absl::Now() - start < absl::Seconds(5)) {
    peer.Send("a: b\r\n");
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  EXPECT_THAT(peer.ReadToEnd(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(ServerTest, BoundsItsConnections) {
  options_.threads = 1;
  options_.max_connections = 3;
  Start();
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(std::make_unique<Peer>(server_->port()));
    peers.back()->Post("on", "x");
    EXPECT_EQ(peers.back()->ReadStatus(), "HTTP/1.1 202");
  }
  Peer one_more(server_->port());
  EXPECT_EQ(one_more.ReadToEnd(), "");
  peers.pop_back();
  while (server_->connections() > 2) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  Peer next(server_->port());
  next.Post("on", "x");
  EXPECT_EQ(next.ReadStatus(), "HTTP/1.1 202");
}

class ImpatientServerTest : public ServerTest {
 protected:
  ImpatientServerTest() : ServerTest(absl::Milliseconds(1500)) {}
};

TEST_F(ImpatientServerTest, AnswersWithinPatienceWhileTheBrokerIsAwayAndRecovers) {
  Start();
  broker_.Set(FakeBroker::Mode::kSilent);
  Peer peer(server_->port());
  const absl::Time start = absl::Now();
  peer.Post("on", "x");
  const std::string answer = peer.ReadAnswer();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 2\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("x-notice-id")));
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(1500));
  EXPECT_FALSE(server_->Connected());
  broker_.Set(FakeBroker::Mode::kAccept);
  peer.Post("on", "y");
  EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 202");
}

TEST_F(ServerTest, SurvivesClientsThatLeaveAtAnyMoment) {
  Start();
  const std::string request = "POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
  for (size_t size = 0; size <= request.size(); ++size) {
    Peer peer(server_->port());
    peer.Send(request.substr(0, size));
  }
  for (const bool silent : {true, false}) {
    broker_.Set(silent ? FakeBroker::Mode::kSilent : FakeBroker::Mode::kAccept);
    for (int i = 0; i < 20; ++i) {
      Peer peer(server_->port());
      peer.Send(request);
    }
  }
  Peer peer(server_->port());
  peer.Send(request);
  peer.ShutdownWrite();
  EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 202");
  while (server_->connections() > 1) {
    absl::SleepFor(absl::Milliseconds(5));
  }
}

// While a request of one connection is taken, a held one of another may be answered, which then
// reads on: that must not happen in the memory that holds the first one's bytes.
TEST_F(ServerTest, AnAnswerToOneConnectionLeavesTheBytesOfAnotherAlone) {
  options_.threads = 1;
  Start();
  const OrderKey key{crms_.at(0).topic, "company"};
  std::string many;
  for (int i = 0; i < 100; ++i) {
    many += "POST /hook/nope HTTP/1.1\r\nHost: h\r\n\r\n";
  }
  for (int i = 0; i < 20; ++i) {
    broker_.Set(FakeBroker::Mode::kAccept);
    order_.OnFailed(key, order_.NextTicket(), 1, /*refused=*/true, absl::Now());
    Peer held(server_->port());
    held.Post("on", "held");
    held.Send(many);
    EXPECT_TRUE(held.HasNothing(5));
    Peer other(server_->port());
    broker_.Set(FakeBroker::Mode::kQueueFull);
    order_.OnStored(key, order_.NextTicket(), 1, absl::Now());
    other.Send(
        "POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1"
        "POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n2");
    EXPECT_EQ(other.ReadStatus(), "HTTP/1.1 503");
    EXPECT_EQ(other.ReadStatus(), "HTTP/1.1 503");
    EXPECT_EQ(held.ReadStatus(), "HTTP/1.1 503");
    for (int answers = 0; answers < 100; ++answers) {
      ASSERT_EQ(held.ReadStatus(), "HTTP/1.1 404");
    }
  }
}

// A sender that hears nothing tries again, and may have no more tries.
TEST_F(ServerTest, AnswersWhatHadComeInWhenItStops) {
  Start();
  for (int i = 0; i < 20; ++i) {
    Peer peer(server_->port());
    peer.Post("on", "x");
    if (i == 19) {
      EXPECT_TRUE(server_->Stop(absl::Now() + absl::Seconds(5)).ok());
    }
    EXPECT_EQ(peer.ReadStatus(), "HTTP/1.1 202") << i;
  }
}

TEST_F(ServerTest, StopsWhenWhatIsUnderWayIsAnswered) {
  // One, so that all know of the stop once the idle connection has ended.
  options_.threads = 1;
  Start();
  Peer idle(server_->port());
  Peer reading(server_->port());
  Peer waiting(server_->port());
  idle.Post("on", "x");
  EXPECT_EQ(idle.ReadStatus(), "HTTP/1.1 202");
  broker_.Set(FakeBroker::Mode::kSilent);
  waiting.Post("on", "y");
  reading.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
  while (server_->in_flight() < 1) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  std::thread stopper([&] {
    EXPECT_TRUE(server_->Stop(absl::Now() + absl::Seconds(5)).ok());
    server_.reset();
  });
  EXPECT_EQ(idle.ReadToEnd(), "");
  broker_.Set(FakeBroker::Mode::kAccept);
  reading.Send("b");
  for (Peer* peer : {&waiting, &reading}) {
    const std::string answer = peer->ReadAnswer();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 202 "));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
    EXPECT_EQ(peer->ReadToEnd(), "");
  }
  stopper.join();
}

TEST_F(ServerTest, CutsOffAtTheDeadline) {
  Start();
  Peer peer(server_->port());
  peer.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
  while (server_->connections() < 1) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const Status status = server_->Stop(absl::Now() + absl::Milliseconds(100));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ServerTest, SaysWhatIsWrongWithAnAddress) {
  options_.address = "localhost:x";
  const auto server = Server::Create(options_, shared_, health_, metrics_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("localhost:x"));
}

}  // namespace
}  // namespace dealstream::ingest
