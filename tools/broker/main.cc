// embedded-broker: librdkafka's mock cluster as a process of its own. See README.md for what it
// can't do.
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "fmt/format.h"
#include "librdkafka/rdkafka.h"
#include "librdkafka/rdkafka_mock.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libs/base/status.h"
#include "libs/base/strings.h"
#include "libs/topics/topics.h"

namespace {

// The port that the mock's listener is given instead of any free one. Set before it is made.
uint16_t listen_port = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

// Whether clients may come.
std::atomic<bool> topics_made{false};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

constexpr int kBacklog = 1024;

}  // namespace

// The library calls these by dynamic linking and so finds ours (the executable exports its
// symbols). They do what the library's own calls leave out.
extern "C" {

int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in changed{};
  if (address->sa_family == AF_INET && size >= sizeof(changed)) {
    std::memcpy(&changed, address, sizeof(changed));
    if (changed.sin_port == 0) {
      changed.sin_port = htons(listen_port);
    }
    address = reinterpret_cast<const sockaddr*>(&changed);  // NOLINT
    size = sizeof(changed);
  }
  return static_cast<int>(syscall(SYS_bind, fd, address, size));
}

int listen(int fd, int /*backlog*/) noexcept {
  return static_cast<int>(syscall(SYS_listen, fd, kBacklog));
}

// Without TCP_NODELAY each transaction waits 43 ms for a delayed acknowledgement. A client that has
// waited for us to come back would make a topic of the wrong shape by asking for it before it is
// made: it is turned away until then.
int accept(int fd, sockaddr* address, socklen_t* size) {
  const int connection = static_cast<int>(syscall(SYS_accept, fd, address, size));
  if (connection >= 0 && !topics_made) {
    close(connection);
    errno = ECONNABORTED;
    return -1;
  }
  if (connection >= 0) {
    const int on = 1;
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return connection;
}

}  // extern "C"

namespace dealstream {
namespace {

struct Flags {
  uint16_t port = 0;
  std::string topics_file;
  std::string prefix;
  std::vector<std::string> topics;
  bool control = false;
  bool exit_with_parent = false;
};

struct Cluster {
  explicit Cluster(rd_kafka_t* client)
      : client_(client), mock(rd_kafka_mock_cluster_new(client, 1)) {}
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  ~Cluster() {
    if (mock != nullptr) {
      rd_kafka_mock_cluster_destroy(mock);
    }
    rd_kafka_destroy(client_);
  }

 private:
  rd_kafka_t* client_;

 public:
  rd_kafka_mock_cluster_t* mock;
};

Result<std::unique_ptr<Cluster>> MakeCluster(uint16_t port) {
  listen_port = port;
  std::array<char, 512> text{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  // Idle but for the mock's bookkeeping.
  rd_kafka_conf_set(conf, "log_level", "3", text.data(), text.size());
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text.data(), text.size());
  if (client == nullptr) {
    rd_kafka_conf_destroy(conf);
    return absl::InternalError(fmt::format("embedded-broker: {}", text.data()));
  }
  auto cluster = std::make_unique<Cluster>(client);
  if (cluster->mock == nullptr) {
    return absl::UnavailableError(
        fmt::format("embedded-broker: can't listen on 127.0.0.1:{}; is the port taken?", port));
  }
  return cluster;
}

// "name:partitions".
Result<std::pair<std::string, int>> ParseTopic(const std::string& text) {
  const size_t colon = text.rfind(':');
  int partitions = 0;
  if (colon != std::string::npos) {
    partitions = std::atoi(text.c_str() + colon + 1);
  }
  if (partitions < 1) {
    return absl::InvalidArgumentError(
        fmt::format("--topic: found \"{}\", want NAME:PARTITIONS", text));
  }
  return std::pair(text.substr(0, colon), partitions);
}

Result<std::vector<std::pair<std::string, int>>> WantedTopics(const Flags& flags) {
  std::vector<std::pair<std::string, int>> wanted;
  if (!flags.topics_file.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto specs, topics::Load(flags.topics_file));
    for (const topics::Spec& spec : specs) {
      wanted.emplace_back(spec.name, spec.partitions);
    }
  }
  for (const std::string& text : flags.topics) {
    DEALSTREAM_ASSIGN_OR_RETURN(auto topic, ParseTopic(text));
    wanted.push_back(std::move(topic));
  }
  return wanted;
}

Status CreateTopics(const Flags& flags, rd_kafka_mock_cluster_t* mock) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto wanted, WantedTopics(flags));
  for (const auto& [name, partitions] : wanted) {
    const rd_kafka_resp_err_t err =
        rd_kafka_mock_topic_create(mock, (flags.prefix + name).c_str(), partitions, 1);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return absl::InternalError(
          fmt::format("embedded-broker: topic {}: {}", name, rd_kafka_err2str(err)));
    }
  }
  return absl::OkStatus();
}

// Faults for tests, one a line:
//   down | up                   connections are cut and refused | taken again
//   rtt MS                      each answer is held back
//   topic NAME PARTITIONS       one more topic
//   errors API_KEY ERROR COUNT  the next COUNT requests of that kind fail with that error code
Status Control(const std::string& line, rd_kafka_mock_cluster_t* mock) {
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  if (verb == "down") {
    rd_kafka_mock_broker_set_down(mock, 1);
  } else if (verb == "up") {
    rd_kafka_mock_broker_set_up(mock, 1);
  } else if (int milliseconds = 0; verb == "rtt" && words >> milliseconds) {
    rd_kafka_mock_broker_set_rtt(mock, 1, milliseconds);
  } else if (std::string name; verb == "topic") {
    int partitions = 0;
    if (!(words >> name >> partitions)) {
      return absl::InvalidArgumentError(fmt::format("unknown command: {}", line));
    }
    rd_kafka_mock_topic_create(mock, name.c_str(), partitions, 1);
  } else {
    int16_t api_key = 0;
    int error = 0;
    size_t count = 0;
    if (verb != "errors" || !(words >> api_key >> error >> count)) {
      return absl::InvalidArgumentError(fmt::format("unknown command: {}", line));
    }
    const std::vector<rd_kafka_resp_err_t> errors(count, static_cast<rd_kafka_resp_err_t>(error));
    rd_kafka_mock_push_request_errors_array(mock, api_key, count, errors.data());
  }
  return absl::OkStatus();
}

// Until a signal to stop.
void Serve(const Flags& flags, int signal_fd, rd_kafka_mock_cluster_t* mock) {
  std::array<pollfd, 2> waits{};
  waits[0] = {signal_fd, POLLIN, 0};
  waits[1] = {flags.control ? STDIN_FILENO : -1, POLLIN, 0};
  while (true) {
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) {
      return;
    }
    if (waits[0].revents != 0) {
      return;
    }
    if (waits[1].revents == 0) {
      continue;
    }
    std::string line;
    if (!std::getline(std::cin, line)) {
      waits[1].fd = -1;
      continue;
    }
    const Status status = Control(line, mock);
    fmt::print("{}\n", status.ok() ? "ok" : std::string(ToStd(status.message())));
    std::fflush(stdout);
  }
}

int Run(const Flags& flags) {
  // Before any thread is made: they inherit the mask.
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  const int signal_fd = signalfd(-1, &stop, SFD_CLOEXEC);
  if (flags.exit_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
  }
  const auto cluster = MakeCluster(flags.port);
  Status status = cluster.status();
  if (status.ok()) {
    status = CreateTopics(flags, (*cluster)->mock);
  }
  if (!status.ok()) {
    fmt::print(stderr, "{}\n", ToStd(status.message()));
    return 1;
  }
  topics_made = true;
  fmt::print("ready {}\n", rd_kafka_mock_cluster_bootstraps((*cluster)->mock));
  std::fflush(stdout);
  Serve(flags, signal_fd, (*cluster)->mock);
  return 0;
}

}  // namespace
}  // namespace dealstream

int main(int argc, char** argv) {
  dealstream::Flags flags;
  CLI::App app(
      "A Kafka broker in memory, for development: prints \"ready HOST:PORT\" and serves until "
      "SIGTERM. It keeps nothing.");
  app.add_option("--port", flags.port, "Port on 127.0.0.1; 0 takes a free one");
  app.add_option("--topics", flags.topics_file, "Make the topics declared in this file");
  app.add_option("--topic", flags.topics, "Make one more topic, NAME:PARTITIONS; may be repeated");
  app.add_option("--prefix", flags.prefix, "Put before each topic's name");
  app.add_flag("--control", flags.control, "Read faults from standard input (see README.md)");
  app.add_flag("--exit-with-parent", flags.exit_with_parent, "Stop when the starting process ends");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return dealstream::Run(flags);
}
