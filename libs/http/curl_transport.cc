#include "libs/http/curl_transport.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <future>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "libs/base/strings.h"
#include "libs/http/address.h"
#include "libs/http/inflate.h"

namespace dealstream::http {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kMaxHeaderBytes = 128 << 10;
constexpr size_t kMaxIdleHandles = 32;
constexpr auto kConnectTimeout = std::chrono::seconds(5);
constexpr int kPollMs = 1000;

struct Target {
  std::string host;
  // The host is one of the allowed suffixes or below one.
  bool allowed_host = false;
  bool plain = false;
  int port = 443;
};

Status NotAllowed(std::string_view operation, std::string_view host, std::string_view why) {
  return WithReason(absl::PermissionDeniedError(fmt::format("{} {}: {}", operation, host, why)),
                    "host_not_allowed");
}

// Whether `host` is `suffix` or a name below it.
bool UnderSuffix(std::string_view host, std::string_view suffix) {
  if (!host.ends_with(suffix)) {
    return false;
  }
  return host.size() == suffix.size() || host[host.size() - suffix.size() - 1] == '.';
}

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;

// Empty when the URL has no such part.
std::string PartOf(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK || text == nullptr) {
    return {};
  }
  std::string copy = text;
  curl_free(text);
  return copy;
}

bool HasPart(const Url& url, CURLUPart part) {
  char* text = nullptr;
  const bool has = curl_url_get(url.get(), part, &text, 0) == CURLUE_OK;
  curl_free(text);
  return has;
}

struct SlistDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Slist = std::unique_ptr<curl_slist, SlistDeleter>;

void Append(Slist& list, const std::string& line) {
  curl_slist* longer = curl_slist_append(list.get(), line.c_str());
  if (longer != nullptr) {
    (void)list.release();
    list.reset(longer);
  }
}

bool IsHeaderSafe(std::string_view text) {
  return std::none_of(
      text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

// One request under way. Made by the caller, then owned by the transport's thread.
struct Transfer {
  const Request& request;
  Target target;
  bool loopback_allowed = false;
  int64_t max_response_bytes = 0;
  SteadyClock::time_point deadline;
  std::promise<Result<Response>> promise;

  Easy easy;
  Slist headers;
  Response response;
  size_t header_bytes = 0;
  std::optional<BodyDecoder> decoder;
  // Why the transfer was broken off by a callback of ours.
  Status broken;
  bool address_tried = false;
  bool address_refused = false;
  bool started = false;

  explicit Transfer(const Request& sent) : request(sent) {}

  Status Error(const Status& status) const {
    return Annotate(status, fmt::format("{} {}", request.operation, target.host));
  }

  bool MayConnect(const sockaddr& address) const {
    switch (KindOfAddress(address)) {
      case AddressKind::kPublic:
        // Plain HTTP and odd ports are for loopback only.
        return target.allowed_host && !target.plain && target.port == 443;
      case AddressKind::kLoopback:
        return loopback_allowed;
      case AddressKind::kForbidden:
        return false;
    }
    return false;
  }
};

// The last look before a connection is made, at the very address it will go to: whatever a name
// resolved to earlier doesn't matter.
curl_socket_t OpenSocket(void* user, curlsocktype, curl_sockaddr* address) {
  auto* transfer = static_cast<Transfer*>(user);
  if (!transfer->MayConnect(address->addr)) {
    transfer->address_refused = true;
    return CURL_SOCKET_BAD;
  }
  transfer->address_tried = true;
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

size_t OnHeader(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  const std::string_view line(data, size * count);
  transfer->header_bytes += line.size();
  if (transfer->header_bytes > kMaxHeaderBytes) {
    transfer->broken = WithReason(
        absl::DataLossError(fmt::format("headers larger than {} bytes", kMaxHeaderBytes)),
        "answer_too_large");
    return 0;
  }
  if (line.starts_with("HTTP/")) {
    // The final answer follows an interim one (100, 103).
    transfer->response.headers.clear();
    return line.size();
  }
  const size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    transfer->response.headers.emplace_back(
        absl::AsciiStrToLower(ToAbsl(line.substr(0, colon))),
        std::string(absl::StripAsciiWhitespace(ToAbsl(line.substr(colon + 1)))));
  }
  return line.size();
}

size_t OnBody(char* data, size_t size, size_t count, void* user) {
  auto* transfer = static_cast<Transfer*>(user);
  if (!transfer->decoder) {
    transfer->decoder.emplace(FindHeader(transfer->response.headers, "content-encoding"),
                              transfer->max_response_bytes);
  }
  transfer->broken = transfer->decoder->Add({data, size * count});
  return transfer->broken.ok() ? size * count : 0;
}

Status StatusOf(CURLcode code) {
  const std::string text = curl_easy_strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return absl::DeadlineExceededError(text);
    case CURLE_OUT_OF_MEMORY:
      // What curl says of a header line that is larger than it takes (100 KB).
      return WithReason(absl::DataLossError("header too large"), "answer_too_large");
    case CURLE_URL_MALFORMAT:
      return absl::InvalidArgumentError(text);
    default:
      return absl::UnavailableError(text);
  }
}

long ToMs(SteadyClock::duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<long>(std::max<int64_t>(1, ms));
}

}  // namespace

struct CurlTransport::Impl {
  explicit Impl(CurlOptions given) : options(std::move(given)) {}

  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    curl_multi_wakeup(multi);
    if (thread.joinable()) {
      thread.join();
    }
    curl_multi_cleanup(multi);
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Start() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    multi = curl_multi_init();
    if (multi == nullptr) {
      return absl::InternalError("curl transport: no multi handle");
    }
    const long connections = std::max(1, options.max_connections_per_host);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    thread = std::thread([this] { Run(); });
    return absl::OkStatus();
  }

  Result<Target> CheckUrl(const Request& request) const;
  Status Prepare(Transfer& transfer);
  Result<Response> Send(const Request& request);

  // What follows runs in `thread`.
  void Run();
  void TakeNew();
  void Begin(std::unique_ptr<Transfer> transfer);
  void TakeFinished();
  void DropLate();
  void Finish(Transfer& transfer, Result<Response> result);
  Result<Response> Outcome(Transfer& transfer, CURLcode code);
  int PollMs() const;

  const CurlOptions options;
  CURLM* multi = nullptr;
  std::mutex mutex;
  // Guarded by `mutex`: handed over by callers.
  std::deque<std::unique_ptr<Transfer>> fresh;
  bool stopping = false;
  // Of `thread` alone.
  std::list<std::unique_ptr<Transfer>> running;
  std::vector<Easy> idle;
  // Last, so that it stops first.
  std::thread thread;
};

Result<Target> CurlTransport::Impl::CheckUrl(const Request& request) const {
  const Url url(curl_url());
  // The text stays out of all errors: it may hold a secret.
  if (curl_url_set(url.get(), CURLUPART_URL, request.url.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
      CURLUE_OK) {
    return absl::InvalidArgumentError(fmt::format("{}: not an absolute URL", request.operation));
  }
  Target target;
  target.host = absl::AsciiStrToLower(PartOf(url, CURLUPART_HOST));
  const std::string scheme = PartOf(url, CURLUPART_SCHEME);
  target.plain = scheme == "http";
  if (!absl::SimpleAtoi(PartOf(url, CURLUPART_PORT, CURLU_DEFAULT_PORT), &target.port)) {
    target.port = 0;
  }
  target.allowed_host = std::any_of(
      options.allowed_host_suffixes.begin(),
      options.allowed_host_suffixes.end(),
      [&target](const std::string& suffix) { return UnderSuffix(target.host, suffix); });
  const std::string_view operation = request.operation;
  if (HasPart(url, CURLUPART_USER) || HasPart(url, CURLUPART_PASSWORD)) {
    return NotAllowed(operation, target.host, "the URL has a user or a password");
  }
  if (scheme != "https" && !(target.plain && options.allow_loopback)) {
    return NotAllowed(operation, target.host, "the scheme is not https");
  }
  if (!options.allow_loopback) {
    if (target.port != 443) {
      return NotAllowed(operation, target.host, fmt::format("port {}, want 443", target.port));
    }
    if (!target.allowed_host) {
      return NotAllowed(operation, target.host, "not among the allowed host suffixes");
    }
  }
  return target;
}

Status CurlTransport::Impl::Prepare(Transfer& transfer) {
  const Request& request = transfer.request;
  bool has_encoding = false;
  bool has_type = false;
  bool has_agent = false;
  for (const auto& [name, value] : request.headers) {
    if (name.empty() || !IsHeaderSafe(name) || !IsHeaderSafe(value)) {
      return transfer.Error(absl::InvalidArgumentError("a header has a line break or no name"));
    }
    has_encoding = has_encoding || absl::EqualsIgnoreCase(name, "accept-encoding");
    has_type = has_type || absl::EqualsIgnoreCase(name, "content-type");
    has_agent = has_agent || absl::EqualsIgnoreCase(name, "user-agent");
    // "Name;" is curl's way to send a header without a value.
    Append(transfer.headers, value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  }
  if (!has_encoding) {
    Append(transfer.headers, "Accept-Encoding: gzip, deflate");
  }
  if (!has_type) {
    // Else curl calls every body a form.
    Append(transfer.headers, "Content-Type:");
  }
  if (!has_agent) {
    Append(transfer.headers, "User-Agent: Dealstream");
  }
  Append(transfer.headers, "Expect:");
  return absl::OkStatus();
}

Result<Response> CurlTransport::Impl::Send(const Request& request) {
  auto transfer = std::make_unique<Transfer>(request);
  DEALSTREAM_ASSIGN_OR_RETURN(transfer->target, CheckUrl(request));
  transfer->loopback_allowed = options.allow_loopback;
  transfer->max_response_bytes = options.max_response_bytes;
  transfer->deadline = SteadyClock::now() + absl::ToChronoNanoseconds(request.timeout);
  DEALSTREAM_RETURN_IF_ERROR(Prepare(*transfer));
  std::future<Result<Response>> future = transfer->promise.get_future();
  {
    std::lock_guard lock(mutex);
    if (stopping) {
      return transfer->Error(absl::CancelledError("the transport is stopping"));
    }
    fresh.push_back(std::move(transfer));
  }
  curl_multi_wakeup(multi);
  return future.get();
}

void CurlTransport::Impl::Run() {
  while (true) {
    {
      std::lock_guard lock(mutex);
      if (stopping) {
        break;
      }
    }
    TakeNew();
    int count = 0;
    curl_multi_perform(multi, &count);
    TakeFinished();
    DropLate();
    curl_multi_poll(multi, nullptr, 0, PollMs(), nullptr);
  }
  TakeNew();
  for (auto& transfer : running) {
    Finish(*transfer, transfer->Error(absl::CancelledError("the transport is stopping")));
  }
  running.clear();
}

int CurlTransport::Impl::PollMs() const {
  int wait = kPollMs;
  const auto now = SteadyClock::now();
  for (const auto& transfer : running) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(transfer->deadline - now);
    wait = static_cast<int>(std::clamp<int64_t>(left.count(), 0, wait));
  }
  return wait;
}

void CurlTransport::Impl::TakeNew() {
  std::deque<std::unique_ptr<Transfer>> taken;
  {
    std::lock_guard lock(mutex);
    taken.swap(fresh);
  }
  for (auto& transfer : taken) {
    Begin(std::move(transfer));
  }
}

void CurlTransport::Impl::Begin(std::unique_ptr<Transfer> transfer) {
  if (idle.empty()) {
    idle.emplace_back(curl_easy_init());
  }
  transfer->easy = std::move(idle.back());
  idle.pop_back();
  CURL* easy = transfer->easy.get();
  const Request& request = transfer->request;
  const long left = ToMs(transfer->deadline - SteadyClock::now());
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer.get());
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, options.allow_loopback ? "http,https" : "https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  // Empty: no proxy, whatever the environment says. The guard sees only the first hop.
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, left);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, std::min(left, ToMs(kConnectTimeout)));
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &OpenSocket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer.get());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers.get());
  // Curl sends again by itself when a kept connection turns out to be dead.
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request.idempotent ? 0L : 1L);
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(
        easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  if (request.method != "HEAD") {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  const CURLMcode code = curl_multi_add_handle(multi, easy);
  transfer->started = code == CURLM_OK;
  running.push_back(std::move(transfer));
  if (code != CURLM_OK) {
    Finish(*running.back(), absl::InternalError(curl_multi_strerror(code)));
    running.pop_back();
  }
}

void CurlTransport::Impl::TakeFinished() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) {
      continue;
    }
    const CURLcode code = message->data.result;
    char* pointer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &pointer);
    auto* transfer = reinterpret_cast<Transfer*>(pointer);
    Finish(*transfer, Outcome(*transfer, code));
    running.remove_if([transfer](const auto& item) { return item.get() == transfer; });
  }
}

// Curl's own timeout doesn't count the time a transfer waits for a free connection.
void CurlTransport::Impl::DropLate() {
  const auto now = SteadyClock::now();
  for (auto it = running.begin(); it != running.end();) {
    Transfer& transfer = **it;
    if (transfer.deadline > now) {
      ++it;
      continue;
    }
    Finish(transfer, transfer.Error(absl::DeadlineExceededError("no answer in time")));
    it = running.erase(it);
  }
}

Result<Response> CurlTransport::Impl::Outcome(Transfer& transfer, CURLcode code) {
  if (!transfer.broken.ok()) {
    return transfer.Error(std::exchange(transfer.broken, absl::OkStatus()));
  }
  if (code != CURLE_OK) {
    if (transfer.address_refused && !transfer.address_tried) {
      return NotAllowed(transfer.request.operation,
                        transfer.target.host,
                        "resolves to an address that may not be called");
    }
    return transfer.Error(StatusOf(code));
  }
  long status = 0;
  curl_easy_getinfo(transfer.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  transfer.response.status = static_cast<int>(status);
  if (transfer.decoder) {
    auto body = transfer.decoder->Finish();
    if (!body.ok()) {
      return transfer.Error(body.status());
    }
    transfer.response.body = *std::move(body);
  }
  return std::move(transfer.response);
}

void CurlTransport::Impl::Finish(Transfer& transfer, Result<Response> result) {
  if (transfer.started) {
    curl_multi_remove_handle(multi, transfer.easy.get());
  }
  if (idle.size() < kMaxIdleHandles) {
    curl_easy_reset(transfer.easy.get());
    idle.push_back(std::move(transfer.easy));
  }
  // The caller's request may be gone from here on.
  transfer.promise.set_value(std::move(result));
}

CurlTransport::CurlTransport(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CurlTransport::~CurlTransport() = default;

Result<std::unique_ptr<CurlTransport>> CurlTransport::Create(CurlOptions options) {
  for (std::string& suffix : options.allowed_host_suffixes) {
    suffix = absl::AsciiStrToLower(absl::StripPrefix(suffix, "."));
    if (suffix.empty()) {
      return absl::InvalidArgumentError("curl transport: an allowed host suffix is empty");
    }
  }
  auto impl = std::make_unique<Impl>(std::move(options));
  DEALSTREAM_RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<CurlTransport>(new CurlTransport(std::move(impl)));
}

Result<Response> CurlTransport::Send(const Request& request) { return impl_->Send(request); }

}  // namespace dealstream::http
