// The bound that webhook-ingest is measured against: the least code that takes a POST and answers
// it after the record's delivery report. Bare epoll and http_parser, headers not looked at, no
// limits, no timeouts, no counters, tokens not looked up. The record has the same size, key and
// headers as webhook-ingest's. For measurements only.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <http_parser.h>
#include <librdkafka/rdkafka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    "x-notice-id: 00000000000000000000000000\r\n\r\n";

[[noreturn]] void Fail(const std::string& why) {
  fmt::print(stderr, "bare-server: {}\n", why);
  std::exit(1);
}

struct Connection {
  int fd;
  http_parser parser{};
  // Of the request in the buffer.
  size_t size = 0;
  std::string_view body;
  bool whole = false;
  std::array<char, 8192> buffer;
};

Connection& ConnectionOf(http_parser* parser) { return *static_cast<Connection*>(parser->data); }

// A body comes in pieces that lie side by side in the buffer.
int OnBody(http_parser* parser, const char* at, size_t size) {
  std::string_view& body = ConnectionOf(parser).body;
  body =
      body.empty() ? std::string_view(at, size) : std::string_view(body.data(), body.size() + size);
  return 0;
}

int OnMessageComplete(http_parser* parser) {
  ConnectionOf(parser).whole = true;
  return 0;
}

constexpr http_parser_settings kParserSettings = {
    .on_message_begin = nullptr,
    .on_url = nullptr,
    .on_status = nullptr,
    .on_header_field = nullptr,
    .on_header_value = nullptr,
    .on_headers_complete = nullptr,
    .on_body = OnBody,
    .on_message_complete = OnMessageComplete,
    .on_chunk_header = nullptr,
    .on_chunk_complete = nullptr,
};

class BareServer {
 public:
  BareServer(int port,
             const std::string& brokers,
             const std::string& topic,
             const std::string& codec) {
    Connect(brokers, topic, codec);
    Listen(port);
  }

  void Run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), 1000);
      for (int i = 0; i < count; ++i) {
        void* what = events[static_cast<size_t>(i)].data.ptr;
        if (what == &listener_) {
          Accept();
        } else if (what == &eventfd_) {
          uint64_t ignored = 0;
          [[maybe_unused]] const ssize_t n = read(eventfd_, &ignored, sizeof(ignored));
          rd_kafka_poll(client_, 0);
        } else {
          OnReadable(static_cast<Connection*>(what));
        }
      }
    }
  }

 private:
  void Connect(const std::string& brokers, const std::string& topic, const std::string& codec) {
    std::array<char, 512> error{};
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    const auto set = [&](const char* key, const std::string& value) {
      if (rd_kafka_conf_set(conf, key, value.c_str(), error.data(), error.size()) !=
          RD_KAFKA_CONF_OK) {
        Fail(error.data());
      }
    };
    set("bootstrap.servers", brokers);
    set("acks", "all");
    set("enable.idempotence", "true");
    set("linger.ms", "0");
    set("compression.codec", codec);
    if (codec == "zstd") {
      set("compression.level", "1");
    }
    set("partitioner", "murmur2_random");
    rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void*) {
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        Fail(rd_kafka_err2str(message->err));
      }
      const auto* connection = static_cast<Connection*>(message->_private);
      send(connection->fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    });
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.data(), error.size());
    if (client_ == nullptr) {
      Fail(error.data());
    }
    topic_ = rd_kafka_topic_new(client_, topic.c_str(), nullptr);
    headers_ = rd_kafka_headers_new(9);
    for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
             {"ce_specversion", "1.0"},
             {"ce_id", std::string(26, '0')},
             {"ce_source", "/crm/moysklad/integrations/" + std::string(30, '0')},
             {"ce_type", "dealstream.notice.received.v1"},
             {"ce_subject", "company1"},
             {"ce_time", "2026-01-01T00:00:00.000Z"},
             {"ce_dataschema", "dealstream.raw.v1.Notice"},
             {"content-type", "application/protobuf"},
             {"traceparent", std::string(55, '0')}}) {
      rd_kafka_header_add(
          headers_, name.c_str(), -1, value.data(), static_cast<ssize_t>(value.size()));
    }
  }

  void Listen(int port) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        listen(listener_, 4096) != 0) {
      Fail("the port is taken");
    }
    Watch(listener_, &listener_);
    eventfd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    static const uint64_t kOne = 1;
    rd_kafka_queue_io_event_enable(rd_kafka_queue_get_main(client_), eventfd_, &kOne, sizeof(kOne));
    Watch(eventfd_, &eventfd_);
  }

  void Watch(int fd, void* what) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = what;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void Accept() {
    int fd = -1;
    while ((fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      // Never freed: the process lives as long as the measurement.
      auto* connection = new Connection{.fd = fd, .body = {}, .buffer = {}};
      http_parser_init(&connection->parser, HTTP_REQUEST);
      connection->parser.data = connection;
      Watch(fd, connection);
    }
  }

  void OnReadable(Connection* connection) {
    const ssize_t n = recv(connection->fd,
                           connection->buffer.data() + connection->size,
                           connection->buffer.size() - connection->size,
                           MSG_DONTWAIT);
    if (n <= 0) {
      if (n == 0) {
        close(connection->fd);
      }
      return;
    }
    const auto read = static_cast<size_t>(n);
    if (http_parser_execute(&connection->parser,
                            &kParserSettings,
                            connection->buffer.data() + connection->size,
                            read) != read) {
      Fail("bad request");
    }
    connection->size += read;
    if (connection->whole) {
      Produce(connection, connection->body);
      connection->size = 0;
      connection->body = {};
      connection->whole = false;
    }
  }

  void Produce(Connection* connection, std::string_view body) {
    // As much as the notice around the body takes.
    static const std::string kPrefix(190, 'n');
    value_.assign(kPrefix);
    value_.append(body);
    constexpr std::string_view kKey = "company";
    const std::string key = fmt::format("{}{}", kKey, connection->fd % 1000);
    const rd_kafka_resp_err_t err =
        rd_kafka_producev(client_,
                          RD_KAFKA_V_RKT(topic_),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY(key.data(), key.size()),
                          RD_KAFKA_V_VALUE(value_.data(), value_.size()),
                          RD_KAFKA_V_HEADERS(rd_kafka_headers_copy(headers_)),
                          RD_KAFKA_V_OPAQUE(connection),
                          RD_KAFKA_V_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      Fail(rd_kafka_err2str(err));
    }
  }

  int epoll_ = -1;
  int listener_ = -1;
  int eventfd_ = -1;
  rd_kafka_t* client_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
  rd_kafka_headers_t* headers_ = nullptr;
  std::string value_;
};

}  // namespace

int main(int argc, char** argv) {
  int port = 8080;
  std::string brokers;
  std::string topic = "crm.notice.moysklad";
  std::string codec = "zstd";
  CLI::App app("The least server that stores a POST durably; for tools/bench.");
  app.add_option("--port", port, "Port on 127.0.0.1");
  app.add_option("--brokers", brokers, "Kafka")->required();
  app.add_option("--topic", topic, "Topic");
  app.add_option("--compression", codec, "compression.codec");
  CLI11_PARSE(app, argc, argv);
  BareServer(port, brokers, topic, codec).Run();
}
