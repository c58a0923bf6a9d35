#include "services/webhook-ingest/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include <arpa/inet.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libs/obs/log.h"

namespace dealstream::ingest {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;
using SteadyTime = std::chrono::steady_clock::time_point;

constexpr auto kTick = std::chrono::milliseconds(20);
constexpr size_t kReadBytes = 64 << 10;
// Connections taken in one go, so that those there are get their turn.
constexpr int kAcceptBurst = 64;
// How long, and for how many bytes, the rest of an unwanted request is read and thrown away, so
// that its answer isn't lost in a reset.
constexpr auto kLingerTime = std::chrono::seconds(2);
constexpr size_t kLingerBytes = 16 << 20;

std::chrono::nanoseconds ToChrono(absl::Duration duration) {
  return absl::ToChronoNanoseconds(duration);
}

class Worker;

// One socket with its session.
class Connection final : public HttpOutput {
 public:
  // What it waits for; each kind has its time and its list in the worker.
  enum Wait { kIdle, kHead, kBody, kWrite, kLinger, kNone };

  Connection(Worker& worker, int fd);

  void Start() { Update(); }
  // Ends it now; destroyed once no handler of it is under way.
  void Close();
  void OnTimeout();
  void CloseSoon() {
    if (session_) {
      session_->CloseSoon();
      Update();
    }
  }

  void Write(std::string_view bytes) override;
  void Resumed() override { Update(); }

  boost::intrusive::list_member_hook<> all_hook;
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>
      wait_hook;
  SteadyTime waiting_since;

 private:
  void Update();
  void AwaitReadable();
  void AwaitWritable();
  void OnReadable();
  void OnWritable();
  void ReadOnce();
  void Linger();
  void DestroyWhenQuiet();
  Wait WaitOf() const;

  Worker& worker_;
  Socket socket_;
  std::optional<HttpSession> session_;
  // Answers that the socket didn't take yet.
  std::string out_;
  int handlers_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool broken_ = false;
  bool lingering_ = false;
  bool closed_ = false;
  Wait wait_ = kNone;
  int64_t requests_seen_ = 0;
  size_t lingered_bytes_ = 0;
};

struct WorkerMetrics {
  explicit WorkerMetrics(obs::Metrics& metrics)
      : over_limit(Refused(metrics, "limit")),
        idle(Refused(metrics, "idle")),
        slow_reader(Refused(metrics, "slow_reader")) {}
  static prometheus::Counter& Refused(obs::Metrics& metrics, std::string_view reason) {
    return metrics.GetCounter("http_connections_refused_total", {{"reason", reason}});
  }
  prometheus::Counter& over_limit;
  prometheus::Counter& idle;
  prometheus::Counter& slow_reader;
};

// One event loop on a thread of its own.
class Worker {
 public:
  Worker(const ServerOptions& options, size_t number, WorkerMetrics& metrics)
      : options_(options),
        number_(number),
        metrics_(metrics),
        max_connections_(std::max<size_t>(1, options.max_connections / options.threads)),
        acceptor_(io_),
        notify_(io_),
        timer_(io_) {
    group_.max_body_memory =
        std::max(options.max_body_memory / options.threads, options.limits.max_body_bytes);
    timeouts_ = {ToChrono(options.idle_timeout),
                 ToChrono(options.head_timeout),
                 ToChrono(options.body_timeout),
                 ToChrono(options.write_timeout),
                 kLingerTime,
                 std::chrono::hours(0)};
  }

  ~Worker() {
    Join();
    // Sessions tell the door that they are gone, so they go first; reports use the door, so the
    // producer goes before it.
    while (!all_.empty()) {
      Connection* connection = &all_.front();
      all_.pop_front();
      delete connection;  // NOLINT(cppcoreguidelines-owning-memory): owned by the list.
    }
    producer_.reset();
    door_.reset();
  }

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Opens the listening socket; port 0 takes a free one.
  Status Listen(const tcp::endpoint& endpoint) {
    error_code ec;
    acceptor_.open(endpoint.protocol(), ec);
    const int on = 1;
    if (!ec &&
        (setsockopt(acceptor_.native_handle(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
         setsockopt(acceptor_.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)) {
      ec.assign(errno, boost::system::system_category());
    }
    if (!ec) {
      acceptor_.bind(endpoint, ec);
    }
    if (!ec) {
      acceptor_.listen(4096, ec);
    }
    if (!ec) {
      acceptor_.native_non_blocking(true, ec);
    }
    if (ec) {
      return absl::UnavailableError(fmt::format(
          "http.address {}:{}: {}", endpoint.address().to_string(), endpoint.port(), ec.message()));
    }
    return absl::OkStatus();
  }

  Status Prepare(const DoorShared& shared) {
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
      return absl::InternalError("eventfd: no descriptor left");
    }
    notify_.assign(fd);
    DEALSTREAM_ASSIGN_OR_RETURN(producer_, options_.make_producer(fd));
    door_ = std::make_unique<Door>(shared,
                                   number_,
                                   *producer_,
                                   std::max<size_t>(1, options_.max_in_flight / options_.threads));
    return absl::OkStatus();
  }

  void Start(obs::Health& health) {
    heartbeat_ = &health.AddLoop(fmt::format("http-{}", number_));
    AwaitConnections();
    AwaitReports();
    AwaitTick();
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), fmt::format("http-{}", number_).c_str());
      io_.run();
    });
  }

  // Any thread.
  void StartDraining() {
    asio::post(io_, [this] { group_.closing = true; });
  }
  void Drain() {
    asio::post(io_, [this] {
      AcceptAll();
      draining_ = true;
      error_code ignored;
      acceptor_.close(ignored);
      for (auto it = all_.begin(); it != all_.end();) {
        Connection& connection = *it;
        ++it;
        connection.CloseSoon();
      }
    });
  }

  void Join() {
    io_.stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  int port() const { return acceptor_.local_endpoint().port(); }
  bool connected() const { return connected_.load(std::memory_order_relaxed); }
  size_t connections() const { return connections_.load(std::memory_order_relaxed); }
  size_t in_flight() const { return door_->in_flight(); }
  kafka::Producer& producer() { return *producer_; }

  // ---- For connections ----

  asio::io_context& io() { return io_; }
  const ServerOptions& options() const { return options_; }
  SessionGroup& group() { return group_; }
  Door& door() { return *door_; }
  WorkerMetrics& metrics() { return metrics_; }
  std::array<char, kReadBytes>& scratch() { return scratch_; }
  SteadyTime now() const { return now_; }

  void SetWait(Connection& connection, Connection::Wait wait) {
    connection.waiting_since = now_;
    connection.wait_hook.unlink();
    if (wait != Connection::kNone) {
      waiting_[wait].push_back(connection);
    }
  }

  void Destroy(Connection* connection) {
    all_.erase(all_.iterator_to(*connection));
    connections_.store(all_.size(), std::memory_order_relaxed);
    delete connection;  // NOLINT(cppcoreguidelines-owning-memory): owned by the list.
  }

 private:
  using AllList =
      boost::intrusive::list<Connection,
                             boost::intrusive::member_hook<Connection,
                                                           boost::intrusive::list_member_hook<>,
                                                           &Connection::all_hook>>;
  using WaitList =
      boost::intrusive::list<Connection,
                             boost::intrusive::member_hook<Connection,
                                                           decltype(Connection::wait_hook),
                                                           &Connection::wait_hook>,
                             boost::intrusive::constant_time_size<false>>;

  void AwaitConnections() {
    acceptor_.async_wait(tcp::acceptor::wait_read, [this](const error_code& ec) {
      if (ec || draining_) {
        return;
      }
      if (AcceptAll()) {
        AwaitConnections();
      } else {
        // No descriptor is left: the waiting ones stay in the kernel's queue for a while.
        accept_again_ = true;
      }
    });
  }

  // False: out of descriptors.
  bool AcceptAll() {
    now_ = std::chrono::steady_clock::now();
    for (int i = 0; i < kAcceptBurst; ++i) {
      const int fd =
          accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        return !(errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
      }
      if (all_.size() >= max_connections_) {
        metrics_.over_limit.Increment();
        close(fd);
        continue;
      }
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      auto* connection = new Connection(*this, fd);  // NOLINT(cppcoreguidelines-owning-memory)
      all_.push_back(*connection);
      connections_.store(all_.size(), std::memory_order_relaxed);
      connection->Start();
    }
    return true;
  }

  void AwaitReports() {
    notify_.async_wait(Descriptor::wait_read, [this](const error_code& ec) {
      if (ec) {
        return;
      }
      uint64_t ignored = 0;
      [[maybe_unused]] const ssize_t n = read(notify_.native_handle(), &ignored, sizeof(ignored));
      now_ = std::chrono::steady_clock::now();
      producer_->Poll();
      AwaitReports();
    });
  }

  void AwaitTick() {
    timer_.expires_after(kTick);
    timer_.async_wait([this](const error_code& ec) {
      if (ec) {
        return;
      }
      Tick();
      AwaitTick();
    });
  }

  void Tick() {
    now_ = std::chrono::steady_clock::now();
    heartbeat_->Beat();
    producer_->Poll();
    door_->Tick();
    connected_.store(producer_->Connected(), std::memory_order_relaxed);
    if (number_ == 0 && options_.on_tick) {
      options_.on_tick();
    }
    for (size_t wait = 0; wait < Connection::kNone; ++wait) {
      WaitList& list = waiting_[wait];
      while (!list.empty() && now_ - list.front().waiting_since >= timeouts_[wait]) {
        list.front().OnTimeout();
      }
    }
    if (std::exchange(accept_again_, false) && !draining_) {
      if (AcceptAll()) {
        AwaitConnections();
      } else {
        accept_again_ = true;
      }
    }
  }

  const ServerOptions& options_;
  const size_t number_;
  WorkerMetrics& metrics_;
  const size_t max_connections_;
  obs::Health::Heartbeat* heartbeat_ = nullptr;
  std::atomic<bool> connected_{false};
  std::atomic<size_t> connections_{0};
  bool draining_ = false;
  bool accept_again_ = false;
  SessionGroup group_;
  std::array<std::chrono::nanoseconds, Connection::kNone + 1> timeouts_{};
  std::array<char, kReadBytes> scratch_{};
  SteadyTime now_ = std::chrono::steady_clock::now();
  AllList all_;
  // By what they wait for, in the order of their deadlines.
  std::array<WaitList, Connection::kNone> waiting_;
  std::unique_ptr<Door> door_;
  std::unique_ptr<kafka::Producer> producer_;
  // One thread runs it, others only post.
  asio::io_context io_{1};
  Acceptor acceptor_;
  Descriptor notify_;
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>,
                             Executor>
      timer_;
  std::thread thread_;
};

// ---- Connection -------------------------------------------------------------------------------

Connection::Connection(Worker& worker, int fd) : worker_(worker), socket_(worker.io()) {
  session_.emplace(worker.options().limits, worker.group(), worker.door(), *this);
  error_code ignored;
  socket_.assign(tcp::v4(), fd, ignored);
}

void Connection::Write(std::string_view bytes) {
  if (broken_) {
    return;
  }
  if (out_.empty()) {
    const ssize_t sent =
        send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      broken_ = true;
      return;
    }
    bytes.remove_prefix(sent < 0 ? 0 : static_cast<size_t>(sent));
  }
  out_.append(bytes);
}

Connection::Wait Connection::WaitOf() const {
  if (!out_.empty()) {
    return kWrite;
  }
  if (lingering_) {
    return kLinger;
  }
  switch (session_->phase()) {
    case HttpSession::Phase::kIdle:
      return kIdle;
    case HttpSession::Phase::kHead:
      return kHead;
    case HttpSession::Phase::kBody:
      return kBody;
    case HttpSession::Phase::kHandling:
    case HttpSession::Phase::kClosing:
      break;
  }
  return kNone;
}

// Looks at what the session and the socket need next. May destroy the connection.
void Connection::Update() {
  if (closed_) {
    return;
  }
  if (broken_) {
    Close();
    return;
  }
  if (out_.empty() && session_->phase() == HttpSession::Phase::kClosing && !lingering_) {
    if (!session_->unread()) {
      Close();
      return;
    }
    shutdown(socket_.native_handle(), SHUT_WR);
    lingering_ = true;
  }
  const Wait wait = WaitOf();
  if (wait != wait_ || session_->requests() != requests_seen_) {
    wait_ = wait;
    requests_seen_ = session_->requests();
    worker_.SetWait(*this, wait);
  }
  if (!out_.empty()) {
    AwaitWritable();
  } else if (lingering_ || session_->wants_input()) {
    AwaitReadable();
  }
}

void Connection::AwaitReadable() {
  if (reading_) {
    return;
  }
  reading_ = true;
  ++handlers_;
  socket_.async_wait(Socket::wait_read, [this](const error_code& ec) {
    --handlers_;
    reading_ = false;
    if (closed_) {
      DestroyWhenQuiet();
    } else if (ec) {
      Close();
    } else {
      OnReadable();
    }
  });
}

void Connection::AwaitWritable() {
  if (writing_) {
    return;
  }
  writing_ = true;
  ++handlers_;
  socket_.async_wait(Socket::wait_write, [this](const error_code& ec) {
    --handlers_;
    writing_ = false;
    if (closed_) {
      DestroyWhenQuiet();
    } else if (ec) {
      Close();
    } else {
      OnWritable();
    }
  });
}

void Connection::OnReadable() {
  if (lingering_) {
    Linger();
    return;
  }
  // Nothing is read while an answer waits to be taken: a sender that doesn't read gets no more in.
  if (session_->wants_input() && out_.empty()) {
    ReadOnce();
    if (closed_) {
      return;
    }
  }
  Update();
}

void Connection::ReadOnce() {
  auto& scratch = worker_.scratch();
  const ssize_t n = recv(socket_.native_handle(), scratch.data(), scratch.size(), MSG_DONTWAIT);
  if (n > 0) {
    session_->Input({scratch.data(), static_cast<size_t>(n)});
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    Close();
  }
}

void Connection::Linger() {
  auto& scratch = worker_.scratch();
  const ssize_t n = recv(socket_.native_handle(), scratch.data(), scratch.size(), MSG_DONTWAIT);
  lingered_bytes_ += n > 0 ? static_cast<size_t>(n) : 0;
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || lingered_bytes_ > kLingerBytes) {
    Close();
    return;
  }
  AwaitReadable();
}

void Connection::OnWritable() {
  const ssize_t sent =
      send(socket_.native_handle(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    broken_ = true;
  } else if (sent > 0) {
    out_.erase(0, static_cast<size_t>(sent));
    if (out_.empty()) {
      std::string().swap(out_);
    }
  }
  Update();
}

void Connection::OnTimeout() {
  switch (wait_) {
    case kIdle:
      worker_.metrics().idle.Increment();
      Close();
      return;
    case kWrite:
      worker_.metrics().slow_reader.Increment();
      Close();
      return;
    case kLinger:
    case kNone:
      Close();
      return;
    case kHead:
    case kBody:
      session_->Timeout();
      Update();
      return;
  }
}

void Connection::Close() {
  if (closed_) {
    return;
  }
  closed_ = true;
  worker_.SetWait(*this, kNone);
  session_.reset();
  error_code ignored;
  socket_.close(ignored);
  DestroyWhenQuiet();
}

void Connection::DestroyWhenQuiet() {
  if (handlers_ == 0) {
    worker_.Destroy(this);
  }
}

// ---- Server -----------------------------------------------------------------------------------

class AsioServer final : public Server {
 public:
  AsioServer(const ServerOptions& options, obs::Metrics& metrics)
      : options_(options), metrics_(metrics) {}

  Status Start(const DoorShared& shared, obs::Health& health) {
    DEALSTREAM_ASSIGN_OR_RETURN(tcp::endpoint endpoint, ParseAddress(options_.address));
    for (size_t i = 0; i < options_.threads; ++i) {
      workers_.push_back(std::make_unique<Worker>(options_, i, metrics_));
      DEALSTREAM_RETURN_IF_ERROR(workers_.back()->Listen(endpoint));
      DEALSTREAM_RETURN_IF_ERROR(workers_.back()->Prepare(shared));
      port_ = workers_.back()->port();
      endpoint.port(static_cast<uint16_t>(port_));
    }
    for (auto& worker : workers_) {
      worker->Start(health);
    }
    return absl::OkStatus();
  }

  int port() const override { return port_; }

  bool Connected() const override {
    return std::any_of(
        workers_.begin(), workers_.end(), [](const auto& worker) { return worker->connected(); });
  }

  size_t connections() const override {
    size_t sum = 0;
    for (const auto& worker : workers_) {
      sum += worker->connections();
    }
    return sum;
  }

  size_t in_flight() const override {
    size_t sum = 0;
    for (const auto& worker : workers_) {
      sum += worker->in_flight();
    }
    return sum;
  }

  void StartDraining() override {
    for (auto& worker : workers_) {
      worker->StartDraining();
    }
  }

  Status Stop(absl::Time deadline) override {
    for (auto& worker : workers_) {
      worker->Drain();
    }
    while (connections() > 0 && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    const size_t cut = connections();
    for (auto& worker : workers_) {
      worker->Join();
    }
    Status flushed = absl::OkStatus();
    for (auto& worker : workers_) {
      flushed.Update(worker->producer().Flush(deadline));
    }
    if (cut > 0) {
      return absl::DeadlineExceededError(fmt::format("{} connections were cut off", cut));
    }
    return flushed;
  }

 private:
  static Result<tcp::endpoint> ParseAddress(const std::string& text) {
    const size_t colon = text.rfind(':');
    error_code ec;
    if (colon != std::string::npos) {
      std::string host = text.substr(0, colon);
      if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
      }
      const auto address = asio::ip::make_address(host.empty() ? "0.0.0.0" : host, ec);
      const std::string port = text.substr(colon + 1);
      if (!ec && !port.empty() && port.size() <= 5 &&
          port.find_first_not_of("0123456789") == std::string::npos && std::stoi(port) <= 65535) {
        return tcp::endpoint(address, static_cast<uint16_t>(std::stoi(port)));
      }
    }
    return absl::InvalidArgumentError(
        fmt::format("http.address: \"{}\", want a numeric host and a port (0.0.0.0:8080)", text));
  }

  const ServerOptions options_;
  WorkerMetrics metrics_;
  int port_ = 0;
  // The threads are theirs.
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Create(const ServerOptions& options,
                                               const DoorShared& shared,
                                               obs::Health& health,
                                               obs::Metrics& metrics) {
  auto server = std::make_unique<AsioServer>(options, metrics);
  DEALSTREAM_RETURN_IF_ERROR(server->Start(shared, health));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace dealstream::ingest
