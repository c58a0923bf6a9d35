#include "libs/http/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include <civetweb.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace dealstream::http {
namespace {

constexpr size_t kReadSize = 16 << 10;

std::string Copy(const char* text) { return text == nullptr ? std::string() : std::string(text); }

// The body, or nothing when it is larger than allowed or its end never came.
struct BodyOrStatus {
  std::string body;
  int status = 200;
};

BodyOrStatus ReadBody(mg_connection* connection, int64_t announced, int64_t limit) {
  BodyOrStatus result;
  if (announced > limit) {
    result.status = 413;
    return result;
  }
  char buffer[kReadSize];
  while (true) {
    const int count = mg_read(connection, buffer, sizeof(buffer));
    if (count <= 0) {
      break;
    }
    result.body.append(buffer, static_cast<size_t>(count));
    if (static_cast<int64_t>(result.body.size()) > limit) {
      result.status = 413;
      return result;
    }
  }
  if (announced >= 0 && static_cast<int64_t>(result.body.size()) != announced) {
    result.status = 400;
  }
  return result;
}

// Connects to the port and hangs up. Failing is no matter.
void Knock(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return;
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // The address families of sockets are told apart by their first member.
  (void)connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  close(fd);
}

bool HasBody(int status) { return status >= 200 && status != 204 && status != 304; }

class CivetServer final : public Server {
 public:
  CivetServer(int64_t max_body_bytes, Handler handler)
      : max_body_bytes_(max_body_bytes), handler_(std::move(handler)) {}

  ~CivetServer() override {
    if (context_ == nullptr) {
      return;
    }
    // civetweb's acceptor looks at the stop flag every two seconds, or when somebody connects.
    std::atomic<bool> stopped = false;
    std::thread knocker([this, &stopped] {
      while (!stopped) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        Knock(port_);
      }
    });
    mg_stop(context_);
    stopped = true;
    knocker.join();
  }

  CivetServer(const CivetServer&) = delete;
  CivetServer& operator=(const CivetServer&) = delete;

  Status Start(const ServerOptions& options) {
    // ":8081" is how Go and Kubernetes write "any address"; civetweb wants the bare port.
    const std::string ports =
        options.address.starts_with(':') ? options.address.substr(1) : options.address;
    const std::string threads = std::to_string(std::max(1, options.threads));
    const char* settings[] = {"listening_ports",
                              ports.c_str(),
                              "num_threads",
                              threads.c_str(),
                              "enable_keep_alive",
                              "yes",
                              // A kept connection holds a thread, and the stop waits for it: not
                              // for long.
                              "keep_alive_timeout_ms",
                              "500",
                              "request_timeout_ms",
                              "10000",
                              "tcp_nodelay",
                              "1",
                              "connection_queue",
                              "256",
                              "decode_url",
                              "no",
                              nullptr};
    mg_callbacks callbacks = {};
    callbacks.begin_request = &CivetServer::OnRequest;
    callbacks.log_message = [](const mg_connection*, const char*) { return 1; };
    mg_init_data init = {};
    init.callbacks = &callbacks;
    init.user_data = this;
    init.configuration_options = settings;
    char text[256] = {};
    unsigned code = 0;
    mg_error_data error = {};
    error.code = &code;
    error.text = text;
    error.text_buffer_size = sizeof(text);
    mg_init_library(MG_FEATURES_DEFAULT);
    context_ = mg_start2(&init, &error);
    if (context_ == nullptr) {
      return absl::UnavailableError(
          fmt::format("http server: can't listen on {}: {}", options.address, text));
    }
    mg_server_port port = {};
    if (mg_get_server_ports(context_, 1, &port) < 1) {
      return absl::InternalError(fmt::format("http server: no port on {}", options.address));
    }
    port_ = port.port;
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  static int OnRequest(mg_connection* connection) {
    const mg_request_info* info = mg_get_request_info(connection);
    return static_cast<CivetServer*>(info->user_data)->Serve(connection, *info);
  }

  int Serve(mg_connection* connection, const mg_request_info& info) {
    ServerRequest request;
    request.method = Copy(info.request_method);
    request.path = Copy(info.local_uri_raw != nullptr ? info.local_uri_raw : info.request_uri);
    request.query = Copy(info.query_string);
    for (int i = 0; i < info.num_headers; ++i) {
      request.headers.emplace_back(absl::AsciiStrToLower(info.http_headers[i].name),
                                   Copy(info.http_headers[i].value));
    }
    BodyOrStatus body = ReadBody(connection, info.content_length, max_body_bytes_);
    ServerResponse response;
    if (body.status == 200) {
      request.body = std::move(body.body);
      response = Handle(request);
    } else {
      response.status = body.status;
      // What is left of the body can't be told from the next request.
      mg_disable_keep_alive(connection);
    }
    Answer(connection, request, response);
    return response.status;
  }

  ServerResponse Handle(const ServerRequest& request) {
    try {
      return handler_(request);
    } catch (const std::exception&) {
      // A handler must not throw; if it does, the others go on.
      ServerResponse failed;
      failed.status = 500;
      return failed;
    }
  }

  static void Answer(mg_connection* connection,
                     const ServerRequest& request,
                     const ServerResponse& response) {
    mg_response_header_start(connection, response.status);
    // Else civetweb writes it by gmtime, which threads may not share.
    const std::string date =
        absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", absl::Now(), absl::UTCTimeZone());
    mg_response_header_add(connection, "Date", date.data(), static_cast<int>(date.size()));
    for (const auto& [name, value] : response.headers) {
      mg_response_header_add(
          connection, name.c_str(), value.data(), static_cast<int>(value.size()));
    }
    if (HasBody(response.status)) {
      const std::string size = std::to_string(response.body.size());
      mg_response_header_add(
          connection, "Content-Length", size.data(), static_cast<int>(size.size()));
    }
    mg_response_header_send(connection);
    if (HasBody(response.status) && request.method != "HEAD" && !response.body.empty()) {
      mg_write(connection, response.body.data(), response.body.size());
    }
  }

  const int64_t max_body_bytes_;
  const Handler handler_;
  int port_ = 0;
  mg_context* context_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Create(const ServerOptions& options, Handler handler) {
  auto server = std::make_unique<CivetServer>(options.max_body_bytes, std::move(handler));
  DEALSTREAM_RETURN_IF_ERROR(server->Start(options));
  return server;
}

}  // namespace dealstream::http
