#include "services/webhook-ingest/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include <arpa/inet.h>
#include <boost/intrusive/list.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libs/obs/log.h"

// An event loop of our own rather than Asio's: sockets are registered once, edge-triggered, where
// Asio's reactor pays a system call for each time a socket is waited for, one in four of a request.
namespace dealstream::ingest {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr auto kTick = std::chrono::milliseconds(20);
constexpr size_t kReadBytes = 64 << 10;
// Connections taken, and reads made for one connection, in one go, so that the others get their
// turn.
constexpr int kAcceptBurst = 64;
constexpr int kReadBurst = 16;
constexpr int kBacklog = 4096;
// How long, and for how many bytes, the rest of an unwanted request is read and thrown away, so
// that its answer isn't lost in a reset.
constexpr auto kLingerTime = std::chrono::seconds(2);
constexpr size_t kLingerBytes = 16 << 20;

std::chrono::nanoseconds ToChrono(absl::Duration duration) {
  return absl::ToChronoNanoseconds(duration);
}

// A file descriptor.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { Reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  int get() const { return fd_; }
  void Reset(int fd = -1) {
    if (fd_ >= 0) {
      close(fd_);
    }
    fd_ = fd;
  }

 private:
  int fd_;
};

class Worker;

// One socket with its session. Destroyed by the worker at the end of the turn in which it closes.
class Connection final : public HttpOutput {
 public:
  // What it waits for; each kind has its time and its list in the worker.
  enum Wait { kIdle, kHead, kBody, kWrite, kLinger, kNone };

  Connection(Worker& worker, int fd);

  // What epoll says of the socket.
  void OnEvents(uint32_t events);
  // Goes on with reading that was put off.
  void Continue() { Update(); }
  void OnTimeout();
  void CloseSoon();
  bool closed() const { return closed_; }
  int fd() const { return fd_.get(); }

  void Write(std::string_view bytes) override;
  void Resumed() override;

  boost::intrusive::list_member_hook<> all_hook;
  boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>
      wait_hook;
  SteadyTime waiting_since;

 private:
  void Update();
  bool WantsInput() const;
  void ReadOnce();
  void Flush();
  void Close();
  Wait WaitOf() const;

  Worker& worker_;
  Fd fd_;
  std::optional<HttpSession> session_;
  // Answers that the socket didn't take yet.
  std::string out_;
  // There may be something to read: told by epoll and not read to its end since.
  bool readable_ = false;
  // The other side has ended: there is an end to be read behind the data.
  bool ended_ = false;
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
        max_connections_(std::max<size_t>(1, options.max_connections / options.threads)) {
    group_.max_body_memory =
        std::max(options.max_body_memory / options.threads, options.limits.max_body_bytes);
    timeouts_ = {ToChrono(options.idle_timeout),
                 ToChrono(options.head_timeout),
                 ToChrono(options.body_timeout),
                 ToChrono(options.write_timeout),
                 kLingerTime};
  }

  ~Worker() {
    Join();
    // Sessions tell the door that they are gone, so they go first; reports use the door, so the
    // producer goes before it.
    all_.clear_and_dispose([](Connection* connection) { delete connection; });  // NOLINT
    FreeClosed();
    producer_.reset();
    door_.reset();
  }

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Opens the listening socket; port 0 takes a free one.
  Status Listen(const sockaddr* address, socklen_t size) {
    const int on = 1;
    listener_.Reset(socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int fd = listener_.get();
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        bind(fd, address, size) < 0 || listen(fd, kBacklog) < 0) {
      return absl::UnavailableError(
          fmt::format("http.address {}: {}", options_.address, std::strerror(errno)));
    }
    return absl::OkStatus();
  }

  Status Prepare(const DoorShared& shared) {
    epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
    reports_.Reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    wake_.Reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (epoll_.get() < 0 || reports_.get() < 0 || wake_.get() < 0 ||
        !Watch(listener_.get(), EPOLLIN, &listener_) ||
        !Watch(reports_.get(), EPOLLIN, &reports_) || !Watch(wake_.get(), EPOLLIN, &wake_)) {
      return absl::InternalError(fmt::format("event loop: {}", std::strerror(errno)));
    }
    DEALSTREAM_ASSIGN_OR_RETURN(producer_, options_.make_producer(reports_.get()));
    door_ = std::make_unique<Door>(shared,
                                   number_,
                                   *producer_,
                                   std::max<size_t>(1, options_.max_in_flight / options_.threads));
    return absl::OkStatus();
  }

  void Start(obs::Health& health, std::function<void()> on_tick) {
    on_tick_ = std::move(on_tick);
    heartbeat_ = &health.AddLoop(fmt::format("http-{}", number_));
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), fmt::format("http-{}", number_).c_str());
      while (!stop_) {
        Turn();
      }
    });
  }

  // ---- Any thread ----

  void StartDraining() {
    Post([this] { group_.closing = true; });
  }

  void Drain() {
    Post([this] {
      AcceptAll();
      draining_ = true;
      listener_.Reset();
      for (auto it = all_.begin(); it != all_.end();) {
        Connection& connection = *it;
        ++it;
        connection.CloseSoon();
      }
    });
  }

  void Join() {
    if (thread_.joinable()) {
      Post([this] { stop_ = true; });
      thread_.join();
    }
  }

  bool connected() const { return connected_.load(std::memory_order_relaxed); }
  size_t connections() const { return connections_.load(std::memory_order_relaxed); }
  size_t in_flight() const { return door_->in_flight(); }

  // ---- Before Start and after Join ----

  int port() const {
    sockaddr_storage address{};
    socklen_t size = sizeof(address);
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);  // NOLINT
    return ntohs(address.ss_family == AF_INET6
                     ? reinterpret_cast<sockaddr_in6&>(address).sin6_port  // NOLINT
                     : reinterpret_cast<sockaddr_in&>(address).sin_port);  // NOLINT
  }
  kafka::Producer& producer() { return *producer_; }

  // ---- For connections ----

  const ServerOptions& options() const { return options_; }
  SessionGroup& group() { return group_; }
  Door& door() { return *door_; }
  WorkerMetrics& metrics() { return metrics_; }
  std::array<char, kReadBytes>& scratch() { return scratch_; }
  // A connection's session is at work on what is in `scratch`.
  bool parsing = false;

  void SetWait(Connection& connection, Connection::Wait wait) {
    connection.waiting_since = now_;
    connection.wait_hook.unlink();
    if (wait != Connection::kNone) {
      waiting_[wait].push_back(connection);
    }
  }

  // At the next turn.
  void ContinueLater(Connection& connection) { again_.push_back(&connection); }

  // Destroyed at the end of the turn.
  void Remove(Connection& connection) {
    all_.erase(all_.iterator_to(connection));
    connections_.store(all_.size(), std::memory_order_relaxed);
    closed_.push_back(&connection);
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

  bool Watch(int fd, uint32_t events, void* what) const {
    epoll_event event{};
    event.events = events;
    event.data.ptr = what;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void Post(std::function<void()> task) {
    {
      const std::lock_guard lock(tasks_mutex_);
      tasks_.push_back(std::move(task));
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_.get(), &one, sizeof(one));
  }

  void Turn() {
    std::array<epoll_event, 256> events{};
    const int count =
        epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), WaitMs());
    now_ = std::chrono::steady_clock::now();
    for (Connection* connection : std::exchange(again_, {})) {
      if (!connection->closed()) {
        connection->Continue();
      }
    }
    bool reports = false;
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.ptr == &listener_) {
        AcceptAll();
      } else if (event.data.ptr == &reports_) {
        Clear(reports_);
        reports = true;
      } else if (event.data.ptr == &wake_) {
        Clear(wake_);
        RunTasks();
      } else if (auto* connection = static_cast<Connection*>(event.data.ptr);
                 !connection->closed()) {
        connection->OnEvents(event.events);
      }
    }
    if (reports) {
      producer_->Poll();
    }
    if (now_ >= next_tick_) {
      next_tick_ = now_ + kTick;
      Tick();
    }
    FreeClosed();
  }

  int WaitMs() const {
    if (!again_.empty()) {
      return 0;
    }
    const auto left = next_tick_ - std::chrono::steady_clock::now();
    return static_cast<int>(std::clamp<int64_t>(
        std::chrono::ceil<std::chrono::milliseconds>(left).count(), 0, kTick.count()));
  }

  static void Clear(const Fd& fd) {
    uint64_t ignored = 0;
    [[maybe_unused]] const ssize_t n = read(fd.get(), &ignored, sizeof(ignored));
  }

  void RunTasks() {
    std::vector<std::function<void()>> tasks;
    {
      const std::lock_guard lock(tasks_mutex_);
      tasks.swap(tasks_);
    }
    for (const auto& task : tasks) {
      task();
    }
  }

  void AcceptAll() {
    for (int i = 0; i < kAcceptBurst; ++i) {
      const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          // The waiting ones stay in the kernel's queue until the next tick.
          Mute();
        }
        return;
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
      // What is there already is told at the next turn.
      Watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
      connection->Continue();
    }
  }

  void Mute() {
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
    muted_ = true;
  }

  void Tick() {
    heartbeat_->Beat();
    producer_->Poll();
    door_->Tick();
    connected_.store(producer_->Connected(), std::memory_order_relaxed);
    if (on_tick_) {
      on_tick_();
    }
    for (size_t wait = 0; wait < waiting_.size(); ++wait) {
      WaitList& list = waiting_[wait];
      while (!list.empty() && now_ - list.front().waiting_since >= timeouts_[wait]) {
        list.front().OnTimeout();
      }
    }
    if (std::exchange(muted_, false) && !draining_) {
      Watch(listener_.get(), EPOLLIN, &listener_);
    }
  }

  void FreeClosed() {
    if (closed_.empty()) {
      return;
    }
    std::erase_if(again_, [](const Connection* connection) { return connection->closed(); });
    for (Connection* connection : std::exchange(closed_, {})) {
      delete connection;  // NOLINT(cppcoreguidelines-owning-memory)
    }
  }

  const ServerOptions& options_;
  const size_t number_;
  WorkerMetrics& metrics_;
  const size_t max_connections_;
  obs::Health::Heartbeat* heartbeat_ = nullptr;
  std::function<void()> on_tick_;
  std::atomic<bool> connected_{false};
  std::atomic<size_t> connections_{0};
  std::mutex tasks_mutex_;
  std::vector<std::function<void()>> tasks_;

  // The loop's own.
  bool stop_ = false;
  bool draining_ = false;
  bool muted_ = false;
  SessionGroup group_;
  std::array<std::chrono::nanoseconds, Connection::kNone> timeouts_{};
  std::array<char, kReadBytes> scratch_{};
  SteadyTime now_ = std::chrono::steady_clock::now();
  SteadyTime next_tick_ = now_;
  Fd epoll_;
  Fd listener_;
  Fd reports_;
  Fd wake_;
  AllList all_;
  // By what they wait for, in the order of their deadlines.
  std::array<WaitList, Connection::kNone> waiting_;
  std::vector<Connection*> again_;
  std::vector<Connection*> closed_;
  std::unique_ptr<Door> door_;
  std::unique_ptr<kafka::Producer> producer_;
  std::thread thread_;
};

// ---- Connection -------------------------------------------------------------------------------

Connection::Connection(Worker& worker, int fd) : worker_(worker), fd_(fd) {
  session_.emplace(worker.options().limits, worker.group(), worker.door(), *this);
}

void Connection::OnEvents(uint32_t events) {
  readable_ = readable_ || (events & ~EPOLLOUT) != 0;
  ended_ = ended_ || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (!out_.empty() && (events & EPOLLOUT) != 0) {
    Flush();
  }
  Update();
}

void Connection::Write(std::string_view bytes) {
  if (broken_) {
    return;
  }
  if (out_.empty()) {
    const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      broken_ = true;
      return;
    }
    bytes.remove_prefix(sent < 0 ? 0 : static_cast<size_t>(sent));
  }
  out_.append(bytes);
}

void Connection::Flush() {
  const ssize_t sent = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) {
    broken_ = true;
  } else if (sent > 0) {
    out_.erase(0, static_cast<size_t>(sent));
    if (out_.empty()) {
      std::string().swap(out_);
    }
  }
}

// Nothing is read while an answer waits to be taken: a sender that doesn't read gets no more in.
bool Connection::WantsInput() const {
  return lingering_ || (out_.empty() && session_->wants_input());
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

// Reads what may be read, then looks at what the session waits for.
void Connection::Update() {
  for (int i = 0; !closed_ && !broken_ && readable_ && WantsInput(); ++i) {
    if (i == kReadBurst) {
      worker_.ContinueLater(*this);
      break;
    }
    ReadOnce();
  }
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
    shutdown(fd_.get(), SHUT_WR);
    lingering_ = true;
    if (readable_) {
      worker_.ContinueLater(*this);
    }
  }
  const Wait wait = WaitOf();
  if (wait != wait_ || session_->requests() != requests_seen_) {
    wait_ = wait;
    requests_seen_ = session_->requests();
    worker_.SetWait(*this, wait);
  }
}

void Connection::ReadOnce() {
  auto& scratch = worker_.scratch();
  const ssize_t n = recv(fd_.get(), scratch.data(), scratch.size(), MSG_DONTWAIT);
  if (n < 0 && errno == EINTR) {
    return;
  }
  if (n < 0 && errno == EAGAIN) {
    readable_ = false;
    return;
  }
  if (n <= 0) {
    Close();
    return;
  }
  // A read that doesn't fill the buffer has emptied the socket; but the other side's end, once
  // told, is not told again.
  readable_ = ended_ || static_cast<size_t>(n) == scratch.size();
  if (!lingering_) {
    worker_.parsing = true;
    session_->Input({scratch.data(), static_cast<size_t>(n)});
    worker_.parsing = false;
    return;
  }
  lingered_bytes_ += static_cast<size_t>(n);
  if (lingered_bytes_ > kLingerBytes) {
    Close();
  }
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

void Connection::Resumed() {
  // The door may answer one connection while it takes the request of another one.
  if (worker_.parsing) {
    worker_.ContinueLater(*this);
  } else {
    Update();
  }
}

void Connection::CloseSoon() {
  // What has come in already is answered.
  readable_ = true;
  Update();
  if (!closed_) {
    session_->CloseSoon();
    Update();
  }
}

void Connection::Close() {
  if (closed_) {
    return;
  }
  closed_ = true;
  wait_hook.unlink();
  // This may be in the midst of one of the session's calls, so it is destroyed later.
  fd_.Reset();
  worker_.Remove(*this);
}

// ---- Server -----------------------------------------------------------------------------------

class EpollServer final : public Server {
 public:
  EpollServer(const ServerOptions& options, obs::Metrics& metrics)
      : options_(options), metrics_(metrics) {}

  Status Start(const DoorShared& shared, obs::Health& health) {
    DEALSTREAM_ASSIGN_OR_RETURN(sockaddr_storage address, ParseAddress(options_.address));
    for (size_t i = 0; i < options_.threads; ++i) {
      workers_.push_back(std::make_unique<Worker>(options_, i, metrics_));
      DEALSTREAM_RETURN_IF_ERROR(workers_.back()->Listen(
          reinterpret_cast<const sockaddr*>(&address),  // NOLINT
          address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)));
      DEALSTREAM_RETURN_IF_ERROR(workers_.back()->Prepare(shared));
      port_ = workers_.back()->port();
      // The others share the first one's.
      SetPort(address, static_cast<uint16_t>(port_));
    }
    for (auto& worker : workers_) {
      std::function<void()> on_tick;
      if (worker == workers_.front() && options_.on_tick) {
        on_tick = [this] { options_.on_tick(*this); };
      }
      worker->Start(health, std::move(on_tick));
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
  static void SetPort(sockaddr_storage& address, uint16_t port) {
    if (address.ss_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(port);  // NOLINT
    } else {
      reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);  // NOLINT
    }
  }

  static Result<sockaddr_storage> ParseAddress(const std::string& text) {
    const size_t colon = text.rfind(':');
    std::string host = text.substr(0, std::min(colon, text.size()));
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    }
    int port = -1;
    sockaddr_storage address{};
    auto& v4 = reinterpret_cast<sockaddr_in&>(address);   // NOLINT
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address);  // NOLINT
    if (inet_pton(AF_INET, host.empty() ? "0.0.0.0" : host.c_str(), &v4.sin_addr) == 1) {
      address.ss_family = AF_INET;
    } else if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
      address.ss_family = AF_INET6;
    }
    if (colon == std::string::npos || address.ss_family == 0 ||
        !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 0 || port > 65535) {
      return absl::InvalidArgumentError(
          fmt::format("http.address: \"{}\", want a numeric host and a port (0.0.0.0:8080)", text));
    }
    SetPort(address, static_cast<uint16_t>(port));
    return address;
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
  auto server = std::make_unique<EpollServer>(options, metrics);
  DEALSTREAM_RETURN_IF_ERROR(server->Start(shared, health));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace dealstream::ingest
