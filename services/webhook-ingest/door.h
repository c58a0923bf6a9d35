#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include <boost/intrusive/list.hpp>

#include "libs/base/clock.h"
#include "libs/kafka/kafka.h"
#include "libs/obs/metrics.h"
#include "services/webhook-ingest/answer.h"
#include "services/webhook-ingest/crms.h"
#include "services/webhook-ingest/http_session.h"
#include "services/webhook-ingest/id_source.h"
#include "services/webhook-ingest/key_order.h"
#include "services/webhook-ingest/notice_record.h"
#include "services/webhook-ingest/token_hasher.h"
#include "services/webhook-ingest/token_table.h"

namespace dealstream::ingest {

// Handles of http_requests_total and http_request_duration_seconds, taken at start. Shared by all
// threads.
class HttpMetrics {
 public:
  explicit HttpMetrics(obs::Metrics& metrics);
  enum Route { kHook, kOther };
  void Count(Route route, size_t method, int status) const;
  void Observe(Route route, absl::Duration duration) const;
  // Index for Count.
  static size_t MethodIndex(std::string_view method);

 private:
  static constexpr std::array<std::string_view, 4> kMethods = {"GET", "POST", "PUT", "other"};
  static constexpr std::array<std::string_view, 5> kCodes = {"1xx", "2xx", "3xx", "4xx", "5xx"};
  std::array<std::array<std::array<prometheus::Counter*, kCodes.size()>, kMethods.size()>, 2>
      requests_{};
  std::array<prometheus::Histogram*, 2> duration_{};
};

// What all doors of the process share; outlives them.
struct DoorShared {
  const Clock& clock;
  const Crms& crms;
  const TokenTable& tokens;
  // The table has caught up: a token that isn't in it doesn't exist.
  const std::atomic<bool>& tokens_complete;
  KeyOrder& order;
  const HttpMetrics& metrics;
  absl::Duration retry_after;
};

// From requests to stored notices: one door for each event loop, with a producer and a reader of
// the token table of its own. Belongs to the loop's thread, except in_flight.
//
// A request with a known token ends in exactly one of: accepted (its record was acknowledged by all
// in-sync replicas), or one of Refusal; the counters add up to the received ones.
class Door final : public HttpHandler {
 public:
  // `reader`: the thread's number in the token table. The producer reports on this thread only
  // (manual_poll), and is destroyed before the door.
  Door(const DoorShared& shared, size_t reader, kafka::Producer& producer, size_t max_in_flight);
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  RequestHandler* OnHead(HttpSession& session, const RequestHead& head) override;
  void OnError(HttpSession& session, HttpError error) override;

  // To be called every 10 to 50 ms: answers what has waited for too long, lets go on what was held
  // up, renews the date.
  void Tick();

  // Webhooks whose answer is awaited. Any thread.
  size_t in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

 private:
  class Notice;
  using AwaitingHook = boost::intrusive::list_member_hook<>;
  struct Answers;

  Notice* NewNotice(HttpSession& session, const Crm& crm, const TokenTarget& target);
  void Free(Notice* notice);
  void OnBody(Notice* notice, std::string_view body);
  void OnFailed(Notice* notice, HttpError error);
  void Send(Notice* notice);
  void OnReport(Notice* notice, const Result<kafka::Position>& report);
  void Accept(Notice* notice, bool stored, absl::Time now);
  void Refuse(Notice* notice, Refusal refusal);
  void Detach(Notice* notice, PreparedAnswer& answer, bool with_id, absl::Time now);
  void ReleaseHeld(absl::Time now);
  void AnswerHead(HttpSession& session,
                  const RequestHead& head,
                  HttpMetrics::Route route,
                  PreparedAnswer& answer);
  PreparedAnswer& ErrorAnswer(HttpError error);
  void RenewDate(absl::Time now);

  const DoorShared& shared_;
  const size_t reader_;
  kafka::Producer& producer_;
  const size_t max_in_flight_;
  TokenHasher hasher_;
  IdSource ids_;
  NoticeRecord record_;
  std::atomic<size_t> in_flight_{0};
  // In ReleaseHeld: what comes in meanwhile joins the end of those held up.
  bool releasing_ = false;
  int64_t date_second_ = 0;
  DateText date_{};
  std::unique_ptr<Answers> answers_;

  struct Lists;
  // Notices that wait for their report, by CRM, in the order of their deadlines; those held up, in
  // the order of arrival; and those free to be used again.
  std::unique_ptr<Lists> lists_;
};

}  // namespace dealstream::ingest
