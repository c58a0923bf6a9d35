#include "services/webhook-ingest/door.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include "libs/base/strings.h"
#include "libs/obs/log.h"
#include "services/webhook-ingest/notice_bytes.h"

namespace dealstream::ingest {
namespace {

constexpr std::string_view kHookPath = "/hook/";
// Memory for a value that a notice not in use may keep.
constexpr size_t kKeptValueBytes = 16 << 10;

bool IsMethodTaken(std::string_view method) {
  return method == "POST" || method == "GET" || method == "PUT";
}

// What tells a repeat of the same webhook, in two steps: enough of it, for the rest would cost time
// on each.
uint64_t HeadFingerprint(std::string_view integration_id, std::string_view query) {
  return absl::HashOf(integration_id, query);
}
uint64_t Fingerprint(uint64_t head, std::string_view body) {
  constexpr size_t kPart = 64;
  const std::string_view tail = body.size() > kPart ? body.substr(body.size() - kPart) : "";
  return absl::HashOf(head, body.size(), body.substr(0, kPart), tail);
}

// The brokers or the client can't ever take this record, as opposed to not now.
bool IsRefusal(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kResourceExhausted:
      return false;
    default:
      return true;
  }
}

std::string_view ParentOf(const RequestHead& head) {
  constexpr std::string_view kName = "traceparent";
  for (const HeaderView& header : head.headers) {
    if (header.name.size() == kName.size() &&
        absl::EqualsIgnoreCase(ToAbsl(header.name), ToAbsl(kName))) {
      return header.value;
    }
  }
  return "";
}

AnswerSpec ErrorSpec(int status, std::string_view reason) {
  return {.status = status, .reason = std::string(reason)};
}

AnswerSpec AcceptedSpec(const crm::NoticeReply& reply) {
  std::string_view reason = "Accepted";
  if (reply.status == 200) {
    reason = "OK";
  } else if (reply.status == 204) {
    reason = "No Content";
  }
  return {.status = reply.status,
          .reason = std::string(reason),
          .content_type = reply.content_type,
          .body = reply.body,
          .has_notice_id = true};
}

}  // namespace

// ---- Metrics ----------------------------------------------------------------------------------

HttpMetrics::HttpMetrics(obs::Metrics& metrics) {
  constexpr std::array<std::string_view, 2> kRoutes = {"/hook", "other"};
  for (size_t route = 0; route < kRoutes.size(); ++route) {
    duration_[route] =
        &metrics.GetHistogram("http_request_duration_seconds", {{"route", kRoutes[route]}});
    for (size_t method = 0; method < kMethods.size(); ++method) {
      for (size_t code = 0; code < kCodes.size(); ++code) {
        requests_[route][method][code] = &metrics.GetCounter(
            "http_requests_total",
            {{"route", kRoutes[route]}, {"method", kMethods[method]}, {"code", kCodes[code]}});
      }
    }
  }
}

void HttpMetrics::Count(Route route, size_t method, int status) const {
  requests_[route][method][static_cast<size_t>(status / 100 - 1)]->Increment();
}

void HttpMetrics::Observe(Route route, absl::Duration duration) const {
  duration_[route]->Observe(absl::ToDoubleSeconds(duration));
}

size_t HttpMetrics::MethodIndex(std::string_view method) {
  const auto* it = std::find(kMethods.begin(), kMethods.end() - 1, method);
  return static_cast<size_t>(it - kMethods.begin());
}

// ---- A notice under way -----------------------------------------------------------------------

class Door::Notice final : public RequestHandler {
 public:
  explicit Notice(Door& owner) : door(owner) {}

  void OnBody(std::string_view body) override { door.OnBody(this, body); }
  void OnFailed(HttpError error) override { door.OnFailed(this, error); }

  enum class State {
    kReading,    // The body is coming in.
    kHeld,       // Whole; waits for the retry of another one of its key.
    kSent,       // The report is awaited, and by the session the answer.
    kAbandoned,  // The report is awaited, the session was answered or is gone.
  };

  Door& door;
  State state = State::kReading;
  HttpSession* session = nullptr;
  const Crm* crm = nullptr;
  size_t method = 0;
  bool active = false;
  std::array<char, 26> id{};
  std::string integration_id;
  std::string key;
  std::string value;
  std::string traceparent;
  uint64_t fingerprint = 0;
  uint64_t ticket = 0;
  std::string_view id_text() const { return {id.data(), id.size()}; }
  OrderKey order_key() const { return {crm->topic, key}; }

  absl::Time started;
  absl::Time whole;
  absl::Time deadline;
  AwaitingHook awaiting;
  AwaitingHook held;
};

struct Door::Lists {
  using Awaiting = boost::intrusive::
      list<Notice, boost::intrusive::member_hook<Notice, AwaitingHook, &Notice::awaiting>>;
  using Held =
      boost::intrusive::list<Notice,
                             boost::intrusive::member_hook<Notice, AwaitingHook, &Notice::held>>;

  // By CRM: its patience is the same for all of its notices, so the first is due first.
  std::vector<Awaiting> awaiting;
  Held held;
  std::deque<std::unique_ptr<Notice>> all;
  std::vector<Notice*> free;
};

struct Door::Answers {
  Answers(const Crms& crms, absl::Duration retry_after, const DateText& date)
      : bad_request(ErrorSpec(400, "Bad Request"), date),
        not_found(ErrorSpec(404, "Not Found"), date),
        wrong_method({.status = 405,
                      .reason = "Method Not Allowed",
                      .headers = {{"Allow", "GET, POST, PUT"}}},
                     date),
        timeout(ErrorSpec(408, "Request Timeout"), date),
        too_large(ErrorSpec(413, "Content Too Large"), date),
        expectation(ErrorSpec(417, "Expectation Failed"), date),
        headers_too_large(ErrorSpec(431, "Request Header Fields Too Large"), date),
        not_implemented(ErrorSpec(501, "Not Implemented"), date),
        unavailable(
            {.status = 503,
             .reason = "Service Unavailable",
             .headers = {{"Retry-After", fmt::format("{}", absl::ToInt64Seconds(retry_after))}}},
            date) {
    for (size_t i = 0; i < crms.size(); ++i) {
      accepted.emplace_back(AcceptedSpec(crms.at(static_cast<uint32_t>(i)).reply), date);
    }
  }

  PreparedAnswer bad_request;
  PreparedAnswer not_found;
  PreparedAnswer wrong_method;
  PreparedAnswer timeout;
  PreparedAnswer too_large;
  PreparedAnswer expectation;
  PreparedAnswer headers_too_large;
  PreparedAnswer not_implemented;
  PreparedAnswer unavailable;
  // By CRM.
  std::deque<PreparedAnswer> accepted;
};

// ---- The door ---------------------------------------------------------------------------------

Door::Door(const DoorShared& shared, size_t reader, kafka::Producer& producer, size_t max_in_flight)
    : shared_(shared), reader_(reader), producer_(producer), max_in_flight_(max_in_flight) {
  RenewDate(shared_.clock.Now());
  answers_ = std::make_unique<Answers>(shared_.crms, shared_.retry_after, date_);
  lists_ = std::make_unique<Lists>();
  lists_->awaiting.resize(shared_.crms.size());
}

Door::~Door() {
  for (auto& list : lists_->awaiting) {
    list.clear();
  }
  lists_->held.clear();
}

RequestHandler* Door::OnHead(HttpSession& session, const RequestHead& head) {
  if (head.path.substr(0, kHookPath.size()) != kHookPath) {
    AnswerHead(session, head, HttpMetrics::kOther, answers_->not_found);
    return nullptr;
  }
  if (!shared_.tokens_complete.load(std::memory_order_acquire)) {
    AnswerHead(session, head, HttpMetrics::kHook, answers_->unavailable);
    return nullptr;
  }
  const TokenDigest digest = hasher_.DigestOf(head.path.substr(kHookPath.size()));
  const TokenTable::Lease lease(shared_.tokens, reader_);
  const TokenTarget* target = lease.Find(digest);
  if (target == nullptr) {
    AnswerHead(session, head, HttpMetrics::kHook, answers_->not_found);
    return nullptr;
  }
  // After the token: what asks with another method whether a webhook is known stores nothing.
  if (!IsMethodTaken(head.method)) {
    AnswerHead(session, head, HttpMetrics::kHook, answers_->wrong_method);
    return nullptr;
  }
  const Crm& crm = shared_.crms.at(target->crm);
  crm.received->Increment();
  Notice* notice = NewNotice(session, crm, *target);
  notice->method = HttpMetrics::MethodIndex(head.method);
  if (!shared_.crms.IsKnown(target->crm) || in_flight() >= max_in_flight_) {
    Refuse(notice, shared_.crms.IsKnown(target->crm) ? Refusal::kBusy : Refusal::kUnknownCrm);
    return nullptr;
  }
  if (notice->active) {
    notice->fingerprint = HeadFingerprint(notice->integration_id, head.query);
    notice->traceparent = ids_.Traceparent(ParentOf(head));
    AppendNoticeHead(notice->id_text(), crm.id, *target, head, crm.kept_headers, &notice->value);
  }
  return notice;
}

void Door::OnError(HttpSession& session, HttpError error) {
  PreparedAnswer& answer = ErrorAnswer(error);
  shared_.metrics.Count(HttpMetrics::kOther, HttpMetrics::MethodIndex(""), answer.status());
  session.Answer(answer);
}

void Door::AnswerHead(HttpSession& session,
                      const RequestHead& head,
                      HttpMetrics::Route route,
                      PreparedAnswer& answer) {
  shared_.metrics.Count(route, HttpMetrics::MethodIndex(head.method), answer.status());
  session.Answer(answer);
}

Door::Notice* Door::NewNotice(HttpSession& session, const Crm& crm, const TokenTarget& target) {
  if (lists_->free.empty()) {
    lists_->all.push_back(std::make_unique<Notice>(*this));
    lists_->free.push_back(lists_->all.back().get());
  }
  Notice* notice = lists_->free.back();
  lists_->free.pop_back();
  notice->state = Notice::State::kReading;
  notice->session = &session;
  notice->crm = &crm;
  notice->active = target.active;
  notice->integration_id = target.integration_id;
  notice->key = target.crm_account_id;
  notice->started = shared_.clock.Now();
  const std::string_view id = ids_.Ulid(notice->started);
  std::copy(id.begin(), id.end(), notice->id.begin());
  return notice;
}

void Door::Free(Notice* notice) {
  if (notice->awaiting.is_linked()) {
    auto& list = lists_->awaiting[static_cast<size_t>(notice->crm - &shared_.crms.at(0))];
    list.erase(list.iterator_to(*notice));
    in_flight_.fetch_sub(1, std::memory_order_relaxed);
  }
  if (notice->held.is_linked()) {
    lists_->held.erase(lists_->held.iterator_to(*notice));
  }
  notice->session = nullptr;
  notice->value.clear();
  if (notice->value.capacity() > kKeptValueBytes) {
    std::string().swap(notice->value);
  }
  lists_->free.push_back(notice);
}

void Door::OnBody(Notice* notice, std::string_view body) {
  const absl::Time now = shared_.clock.Now();
  notice->whole = now;
  if (!notice->active) {
    Refuse(notice, Refusal::kInactive);
    return;
  }
  AppendNoticeBody(body, now, &notice->value);
  notice->fingerprint = Fingerprint(notice->fingerprint, body);
  notice->deadline = now + notice->crm->answer_within;
  lists_->awaiting[static_cast<size_t>(notice->crm - &shared_.crms.at(0))].push_back(*notice);
  in_flight_.fetch_add(1, std::memory_order_relaxed);
  if (!lists_->held.empty()) {
    ReleaseHeld(now);
  }
  if (releasing_ || !shared_.order.MayPass(notice->order_key(), notice->fingerprint, now)) {
    notice->state = Notice::State::kHeld;
    lists_->held.push_back(*notice);
    return;
  }
  Send(notice);
}

void Door::Send(Notice* notice) {
  notice->state = Notice::State::kSent;
  notice->ticket = shared_.order.NextTicket();
  const kafka::OutRecord& record = record_.Fill({.topic = notice->crm->topic,
                                                 .crm = notice->crm->id,
                                                 .integration_id = notice->integration_id,
                                                 .crm_account_id = notice->key,
                                                 .notice_id = notice->id_text(),
                                                 .traceparent = notice->traceparent,
                                                 .time = notice->whole},
                                                notice->value);
  const Status status = producer_.SendCopy(
      record, [this, notice](const Result<kafka::Position>& report) { OnReport(notice, report); });
  if (status.ok()) {
    return;
  }
  if (absl::IsResourceExhausted(status)) {
    Refuse(notice, Refusal::kQueueFull);
  } else {
    OnReport(notice, status);
  }
}

void Door::OnReport(Notice* notice, const Result<kafka::Position>& report) {
  const absl::Time now = shared_.clock.Now();
  if (report.ok()) {
    const bool in_order =
        shared_.order.OnStored(notice->order_key(), notice->ticket, notice->fingerprint, now);
    if (notice->state == Notice::State::kAbandoned) {
      Free(notice);
    } else if (in_order) {
      Accept(notice, /*stored=*/true, now);
    } else {
      Refuse(notice, Refusal::kOvertook);
    }
    return;
  }
  const bool refused = IsRefusal(report.status());
  shared_.order.OnFailed(notice->order_key(), notice->ticket, notice->fingerprint, refused, now);
  if (refused) {
    obs::Error("notice_refused",
               report.status().ToString(),
               {{"crm", notice->crm->id},
                {"integration_id", notice->integration_id},
                {"event_id", notice->id_text()}});
  }
  if (notice->state == Notice::State::kAbandoned) {
    Free(notice);
    return;
  }
  Refuse(notice, refused ? Refusal::kBrokerRefused : Refusal::kBrokerAway);
}

void Door::OnFailed(Notice* notice, HttpError error) {
  if (notice->state == Notice::State::kSent) {
    // Only kGone comes in this state. The record is under way and its fate still counts.
    notice->session = nullptr;
    return;
  }
  notice->whole = shared_.clock.Now();
  switch (error) {
    case HttpError::kGone:
      notice->crm->refused[static_cast<size_t>(Refusal::kAborted)]->Increment();
      Free(notice);
      return;
    case HttpError::kBodyTooLarge:
      return Refuse(notice, Refusal::kTooLarge);
    case HttpError::kTimeout:
      return Refuse(notice, Refusal::kSlow);
    case HttpError::kNoMemory:
      return Refuse(notice, Refusal::kBusy);
    case HttpError::kBadRequest:
    case HttpError::kExpectation:
    case HttpError::kHeadersTooLarge:
    case HttpError::kNotImplemented:
      return Refuse(notice, Refusal::kBadRequest);
  }
}

void Door::Accept(Notice* notice, bool stored, absl::Time now) {
  const Crm& crm = *notice->crm;
  if (stored) {
    crm.accepted->Increment();
  }
  crm.ack_seconds->Observe(absl::ToDoubleSeconds(now - notice->whole));
  Detach(notice, answers_->accepted[static_cast<size_t>(&crm - &shared_.crms.at(0))], true, now);
}

void Door::Refuse(Notice* notice, Refusal refusal) {
  const absl::Time now = shared_.clock.Now();
  notice->crm->refused[static_cast<size_t>(refusal)]->Increment();
  switch (refusal) {
    case Refusal::kInactive:
      return Accept(notice, /*stored=*/false, now);
    case Refusal::kTooLarge:
      return Detach(notice, answers_->too_large, false, now);
    case Refusal::kSlow:
      return Detach(notice, answers_->timeout, false, now);
    case Refusal::kBadRequest:
      return Detach(notice, answers_->bad_request, false, now);
    default:
      return Detach(notice, answers_->unavailable, false, now);
  }
}

// Answers the notice's session, if it is still there, and frees the notice, unless its report is
// still to come.
void Door::Detach(Notice* notice, PreparedAnswer& answer, bool with_id, absl::Time now) {
  HttpSession* session = std::exchange(notice->session, nullptr);
  const std::array<char, 26> id = notice->id;
  if (session != nullptr) {
    shared_.metrics.Count(HttpMetrics::kHook, notice->method, answer.status());
    shared_.metrics.Observe(HttpMetrics::kHook, now - notice->started);
  }
  if (notice->state != Notice::State::kAbandoned) {
    Free(notice);
  }
  if (session != nullptr) {
    session->Answer(answer, with_id ? std::string_view(id.data(), id.size()) : "");
  }
}

void Door::Tick() {
  const absl::Time now = shared_.clock.Now();
  RenewDate(now);
  for (auto& list : lists_->awaiting) {
    while (!list.empty() && list.front().deadline <= now) {
      Notice& notice = list.front();
      if (notice.state == Notice::State::kSent) {
        // The report is still to come; only then is the notice free.
        notice.state = Notice::State::kAbandoned;
        list.pop_front();
        in_flight_.fetch_sub(1, std::memory_order_relaxed);
      }
      Refuse(&notice, Refusal::kBrokerAway);
    }
  }
  ReleaseHeld(now);
}

void Door::ReleaseHeld(absl::Time now) {
  if (std::exchange(releasing_, true)) {
    return;
  }
  for (auto it = lists_->held.begin(); it != lists_->held.end();) {
    Notice& notice = *it;
    ++it;
    if (shared_.order.MayPass(notice.order_key(), notice.fingerprint, now)) {
      lists_->held.erase(lists_->held.iterator_to(notice));
      Send(&notice);
    }
  }
  releasing_ = false;
}

PreparedAnswer& Door::ErrorAnswer(HttpError error) {
  switch (error) {
    case HttpError::kTimeout:
      return answers_->timeout;
    case HttpError::kBodyTooLarge:
      return answers_->too_large;
    case HttpError::kExpectation:
      return answers_->expectation;
    case HttpError::kHeadersTooLarge:
      return answers_->headers_too_large;
    case HttpError::kNotImplemented:
      return answers_->not_implemented;
    case HttpError::kNoMemory:
      return answers_->unavailable;
    case HttpError::kBadRequest:
    case HttpError::kGone:
      break;
  }
  return answers_->bad_request;
}

void Door::RenewDate(absl::Time now) {
  const int64_t second = absl::ToUnixSeconds(now);
  if (second == date_second_) {
    return;
  }
  date_second_ = second;
  const std::string text =
      absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", now, absl::UTCTimeZone());
  std::copy_n(text.begin(), std::min(text.size(), date_.size()), date_.begin());
}

}  // namespace dealstream::ingest
