// Drives a webhook door: `run` in a closed loop over keep-alive connections, `idle` by connections
// that do nothing; `seed` makes the integrations whose tokens the others use. Prints one JSON
// object.
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nlohmann/json.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dealstream/integration/v1/integration.pb.h"
#include "libs/base/clock.h"
#include "libs/base/ids.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/metrics.h"

namespace dealstream::load {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

struct Flags {
  std::string address = "127.0.0.1:8080";
  std::string tokens_file;
  size_t connections = 64;
  double seconds = 10;
  double warm_up_seconds = 1;
  size_t body_bytes = 1024;
  // seed
  std::string brokers;
  std::string crm = "moysklad";
  int integrations = 1000;
};

[[noreturn]] void Fail(const std::string& why) {
  fmt::print(stderr, "load-driver: {}\n", why);
  std::exit(1);
}

// Counts by duration in steps of 1/16 of a power of two: 6 % exact, no allocation.
class Latencies {
 public:
  void Add(std::chrono::nanoseconds duration) {
    ++counts_[BucketOf(static_cast<uint64_t>(std::max<int64_t>(duration.count(), 1)))];
    ++total_;
  }
  // Upper end of the bucket, µs.
  double Quantile(double q) const {
    const auto rank = static_cast<uint64_t>(q * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > rank) {
        return static_cast<double>(UpperOf(i)) / 1000;
      }
    }
    return 0;
  }
  uint64_t total() const { return total_; }

 private:
  static constexpr unsigned kBits = 4;
  static size_t BucketOf(uint64_t value) {
    const auto log = static_cast<unsigned>(63 - __builtin_clzll(value));
    const uint64_t part =
        log >= kBits ? (value >> (log - kBits)) & 15 : (value << (kBits - log)) & 15;
    return log * 16 + part;
  }
  static uint64_t UpperOf(size_t bucket) {
    const uint64_t log = bucket / 16;
    return ((uint64_t{1} << log) * (17 + bucket % 16)) >> kBits;
  }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>(64 * 16);
  uint64_t total_ = 0;
};

sockaddr_in AddressOf(const std::string& text) {
  const size_t colon = text.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon == std::string::npos ||
      inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    Fail("--address: want a numeric host and a port, found " + text);
  }
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(text.substr(colon + 1))));
  return address;
}

std::vector<std::string> ReadTokens(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> tokens;
  for (std::string line; std::getline(file, line);) {
    tokens.push_back(line);
  }
  if (tokens.empty()) {
    Fail("no tokens in " + path);
  }
  return tokens;
}

// A webhook of the given size, told apart by `seed`.
std::string MakeBody(size_t size, size_t seed) {
  std::string body = R"({"events":[)";
  while (body.size() < size) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    body += fmt::format(
        R"({{"meta":{{"type":"customerorder","href":"https://x/{:016x}"}},"action":"UPDATE"}},)",
        seed);
  }
  body.resize(size - 2);
  return body + "]}";
}

struct Connection {
  int fd = -1;
  std::string request;
  size_t sent = 0;
  std::string answer;
  Clock::time_point started;
};

class Driver {
 public:
  explicit Driver(const Flags& flags) : flags_(flags), address_(AddressOf(flags.address)) {
    const auto tokens = ReadTokens(flags.tokens_file);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    connections_.resize(flags.connections);
    for (size_t i = 0; i < connections_.size(); ++i) {
      const std::string body = MakeBody(flags.body_bytes, i + 1);
      connections_[i].request = fmt::format(
          "POST /hook/{}?requestId={:032x} HTTP/1.1\r\nHost: {}\r\nUser-Agent: load-driver\r\n"
          "Accept: */*\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
          tokens[i % tokens.size()],
          i,
          flags.address,
          body.size(),
          body);
      Open(i);
    }
  }

  Json Run() {
    for (Connection& connection : connections_) {
      Start(connection);
    }
    Loop(Clock::now() + Seconds(flags_.warm_up_seconds));
    measured_ = {};
    statuses_.clear();
    const auto start = Clock::now();
    // What a bench script waits for to read the server's CPU time.
    fmt::print(stderr, "measuring\n");
    Loop(start + Seconds(flags_.seconds));
    const double took = std::chrono::duration<double>(Clock::now() - start).count();
    fmt::print(stderr, "measured\n");
    Json statuses = Json::object();
    for (const auto& [status, count] : statuses_) {
      statuses[std::to_string(status)] = count;
    }
    return {{"requests", measured_.total()},
            {"seconds", took},
            {"rate", static_cast<double>(measured_.total()) / took},
            {"p50_us", measured_.Quantile(0.5)},
            {"p99_us", measured_.Quantile(0.99)},
            {"p999_us", measured_.Quantile(0.999)},
            {"max_us", measured_.Quantile(1.0 - 1e-12)},
            {"statuses", statuses},
            {"reconnects", reconnects_}};
  }

  // One request on each connection, then silence.
  Json Idle() {
    for (Connection& connection : connections_) {
      Start(connection);
    }
    single_ = true;
    while (measured_.total() < connections_.size() && reconnects_ < 10) {
      Step(100);
    }
    fmt::print(stderr, "holding\n");
    std::this_thread::sleep_for(Seconds(flags_.seconds));
    size_t open = 0;
    for (const Connection& connection : connections_) {
      char byte = 0;
      const ssize_t n = recv(connection.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
      open += n < 0 && errno == EAGAIN ? 1 : 0;
    }
    return {{"connections", connections_.size()}, {"still_open", open}};
  }

 private:
  static Clock::duration Seconds(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  void Open(size_t i) {
    Connection& connection = connections_[i];
    connection.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection.fd < 0 ||
        connect(connection.fd, reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)) !=
            0) {
      Fail(fmt::format("connection {}: errno {}", i, errno));
    }
    const int on = 1;
    setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
  }

  void Start(Connection& connection) {
    connection.started = Clock::now();
    connection.answer.clear();
    std::string_view rest = connection.request;
    while (!rest.empty()) {
      const ssize_t n = send(connection.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n <= 0) {
        return;  // The read side will tell.
      }
      rest.remove_prefix(static_cast<size_t>(n));
    }
  }

  void Loop(Clock::time_point end) {
    while (Clock::now() < end) {
      Step(100);
    }
  }

  void Step(int timeout_ms) {
    std::array<epoll_event, 256> events{};
    const int count = epoll_wait(epoll_, events.data(), events.size(), timeout_ms);
    for (int i = 0; i < count; ++i) {
      OnReadable(events[static_cast<size_t>(i)].data.u64);
    }
  }

  void OnReadable(size_t i) {
    Connection& connection = connections_[i];
    std::array<char, 4096> buffer{};
    const ssize_t n = recv(connection.fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
      return;
    }
    if (n <= 0) {
      ++reconnects_;
      close(connection.fd);
      Open(i);
      Start(connection);
      return;
    }
    connection.answer.append(buffer.data(), static_cast<size_t>(n));
    if (!IsWhole(connection.answer)) {
      return;
    }
    measured_.Add(Clock::now() - connection.started);
    ++statuses_[std::atoi(connection.answer.c_str() + 9)];
    if (!single_) {
      Start(connection);
    }
  }

  static bool IsWhole(const std::string& answer) {
    const size_t end = answer.find("\r\n\r\n");
    if (end == std::string::npos) {
      return false;
    }
    size_t at = answer.find("ontent-");
    while (at != std::string::npos && at < end && answer.compare(at + 8, 6, "ength:") != 0) {
      at = answer.find("ontent-", at + 1);
    }
    const size_t size =
        at == std::string::npos || at > end ? 0 : std::stoul(answer.substr(at + 14));
    return answer.size() >= end + 4 + size;
  }

  const Flags& flags_;
  const sockaddr_in address_;
  int epoll_ = -1;
  std::vector<Connection> connections_;
  Latencies measured_;
  std::map<int, int64_t> statuses_;
  int64_t reconnects_ = 0;
  bool single_ = false;
};

// Integrations of as many CRM accounts, active, one token each; the tokens go into the file.
Json Seed(const Flags& flags) {
  obs::Metrics metrics("load-driver", "0", "0");
  kafka::Producer::Options options;
  options.client.brokers = flags.brokers;
  auto producer = kafka::Producer::Create(options, metrics);
  if (!producer.ok()) {
    Fail(producer.status().ToString());
  }
  std::ofstream file(flags.tokens_file);
  std::atomic<int> failed = 0;
  for (int i = 0; i < flags.integrations; ++i) {
    const std::string token = NewToken();
    file << token << "\n";
    integration::v1::Integration integration;
    integration.set_id(NewId("int_", dealstream::Clock::System()));
    integration.set_account_id("load");
    integration.set_crm(flags.crm);
    integration.set_crm_account_id(fmt::format("company{}", i));
    integration.set_purpose(integration::v1::PURPOSE_DEALS);
    integration.set_active(true);
    integration.set_version(1);
    integration.set_webhook_token_sha256(Sha256(token));
    kafka::OutRecord record{.topic = "integrations.v1",
                            .key = integration.id(),
                            .value = integration.SerializeAsString(),
                            .headers = {}};
    const Status status = (*producer)->Send(
        std::move(record), [&](const auto& report) { failed += report.ok() ? 0 : 1; });
    failed += status.ok() ? 0 : 1;
  }
  const Status flushed = (*producer)->Flush(absl::Now() + absl::Seconds(30));
  if (!flushed.ok() || failed > 0) {
    Fail(fmt::format("{} integrations were not written: {}", failed.load(), flushed.ToString()));
  }
  return {{"integrations", flags.integrations}};
}

}  // namespace
}  // namespace dealstream::load

int main(int argc, char** argv) {
  using dealstream::load::Driver;
  dealstream::load::Flags flags;
  CLI::App app("Load for a webhook door. Prints one JSON object; for tools/bench.");
  app.require_subcommand(1);
  const auto add_common = [&](CLI::App* command) {
    command->add_option("--address", flags.address, "The door, host:port");
    command->add_option("--tokens", flags.tokens_file, "File of tokens, one a line")->required();
    command->add_option("--connections", flags.connections, "Connections");
    command->add_option("--seconds", flags.seconds, "How long");
    command->add_option("--body", flags.body_bytes, "Bytes of a body")
        ->check(CLI::Range(64, 1 << 20));
  };
  auto* run = app.add_subcommand("run", "POST in a closed loop on each connection");
  add_common(run);
  run->add_option("--warm-up", flags.warm_up_seconds, "Seconds before measuring");
  auto* idle = app.add_subcommand("idle", "One POST on each connection, then hold them open");
  add_common(idle);
  auto* seed = app.add_subcommand("seed", "Write integrations and their tokens");
  seed->add_option("--brokers", flags.brokers, "Kafka")->required();
  seed->add_option("--tokens", flags.tokens_file, "File to write")->required();
  seed->add_option("--integrations", flags.integrations, "How many");
  seed->add_option("--crm", flags.crm, "Their CRM");
  CLI11_PARSE(app, argc, argv);
  dealstream::load::Json result;
  if (run->parsed()) {
    result = Driver(flags).Run();
  } else if (idle->parsed()) {
    result = Driver(flags).Idle();
  } else {
    result = dealstream::load::Seed(flags);
  }
  std::cout << result.dump() << "\n";
  return 0;
}
