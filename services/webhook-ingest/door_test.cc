#include "services/webhook-ingest/door.h"

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>

#include "dealstream/raw/v1/raw.pb.h"
#include "services/webhook-ingest/testing.h"

namespace dealstream::ingest {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// A connection without a socket.
class Client final : public HttpOutput {
 public:
  Client(const HttpLimits& limits, SessionGroup& group, Door& door)
      : session_(std::in_place, limits, group, door, *this) {}
  void Write(std::string_view bytes) override { out_.append(bytes); }
  void Resumed() override {}

  void Send(std::string_view bytes) { session_->Input(bytes); }
  void Post(std::string_view token, std::string_view body, std::string_view query = "") {
    Send(fmt::format("POST /hook/{}{} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{}",
                     token,
                     query,
                     body.size(),
                     body));
  }
  // What was answered since the last call.
  std::string Take() { return std::exchange(out_, ""); }
  std::string TakeStatus() { return Take().substr(0, 12); }
  void Hangup() { session_.reset(); }
  HttpSession& session() { return *session_; }

 private:
  std::string out_;
  std::optional<HttpSession> session_;
};

class DoorTest : public testing::Test {
 protected:
  DoorTest() {
    Put("int_on", "on", true);
    Put("int_same", "same", true);
    Put("int_off", "off", false);
    TokenTarget alien;
    alien.digest = DigestForTest("alien");
    alien.integration_id = "int_alien";
    alien.crm = crms_.IndexOf("of the future");
    alien.active = true;
    tokens_.Put(alien);
  }

  void Put(const std::string& id, const std::string& token, bool active) {
    TokenTarget target;
    target.digest = DigestForTest(token);
    target.integration_id = id;
    target.crm_account_id = "company";
    target.crm = crms_.IndexOf("acme");
    target.active = active;
    tokens_.Put(target);
  }

  Client NewClient() { return Client(limits_, group_, door_); }

  double Refused(Refusal reason) const {
    return crms_.at(0).refused[static_cast<size_t>(reason)]->Value();
  }
  // Every request with a known token has ended in exactly one way.
  void ExpectBooksBalance() const {
    double ended = crms_.at(0).accepted->Value();
    for (const auto* counter : crms_.at(0).refused) {
      ended += counter->Value();
    }
    EXPECT_EQ(crms_.at(0).received->Value(), ended);
    EXPECT_EQ(door_.in_flight(), 0U);
  }
  raw::v1::Notice Stored(size_t i) const {
    raw::v1::Notice notice;
    EXPECT_TRUE(notice.ParseFromString(*broker_.stored().at(i).value));
    return notice;
  }

  const crm::Registry registry_ = FakeRegistry();
  obs::Metrics metrics_{"test", "1", "r"};
  FakeClock clock_{absl::FromUnixMillis(1'700'000'000'123)};
  const Crms crms_{registry_, absl::Milliseconds(400), metrics_};
  TokenTable tokens_{1};
  std::atomic<bool> tokens_complete_{true};
  KeyOrder order_{absl::Milliseconds(300)};
  const HttpMetrics http_metrics_{metrics_};
  const DoorShared shared_{.clock = clock_,
                           .crms = crms_,
                           .tokens = tokens_,
                           .tokens_complete = tokens_complete_,
                           .order = order_,
                           .metrics = http_metrics_,
                           .retry_after = absl::Seconds(2)};
  const HttpLimits limits_{.max_body_bytes = 1000};
  SessionGroup group_;
  FakeBroker broker_;
  FakeProducer producer_{broker_};
  Door door_{shared_, 0, producer_, 3};
};

TEST_F(DoorTest, StoresTheWholeRequestAndAnswersAfterItsReport) {
  Client client = NewClient();
  client.Send(
      "POST /hook/on?requestId=%D0%B1&x HTTP/1.1\r\nHost: h\r\nContent-TYPE: application/json\r\n"
      "User-Agent: a\r\nCookie: secret\r\nAuthorization: secret\r\nX-Fake-Event: e\r\n"
      "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
      "Content-Encoding: identity\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
  EXPECT_EQ(client.Take(), "");
  EXPECT_EQ(door_.in_flight(), 1U);
  producer_.Poll();
  const std::string answer = client.Take();
  EXPECT_THAT(answer,
              StartsWith("HTTP/1.1 202 Accepted\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain\r\nContent-Length: 6\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nthanks"));

  const raw::v1::Notice notice = Stored(0);
  EXPECT_THAT(answer, HasSubstr("x-notice-id: " + notice.id() + "\r\n"));
  EXPECT_EQ(notice.crm(), "acme");
  EXPECT_EQ(notice.crm_account_id(), "company");
  EXPECT_EQ(notice.integration_id(), "int_on");
  EXPECT_EQ(notice.method(), "POST");
  EXPECT_EQ(notice.query(), "requestId=%D0%B1&x");
  EXPECT_EQ(notice.body(), "{\"a\":1}");
  EXPECT_EQ(notice.received_at().seconds(), 1'700'000'000);
  EXPECT_EQ(notice.received_at().nanos(), 123'000'000);
  std::vector<std::string> headers;
  for (const auto& header : notice.headers()) {
    headers.push_back(header.name() + "=" + header.value());
  }
  EXPECT_THAT(headers,
              ElementsAre("content-type=application/json",
                          "user-agent=a",
                          "x-fake-event=e",
                          "content-encoding=identity"));

  const kafka::OutRecord record = broker_.stored()[0];
  EXPECT_EQ(record.topic, "crm.notice.acme");
  EXPECT_EQ(record.key, "company");
  EXPECT_EQ(record.partition, -1);
  EXPECT_EQ(kafka::FindHeader(record.headers, "ce_id"), notice.id());
  EXPECT_EQ(kafka::FindHeader(record.headers, "ce_source"), "/crm/acme/integrations/int_on");
  EXPECT_EQ(kafka::FindHeader(record.headers, "ce_type"), "dealstream.notice.received.v1");
  EXPECT_EQ(kafka::FindHeader(record.headers, "ce_dataschema"), notice.GetTypeName());
  EXPECT_THAT(std::string(kafka::FindHeader(record.headers, "traceparent")),
              StartsWith("00-0af7651916cd43dd8448eb211c80319c-"));
  ExpectBooksBalance();
}

TEST_F(DoorTest, KeepsBytesThatAreNoText) {
  Client client = NewClient();
  client.Send(
      "PUT /hook/on?n=\xD0\xB1\xFF HTTP/1.1\r\nHost: h\r\nUser-Agent: \xE9\r\n"
      "X-Fake-Event: \xC3\xA9\r\nContent-Length: 2\r\n\r\n\xFF");
  client.Send(std::string_view("\0", 1));
  producer_.Poll();
  const raw::v1::Notice notice = Stored(0);
  EXPECT_EQ(notice.query(), "n=%D0%B1%FF");
  EXPECT_EQ(notice.headers(0).value(), "\xC3\xA9");
  EXPECT_EQ(notice.headers(1).value(), "\xC3\xA9");
  EXPECT_EQ(notice.body(), std::string("\xFF\0", 2));
}

TEST_F(DoorTest, TakesGetPutAndPostAndNothingElse) {
  Client client = NewClient();
  for (const std::string method : {"GET", "PUT", "POST"}) {
    client.Send(method + " /hook/on HTTP/1.1\r\nHost: h\r\n\r\n");
    producer_.Poll();
    EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 202") << method;
  }
  for (const std::string method : {"DELETE", "HEAD", "PATCH", "OPTIONS", "BREW"}) {
    client.Send(method + " /hook/on HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string answer = client.Take();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 "));
    EXPECT_THAT(answer, HasSubstr("Allow: GET, POST, PUT\r\n"));
  }
  EXPECT_EQ(broker_.stored().size(), 3U);
}

TEST_F(DoorTest, KnowsNoOtherTokensOrPaths) {
  Client client = NewClient();
  for (const std::string path : {"/hook/nope",
                                 "/hook/",
                                 "/hook",
                                 "/",
                                 "/hook/on/",
                                 "/hook/on/x",
                                 "/Hook/on",
                                 "//hook/on",
                                 "/hook/%6Fn",
                                 "*"}) {
    client.Send("POST " + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 404") << path;
    client.Send("DELETE " + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 404") << path;
  }
  EXPECT_EQ(crms_.at(0).received->Value(), 0);
}

TEST_F(DoorTest, AnswersAsUnavailableWhileTheTableIsNotComplete) {
  tokens_complete_ = false;
  Client client = NewClient();
  for (const std::string token : {"on", "nope"}) {
    client.Post(token, "");
    const std::string answer = client.Take();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(answer, HasSubstr("Retry-After: 2\r\n"));
  }
}

TEST_F(DoorTest, AnswersForInactiveOnesAsAcceptedAndStoresNothing) {
  Client client = NewClient();
  client.Post("off", "x");
  EXPECT_THAT(client.Take(), StartsWith("HTTP/1.1 202 "));
  producer_.Poll();
  EXPECT_THAT(broker_.stored(), IsEmpty());
  EXPECT_EQ(Refused(Refusal::kInactive), 1);
  ExpectBooksBalance();
}

TEST_F(DoorTest, KeepsNothingForACrmItDoesNotKnowAndSaysSo) {
  Client client = NewClient();
  client.Post("alien", "x");
  EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 503");
}

TEST_F(DoorTest, AnswersWithinTheCrmsPatienceWhenNoReportComes) {
  broker_.Set(FakeBroker::Mode::kSilent);
  Client client = NewClient();
  client.Post("on", "x");
  clock_.Advance(absl::Milliseconds(1099));
  door_.Tick();
  EXPECT_EQ(client.Take(), "");
  clock_.Advance(absl::Milliseconds(1));
  door_.Tick();
  EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 503");
  EXPECT_EQ(Refused(Refusal::kBrokerAway), 1);
  ExpectBooksBalance();
  // The record is stored after all: nobody hears of it, and the connection goes on.
  broker_.Set(FakeBroker::Mode::kAccept);
  client.Post("on", "y");
  producer_.Poll();
  EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 202");
  EXPECT_EQ(broker_.stored().size(), 2U);
  ExpectBooksBalance();
}

TEST_F(DoorTest, AnswersUnavailableWhenARecordIsGivenUp) {
  broker_.Set(FakeBroker::Mode::kTimeOut);
  Client client = NewClient();
  client.Post("on", "x");
  producer_.Poll();
  EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 503");
  EXPECT_EQ(Refused(Refusal::kBrokerAway), 1);
  broker_.Set(FakeBroker::Mode::kAccept);
  client.Post("same", "z");
  producer_.Poll();
  EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 202");
  ExpectBooksBalance();
}

TEST_F(DoorTest, BoundsWhatIsUnderWay) {
  broker_.Set(FakeBroker::Mode::kSilent);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(limits_, group_, door_));
    clients.back()->Post("on", "x");
  }
  EXPECT_EQ(clients[2]->Take(), "");
  EXPECT_EQ(clients[3]->TakeStatus(), "HTTP/1.1 503");
  EXPECT_EQ(Refused(Refusal::kBusy), 1);
  broker_.Set(FakeBroker::Mode::kQueueFull);
  producer_.Poll();
  clients[3]->Post("on", "x");
  EXPECT_EQ(clients[3]->TakeStatus(), "HTTP/1.1 503");
  EXPECT_EQ(Refused(Refusal::kQueueFull), 1);
  ExpectBooksBalance();
}

TEST_F(DoorTest, CountsWhatTheSenderDidNotFinish) {
  {
    Client client = NewClient();
    client.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
    client.Hangup();
    EXPECT_EQ(Refused(Refusal::kAborted), 1);
  }
  {
    Client client = NewClient();
    client.Send("POST /hook/on HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab");
    client.session().Timeout();
    EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 408");
    EXPECT_EQ(Refused(Refusal::kSlow), 1);
  }
  {
    Client client = NewClient();
    client.Post("on", std::string(1001, 'x'));
    EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 413");
    EXPECT_EQ(Refused(Refusal::kTooLarge), 1);
  }
  {
    Client client = NewClient();
    client.Post("on", "x");
    client.Hangup();
    producer_.Poll();
    EXPECT_EQ(crms_.at(0).accepted->Value(), 1);
  }
  ExpectBooksBalance();
}

TEST_F(DoorTest, ARefusedRecordIsAnsweredUnavailable) {
  broker_.RefuseIf([](const auto&) { return true; });
  Client client = NewClient();
  client.Post("on", "x");
  producer_.Poll();
  EXPECT_EQ(client.TakeStatus(), "HTTP/1.1 503");
  EXPECT_EQ(Refused(Refusal::kBrokerRefused), 1);
  ExpectBooksBalance();
}

TEST_F(DoorTest, LaterOnesOfItsKeyDoNotOvertakeTheRetryOfARefusedRecord) {
  bool refuse = true;
  broker_.RefuseIf([&](const kafka::OutRecord& record) {
    return refuse && record.value->find("first") != std::string::npos;
  });
  Client first = NewClient();
  Client under_way = NewClient();
  Client later = NewClient();
  first.Post("on", "first");
  under_way.Post("same", "under way");
  producer_.Poll();
  EXPECT_EQ(first.TakeStatus(), "HTTP/1.1 503");
  // Stored behind the refused one: its sender must repeat it too.
  EXPECT_EQ(under_way.TakeStatus(), "HTTP/1.1 503");
  EXPECT_EQ(Refused(Refusal::kOvertook), 1);

  later.Post("on", "later");
  producer_.Poll();
  door_.Tick();
  EXPECT_EQ(later.Take(), "");
  refuse = false;
  first.Post("on", "first");
  producer_.Poll();
  EXPECT_EQ(first.TakeStatus(), "HTTP/1.1 202");
  door_.Tick();
  producer_.Poll();
  EXPECT_EQ(later.TakeStatus(), "HTTP/1.1 202");
  ASSERT_EQ(broker_.stored().size(), 3U);
  EXPECT_EQ(Stored(0).body(), "under way");
  EXPECT_EQ(Stored(1).body(), "first");
  EXPECT_EQ(Stored(2).body(), "later");
  ExpectBooksBalance();
}

TEST_F(DoorTest, NobodyWaitsLongForARetryThatDoesNotCome) {
  broker_.RefuseIf([&](const kafka::OutRecord& record) {
    return record.value->find("poison") != std::string::npos;
  });
  Client poisoner = NewClient();
  Client b = NewClient();
  Client c = NewClient();
  poisoner.Post("on", "poison");
  producer_.Poll();
  b.Post("on", "b");
  c.Post("on", "c");
  c.Hangup();
  clock_.Advance(absl::Milliseconds(299));
  door_.Tick();
  producer_.Poll();
  EXPECT_EQ(b.Take(), "");
  clock_.Advance(absl::Milliseconds(1));
  door_.Tick();
  producer_.Poll();
  EXPECT_EQ(b.TakeStatus(), "HTTP/1.1 202");
  EXPECT_EQ(Refused(Refusal::kAborted), 1);
  EXPECT_EQ(broker_.stored().size(), 1U);
  ExpectBooksBalance();
}

}  // namespace
}  // namespace dealstream::ingest
