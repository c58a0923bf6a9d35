#include "services/crm-reader/reader.h"

#include <algorithm>
#include <atomic>
#include <regex>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/obs/metrics.h"
#include "services/crm-reader/proto_time.h"
#include "services/crm-reader/testing.h"

namespace dealstream::reader {
namespace {

using ::testing::ElementsAre;
using testing::FakeAdapter;
using testing::FakeProducer;
using testing::FakeTransport;
using testing::FakeVault;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kNotices[] = "crm.notice.acme";
constexpr char kPolls[] = "crm.poll.acme";
constexpr char kRecords[] = "crm.record.acme";
constexpr char kDead[] = "dlq.crm-reader.acme";
constexpr char kCursors[] = "crm.cursor.acme";
constexpr char kSoon[] = "crm.retry.acme.5s";

// The reader with everything around it faked; one partition, one thread, time that stands still.
// Two integrations (int_1, int_1b) share the CRM account "one"; int_2 has "two".
class ReaderTest : public ::testing::Test {
 protected:
  explicit ReaderTest(Reader::Options options = {}) : options_(std::move(options)) {
    options_.crm = "acme";
    PutIntegration("int_1", "one", true);
    PutIntegration("int_1b", "one", true);
    PutIntegration("int_2", "two", true);
    Restart();
  }

  void PutIntegration(const std::string& id,
                      const std::string& account,
                      bool active,
                      const std::string& tenant = "",
                      const std::string& credential = "",
                      const std::string& settings = "") {
    integration::v1::Integration message;
    message.set_id(id);
    message.set_crm("acme");
    message.set_account_id(tenant.empty() ? "tenant-" + account : tenant);
    message.set_crm_account_id(account);
    message.set_credential_id(credential.empty() ? account + ".example" : credential);
    message.set_purpose(integration::v1::PURPOSE_DEALS);
    message.set_active(active);
    message.mutable_settings()->set_value(settings);
    message.set_version(++integration_version_);
    kafka::InRecord record;
    record.key = id;
    record.value = message.SerializeAsString();
    integrations_.Apply(record);
  }

  // A new process: nothing is kept but Kafka.
  void Restart() {
    producer_.DropReports();
    reader_.reset();
    outbox_ = std::make_unique<Outbox>(producer_, clock_);
    access_ = std::make_unique<AccessCache>(AccessCache::Options(), clock_, vault_);
    registry_ = std::make_unique<obs::Metrics>("crm-reader", "test", "test");
    metrics_ = std::make_unique<ReaderMetrics>(*registry_, "acme");
    reader_ = std::make_unique<Reader>(
        options_,
        Reader::Deps{
            clock_, adapter_, transport_, *access_, integrations_, cursors_, *outbox_, *metrics_});
    reader_->Assign(partitions_);
    retried_.clear();
  }

  void Feed(const std::string& topic, const std::string& value, kafka::Headers headers = {}) {
    kafka::InRecord record;
    record.topic = topic;
    record.offset = next_offset_[topic]++;
    record.key = "key";
    record.value = value;
    record.headers = std::move(headers);
    reader_->Accept({std::move(record)});
  }

  std::string Notice(const std::string& objects,
                     const std::string& delivery = "",
                     const std::string& integration = "int_1") {
    raw::v1::Notice notice;
    notice.set_id("n" + std::to_string(++notices_));
    notice.set_integration_id(integration);
    notice.set_crm_account_id("one");
    notice.set_body(objects);
    notice.set_query(delivery);
    *notice.mutable_received_at() = ToProto(clock_.Now());
    Feed(kNotices, notice.SerializeAsString());
    return notice.id();
  }

  raw::v1::PollTick Tick(const std::string& poll_id) {
    raw::v1::PollTick tick;
    tick.set_poll_id(poll_id);
    tick.set_integration_id("int_1");
    tick.set_crm_account_id("one");
    tick.set_cause(deal::v1::CAUSE_RECONCILIATION);
    return tick;
  }

  void Work() {
    while (reader_->RunOne()) {
    }
  }

  // Moves the time, works, and brings parked items and further ticks back as Kafka would.
  void Pass(absl::Duration duration, bool work = true) {
    absl::Time end = clock_.Now() + duration;
    while (clock_.Now() < end) {
      clock_.Advance(absl::Milliseconds(50));
      reader_->Tick();
      BringBack();
      if (work) {
        Work();
      }
    }
  }

  void BringBack() {
    for (const char* topic : {"crm.retry.acme.5s",
                              "crm.retry.acme.30s",
                              "crm.retry.acme.2m",
                              "crm.retry.acme.10m",
                              "crm.retry.acme.1h",
                              kPolls}) {
      auto sent = producer_.Topic(topic);
      for (size_t& next = retried_[topic]; next < sent.size(); ++next) {
        kafka::InRecord record;
        record.topic = topic;
        record.offset =
            topic == std::string(kPolls) ? next_offset_[topic]++ : sent[next].position.offset;
        record.key = sent[next].record.key;
        record.value = sent[next].record.value;
        record.headers = sent[next].record.headers;
        reader_->Accept({std::move(record)});
      }
    }
  }

  std::vector<raw::v1::Record> Records() { return producer_.Read<raw::v1::Record>(kRecords); }
  std::vector<std::string> RecordIds() {
    std::vector<std::string> ids;
    for (const raw::v1::Record& record : Records()) {
      ids.push_back(record.external_id());
    }
    return ids;
  }
  std::vector<raw::v1::DeadLetter> Dead() { return producer_.Read<raw::v1::DeadLetter>(kDead); }
  raw::v1::PollProgress Progress() {
    auto all = producer_.Read<raw::v1::PollProgress>(kCursors);
    return all.empty() ? raw::v1::PollProgress() : all.back();
  }

  // Sum over all label sets.
  double Metric(const std::string& name, const std::string& labels = "") {
    double sum = 0;
    std::regex line("dealstream_" + name + "(\\{[^}]*\\})? ([0-9.e+-]+)");
    std::string text = registry_->Render();
    for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at) {
      if ((*at)[1].str().find(labels) != std::string::npos) {
        sum += std::stod((*at)[2].str());
      }
    }
    return sum;
  }
  void ExpectBooksBalance() {
    EXPECT_EQ(Metric("events_in_total"),
              Metric("events_done_total") + Metric("events_in_progress") + Metric("events_parked"))
        << registry_->Render();
  }
  double Done(const std::string& reason) {
    return Metric("events_done_total", "reason=\"" + reason + "\"");
  }

  // The position that would be committed, or nothing when it has not moved.
  std::optional<int64_t> Committed(const std::string& topic) {
    for (const auto& [partition, offset] : reader_->TakeCommits()) {
      if (partition.topic == topic) {
        return offset;
      }
    }
    return std::nullopt;
  }

  void Answer(const std::string& account, int status, http::Headers headers = {}) {
    transport_.handlers[account + ".example"] = [=](const http::Request&) {
      return http::Response{status, headers, "1"};
    };
  }
  // Takes 10 s and gives nothing.
  void Hang(const std::string& account) {
    transport_.handlers[account + ".example"] =
        [this](const http::Request&) -> Result<http::Response> {
      clock_.Advance(absl::Seconds(10));
      return absl::DeadlineExceededError("no answer in 10s");
    };
  }
  void Objects(std::map<std::string, std::string> by_path) {
    transport_.handlers["one.example"] = [by_path](const http::Request& request) {
      size_t at = request.url.find("example") + 7;
      std::string path = request.url.substr(at, request.url.find('?') - at);
      auto found = by_path.find(path);
      return found == by_path.end() ? http::Response{404, {}, ""}
                                    : http::Response{200, {}, found->second};
    };
  }

  Reader::Options options_;
  std::vector<kafka::TopicPartition> partitions_ = {{kNotices, 0},
                                                    {kPolls, 0},
                                                    {"crm.retry.acme.5s", 0},
                                                    {"crm.retry.acme.30s", 0},
                                                    {"crm.retry.acme.2m", 0},
                                                    {"crm.retry.acme.10m", 0},
                                                    {"crm.retry.acme.1h", 0}};
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  FakeAdapter adapter_;
  FakeTransport transport_;
  FakeVault vault_;
  FakeProducer producer_;
  Integrations integrations_{"acme"};
  Cursors cursors_;
  int64_t integration_version_ = 0;
  int notices_ = 0;
  std::map<std::string, int64_t> next_offset_;
  std::map<std::string, size_t> retried_;
  std::unique_ptr<AccessCache> access_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<obs::Metrics> registry_;
  std::unique_ptr<ReaderMetrics> metrics_;
  std::unique_ptr<Reader> reader_;
};

// ---- Records ------------------------------------------------------------------------------------

TEST_F(ReaderTest, NoticeBecomesARecord) {
  std::string id = Notice("order:7");
  Answer("one", 200);
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  Work();
  ASSERT_THAT(Records(), SizeIs(1));
  raw::v1::Record record = Records()[0];
  EXPECT_EQ(record.crm(), "acme");
  EXPECT_EQ(record.crm_account_id(), "one");
  EXPECT_EQ(record.integration_id(), "int_1");
  EXPECT_EQ(record.account_id(), "tenant-one");
  EXPECT_EQ(record.purpose(), integration::v1::PURPOSE_DEALS);
  EXPECT_EQ(record.kind(), "order");
  EXPECT_EQ(record.external_id(), "7");
  EXPECT_EQ(record.version(), 1);
  EXPECT_EQ(record.cause(), deal::v1::CAUSE_WEBHOOK);
  ASSERT_THAT(record.notice_ids(), ElementsAre(id));
  EXPECT_EQ(FromProto(record.oldest_notice_at()), clock_.Now());
  const kafka::OutRecord out = producer_.Topic(kRecords)[0].record;
  EXPECT_EQ(out.key, "one");
  EXPECT_EQ(kafka::FindHeader(out.headers, "ce_type"), "dealstream.record.read.v1");
  EXPECT_EQ(kafka::FindHeader(out.headers, "ce_source"), "/crm/acme/integrations/int_1");
  EXPECT_EQ(kafka::FindHeader(out.headers, "ce_subject"), "int_1:7");
  EXPECT_EQ(Committed(kNotices), 1);
  EXPECT_EQ(Done("read"), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, GoneObjectIsARecordToo) {
  Objects({});
  Notice("order:7");
  Work();
  ASSERT_THAT(Records(), SizeIs(1));
  EXPECT_TRUE(Records()[0].gone());
  EXPECT_EQ(Records()[0].version(), 0);
  EXPECT_EQ(Records()[0].parts_size(), 0);
}

TEST_F(ReaderTest, ObjectThatComesAfterItsNoticeIsFound) {
  Objects({});
  Notice("booking:7");
  Work();
  EXPECT_THAT(Records(), IsEmpty());
  Pass(absl::Seconds(4));
  Objects({{"/obj/7", "5"}});
  Pass(absl::Seconds(3));
  ASSERT_THAT(Records(), SizeIs(1));
  EXPECT_EQ(Records()[0].version(), 5);
  EXPECT_FALSE(Records()[0].gone());
  EXPECT_THAT(Dead(), IsEmpty());
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ObjectThatDoesNotComeIsGone) {
  Objects({});
  Notice("booking:7");
  Work();
  // 5 s, 30 s and 2 min.
  Pass(absl::Seconds(150));
  EXPECT_THAT(Records(), IsEmpty());
  Pass(absl::Seconds(10));
  ASSERT_THAT(Records(), SizeIs(1));
  EXPECT_TRUE(Records()[0].gone());
  EXPECT_EQ(transport_.calls["one.example"], 4);
  EXPECT_THAT(Dead(), IsEmpty());
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ObjectThatWasSeenIsGoneAtOnce) {
  Objects({{"/obj/7", "5"}});
  Notice("booking:7");
  Work();
  Objects({});
  Notice("booking:7");
  Work();
  ASSERT_THAT(Records(), SizeIs(2));
  EXPECT_TRUE(Records()[1].gone());
}

TEST_F(ReaderTest, ARecordIsOfWhatWasReadNotOfWhatWasAskedFor) {
  Notice("payment:7");
  Work();
  const auto records = Records();
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_EQ(records[0].kind(), "order");
  EXPECT_EQ(records[0].external_id(), "7");
  EXPECT_EQ(Committed(kNotices), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, NoticeOfSeveralObjectsIsDoneAfterTheLast) {
  Notice("order:1,order:2,order:1");
  EXPECT_TRUE(reader_->RunOne());
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("1", "2"));
  EXPECT_EQ(Committed(kNotices), 1);
  ExpectBooksBalance();
}

// ---- Folding ------------------------------------------------------------------------------------

TEST_F(ReaderTest, WaitingNoticesOfOneObjectAreOneRead) {
  std::string a = Notice("order:7");
  std::string b = Notice("order:7");
  std::string c = Notice("order:7,order:8");
  Work();
  EXPECT_EQ(transport_.calls["one.example"], 2);
  ASSERT_THAT(Records(), SizeIs(2));
  EXPECT_THAT(Records()[0].notice_ids(), ElementsAre(a, b, c));
  EXPECT_THAT(Records()[1].notice_ids(), ElementsAre(c));
  EXPECT_EQ(Done("folded"), 1);
  EXPECT_EQ(Done("read"), 2);
  EXPECT_EQ(Committed(kNotices), 3);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, NoticeDuringAReadIsReadAgain) {
  bool second_came = false;
  transport_.handlers["one.example"] = [&](const http::Request&) {
    if (!second_came) {
      second_came = true;
      Notice("order:7");
    }
    return http::Response{200, {}, "1"};
  };
  Notice("order:7");
  Work();
  EXPECT_EQ(transport_.calls["one.example"], 2);
  EXPECT_THAT(Records(), SizeIs(2));
}

TEST_F(ReaderTest, ObjectsOfTwoIntegrationsAreNotFolded) {
  Notice("order:7", "", "int_1");
  Notice("order:7", "", "int_1b");
  Work();
  EXPECT_THAT(Records(), SizeIs(2));
}

TEST_F(ReaderTest, RepeatedDeliveryIsDoneOnceTheFirstIsDurable) {
  producer_.hold = true;
  Notice("order:7", "delivery-1");
  Work();
  Notice("order:7", "delivery-1");
  Work();
  EXPECT_EQ(transport_.calls["one.example"], 1);
  EXPECT_EQ(Committed(kNotices), std::nullopt) << "neither before the record is durable";
  producer_.Release();
  EXPECT_EQ(Committed(kNotices), 2);
  Notice("order:7", "delivery-1");
  EXPECT_EQ(Committed(kNotices), 3) << "later ones at once";
  EXPECT_EQ(Done("same_delivery"), 2);
  EXPECT_THAT(Records(), SizeIs(1));
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RepeatIsNotLostWithTheFirstOne) {
  Answer("one", 500);
  Notice("order:7", "delivery-1");
  Notice("order:7", "delivery-1");
  Work();
  EXPECT_THAT(producer_.Topic(kSoon), SizeIs(1)) << "the first is parked, the repeat stands in it";
  EXPECT_EQ(Committed(kNotices), 2);
  ExpectBooksBalance();
  Answer("one", 200);
  Pass(absl::Seconds(6));
  EXPECT_THAT(RecordIds(), ElementsAre("7"));
  ExpectBooksBalance();
}

TEST_F(ReaderTest, FoldedNoticesAreParkedEachForItself) {
  Answer("one", 500);
  std::string a = Notice("order:7");
  std::string b = Notice("order:7");
  Work();
  auto parked = producer_.Read<raw::v1::Retry>(kSoon);
  ASSERT_THAT(parked, SizeIs(2));
  EXPECT_EQ(parked[0].notice().id(), a);
  EXPECT_EQ(parked[1].notice().id(), b);
  Answer("one", 200);
  Pass(absl::Seconds(6));
  ASSERT_THAT(Records(), SizeIs(1));
  EXPECT_THAT(Records()[0].notice_ids(), ElementsAre(a, b));
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RedrivenDeliveryIsNoRepeatOfTheDeadOne) {
  Answer("one", 418);
  Notice("order:7", "delivery-1");
  Work();
  ASSERT_THAT(Dead(), SizeIs(1));
  Answer("one", 503);
  Feed(kNotices, Dead()[0].value(), {{"dealstream-redriven-from", "dlq/0/0"}});
  Work();
  Answer("one", 200);
  Pass(absl::Seconds(6));
  ASSERT_THAT(Records(), SizeIs(1));
  EXPECT_EQ(Records()[0].cause(), deal::v1::CAUSE_REDRIVE);
}

TEST_F(ReaderTest, RedrivenDeliveryIsNoRepeatOfOneThatDiedInTheRetryTopics) {
  Answer("one", 503);
  Notice("order:7", "delivery-1");
  Work();
  ASSERT_THAT(producer_.Topic(kSoon), SizeIs(1));
  Answer("one", 418);
  Pass(absl::Seconds(6));
  ASSERT_THAT(Dead(), SizeIs(1));
  Answer("one", 200);
  Feed(kNotices, Dead()[0].value(), {{"dealstream-redriven-from", "dlq/0/0"}});
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("7"));
  ExpectBooksBalance();
}

// ---- Failures -----------------------------------------------------------------------------------

TEST_F(ReaderTest, FailedReadComesBackLaterAndLater) {
  Answer("one", 503);
  Notice("order:7");
  Work();
  auto first = producer_.Read<raw::v1::Retry>(kSoon);
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].attempt(), 1);
  EXPECT_EQ(first[0].reason(), "crm_unavailable");
  EXPECT_EQ(FromProto(first[0].due_at()), clock_.Now() + absl::Seconds(5));
  EXPECT_EQ(Committed(kNotices), 1);
  EXPECT_EQ(Metric("events_parked"), 1);
  Pass(absl::Seconds(6));
  auto second = producer_.Read<raw::v1::Retry>("crm.retry.acme.30s");
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_EQ(second[0].attempt(), 2);
  EXPECT_EQ(FromProto(second[0].first_failed_at()), FromProto(first[0].first_failed_at()));
  ExpectBooksBalance();
  Answer("one", 200);
  Pass(absl::Seconds(31));
  EXPECT_THAT(RecordIds(), ElementsAre("7"));
  EXPECT_EQ(Metric("events_parked"), 0);
  EXPECT_EQ(Metric("events_in_progress"), 0);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ItemThatFailsTooOftenIsADeadLetter) {
  options_.retry.max_attempts = 3;
  options_.breaker.failures = 100;
  Restart();
  Answer("one", 503);
  std::string id = Notice("order:7");
  Pass(absl::Minutes(4));
  ASSERT_THAT(Dead(), SizeIs(1));
  raw::v1::DeadLetter letter = Dead()[0];
  EXPECT_EQ(letter.reason(), "retries_exhausted");
  EXPECT_EQ(letter.stage(), "read");
  EXPECT_EQ(letter.topic(), kNotices);
  EXPECT_EQ(letter.partition(), 0);
  EXPECT_EQ(letter.offset(), 0);
  EXPECT_GE(letter.tried_for().seconds(), 30);
  raw::v1::Notice original;
  ASSERT_TRUE(original.ParseFromString(letter.value()));
  EXPECT_EQ(original.id(), id);
  EXPECT_EQ(Metric("dead_letters_total"), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, UnreadableNoticesAreDeadLettersKeptWhole) {
  Notice("!nonsense");
  Feed(kNotices, "\xff\xff no message");
  ASSERT_THAT(Dead(), SizeIs(2));
  EXPECT_EQ(Dead()[0].stage(), "decode");
  EXPECT_EQ(Dead()[0].reason(), "invalid_argument");
  EXPECT_EQ(Dead()[1].reason(), "unreadable");
  EXPECT_EQ(Dead()[1].value(), "\xff\xff no message");
  EXPECT_EQ(Committed(kNotices), 2);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PartThatCannotBeReadLeavesTheOthersBe) {
  const std::string id = Notice("order:7,?,other,order:8");
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("7", "8"));
  ASSERT_THAT(Dead(), SizeIs(1));
  raw::v1::Notice kept;
  ASSERT_TRUE(kept.ParseFromString(Dead()[0].value()));
  EXPECT_EQ(kept.id(), id);
  EXPECT_EQ(Done("other_entity"), 1);
  EXPECT_EQ(Committed(kNotices), 1);
  EXPECT_EQ(reader_->in_progress(), 0u);
  ExpectBooksBalance();
}

// Its retry names the objects that were read from it, and isn't decoded again.
TEST_F(ReaderTest, NoticeIsNotDoneBeforeTheLetterOfItsUnreadablePart) {
  producer_.hold = true;
  Notice("order:7,?");
  producer_.hold = false;
  Pass(absl::Milliseconds(1250), /*work=*/false);
  EXPECT_THAT(producer_.Topic(kSoon), SizeIs(1));
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  ExpectBooksBalance();
  producer_.Release();
  EXPECT_EQ(Committed(kNotices), 1);
  ExpectBooksBalance();
  Work();
  // Redelivered: its object has been read, its letter is on the way.
  notices_ = 0;
  producer_.hold = true;
  Notice("order:7,?");
  EXPECT_EQ(Done("already_read"), 1);
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  producer_.Release();
  EXPECT_EQ(Committed(kNotices), 2);
  Pass(absl::Seconds(6));
  EXPECT_THAT(RecordIds(), ElementsAre("7"));
  EXPECT_EQ(reader_->in_progress(), 0u);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ObjectThatCannotPassMakesItsNoticeADeadLetter) {
  Objects({{"/obj/1", "1"}, {"/obj/2", "garbage"}});
  Notice("order:2,order:1");
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("1"));
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(Dead()[0].reason(), "data_loss");
  EXPECT_EQ(Committed(kNotices), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RecordThatTheBrokerRefusesIsADeadLetter) {
  producer_.too_large = 10;
  Notice("order:1");
  Work();
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(Dead()[0].reason(), "record_too_large");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, UnknownIntegrationWaitsThenDies) {
  Notice("order:1", "", "int_9");
  EXPECT_THAT(producer_.Topic(kSoon), SizeIs(1));
  EXPECT_EQ(Committed(kNotices), 1);
  PutIntegration("int_9", "nine", true);
  Pass(absl::Seconds(6));
  EXPECT_THAT(RecordIds(), ElementsAre("1"));
  Notice("order:1", "", "int_10");
  Pass(absl::Minutes(14));
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(Dead()[0].reason(), "unknown_integration");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, InactiveIntegrationIsIgnored) {
  PutIntegration("int_1", "one", false);
  Notice("order:1");
  Notice("");
  EXPECT_EQ(Committed(kNotices), 2);
  Pass(absl::Seconds(6));
  EXPECT_EQ(Done("inactive"), 2);
  EXPECT_THAT(Records(), IsEmpty());
  Notice("", "", "int_2");
  EXPECT_EQ(Done("other_entity"), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, WhatComesBeforeTheTableSaysActiveIsNotLost) {
  PutIntegration("int_1", "one", false);
  Objects({{"/list/", "2 1\ncursor c9\n"}, {"/obj/1", "1"}, {"/obj/2", "1"}});
  // The door's table is ahead of ours, and so is the tick that switching on orders.
  Notice("order:1");
  Feed(kPolls, Tick("pass").SerializeAsString());
  PutIntegration("int_1", "one", true);
  Pass(absl::Seconds(6));
  EXPECT_THAT(RecordIds(), ::testing::UnorderedElementsAre("1", "2"));
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RefusedCredentialParksForLongAndAsksNoMore) {
  Answer("one", 401);
  for (int i = 0; i < 20; ++i) {
    Notice("order:" + std::to_string(i));
  }
  Work();
  EXPECT_EQ(transport_.calls["one.example"], 1);
  EXPECT_THAT(producer_.Topic("crm.retry.acme.10m"), SizeIs(20));
  EXPECT_EQ(producer_.Read<raw::v1::Retry>("crm.retry.acme.10m")[0].reason(), "credential_refused");
  EXPECT_EQ(Metric("crm_auth_failures_total"), 1);
  ExpectBooksBalance();
  // The owner changes the password.
  vault_.version = 2;
  Answer("one", 200);
  Pass(absl::Minutes(11));
  EXPECT_THAT(Records(), SizeIs(20));
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ACredentialThatChangesWakesWhatItParked) {
  Answer("one", 401);
  Answer("two", 401);
  for (int i = 0; i < 20; ++i) {
    Notice("order:" + std::to_string(i));
    Notice("order:" + std::to_string(i), "", "int_2");
  }
  Pass(absl::Minutes(2));
  EXPECT_EQ(transport_.calls["one.example"], 1) << "nobody is asked meanwhile but the vault";
  // Their owners change the passwords; that of the second one is wrong again.
  Answer("one", 200);
  vault_.version = 2;
  Pass(absl::Seconds(20));
  EXPECT_THAT(Records(), SizeIs(20));
  EXPECT_EQ(transport_.calls["two.example"], 2);
  ExpectBooksBalance();
  // A restart knows nothing of refusals: one more try, and no more.
  Restart();
  Pass(absl::Minutes(1));
  EXPECT_EQ(transport_.calls["two.example"], 3);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, AnotherCredentialWakesTheIntegration) {
  vault_.error = absl::UnauthenticatedError("refused");
  Notice("order:1");
  Pass(absl::Minutes(1));
  EXPECT_THAT(Records(), SizeIs(0));
  vault_.error = absl::OkStatus();
  PutIntegration("int_1", "three", true);
  Pass(absl::Seconds(1));
  EXPECT_THAT(Records(), SizeIs(1));
  ExpectBooksBalance();
}

TEST_F(ReaderTest, FreshAccessIsTriedAtOnce) {
  transport_.handlers["one.example"] = [this](const http::Request&) {
    int status = vault_.version == 1 ? 401 : 200;
    vault_.version = 2;
    return http::Response{status, {}, "1"};
  };
  Notice("order:1");
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("1"));
}

TEST_F(ReaderTest, VaultAwayParksWithoutCounting) {
  vault_.error = absl::UnavailableError("away");
  Notice("order:1");
  Work();
  auto parked = producer_.Read<raw::v1::Retry>(kSoon);
  ASSERT_THAT(parked, SizeIs(1));
  EXPECT_EQ(parked[0].reason(), "vault_unavailable");
  EXPECT_EQ(parked[0].attempt(), 0);
  vault_.error = absl::OkStatus();
  Pass(absl::Seconds(6));
  EXPECT_THAT(RecordIds(), ElementsAre("1"));
}

TEST_F(ReaderTest, NothingWaitsForEver) {
  options_.retry.give_up_after = absl::Minutes(1);
  Restart();
  vault_.error = absl::UnavailableError("away");
  Notice("order:1");
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Minutes(2));
  ASSERT_THAT(Dead(), SizeIs(2));
  EXPECT_EQ(Dead()[0].reason(), "gave_up");
  EXPECT_NE(Dead()[0].message().find("vault_unavailable"), std::string::npos);
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_FAILED);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, CrmWithoutObjectsIsSaid) {
  adapter_.has_source = false;
  Notice("order:1");
  Feed(kPolls, Tick("pass").SerializeAsString());
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(Dead()[0].reason(), "unimplemented");
  EXPECT_EQ(Done("cannot_list"), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PassOfAnIntegrationSwitchedOffEnds) {
  Objects({{"/list/", "1 1\nnext p2\n"}, {"/obj/1", "1"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  PutIntegration("int_1", "one", false);
  Pass(absl::Seconds(6));
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_FAILED);
  EXPECT_EQ(Done("inactive"), 1);
  PutIntegration("int_1", "one", true);
  Objects({{"/list/", "cursor c1\n"}});
  Feed(kPolls, Tick("another").SerializeAsString());
  Work();
  EXPECT_EQ(Progress().cursor(), "c1");
  ExpectBooksBalance();
}

// ---- One tenant never holds up another
// ------------------------------------------------------------

TEST_F(ReaderTest, FailingAccountTripsItsBreakerOnly) {
  Answer("one", 500);
  for (int i = 0; i < 30; ++i) {
    Notice("order:" + std::to_string(i), "", "int_1");
    Notice("order:" + std::to_string(i), "", "int_2");
  }
  Work();
  EXPECT_EQ(transport_.calls["one.example"], 5) << "then the breaker is open";
  EXPECT_THAT(Records(), SizeIs(30)) << "the other account is read";
  EXPECT_EQ(Committed(kNotices), 60) << "and nothing is held up";
  reader_->Tick();
  EXPECT_EQ(Metric("crm_circuit_open"), 1);
  ExpectBooksBalance();
  Answer("one", 200);
  Pass(absl::Seconds(40));
  EXPECT_THAT(Records(), SizeIs(60));
  EXPECT_EQ(Metric("crm_circuit_open"), 0);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, WhatIsNotDoneInTimeIsParked) {
  for (int i = 0; i < 3; ++i) {
    Notice("order:" + std::to_string(i));
  }
  Pass(absl::Milliseconds(1250), /*work=*/false);
  EXPECT_THAT(producer_.Topic(kSoon), SizeIs(3));
  EXPECT_EQ(Committed(kNotices), 3);
  EXPECT_EQ(Metric("events_parked"), 3);
  ExpectBooksBalance();
  // Their reads stayed in the lane; coming back, they find them done.
  Work();
  EXPECT_THAT(Records(), SizeIs(3));
  Pass(absl::Seconds(6));
  EXPECT_THAT(Records(), SizeIs(3));
  EXPECT_EQ(Done("already_read"), 3);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RateLimitHoldsForAllIntegrationsOfAnAccount) {
  adapter_.limit = {
      .units = 20, .interval = absl::Seconds(2), .unit_price = 4, .reader_share = 0.5};
  std::vector<absl::Time> calls;
  transport_.handlers["one.example"] = [&](const http::Request&) {
    calls.push_back(clock_.Now());
    return http::Response{200, {}, "1"};
  };
  for (int i = 0; i < 20; ++i) {
    Notice("order:" + std::to_string(i), "", i % 2 == 0 ? "int_1" : "int_1b");
  }
  Pass(absl::Seconds(60));
  EXPECT_THAT(Records(), SizeIs(20));
  ASSERT_THAT(calls, SizeIs(20)) << "nothing is read twice for having been parked";
  for (size_t i = 2; i < calls.size(); ++i) {
    EXPECT_GE(calls[i] - calls[i - 2], absl::Seconds(2));
  }
  EXPECT_LE(calls.back() - calls.front(), absl::Seconds(23)) << "at nearly the full rate";
  ExpectBooksBalance();
}

TEST_F(ReaderTest, StrictestLimitOfTheIntegrationsOfAnAccountHolds) {
  adapter_.limit_of = [](const google::protobuf::Any& settings) {
    return crm::RateLimit{.units = settings.value() == "slow" ? 1.0 : 1000.0,
                          .interval = absl::Seconds(2),
                          .reader_share = 1};
  };
  PutIntegration("int_1b", "one", true, "", "", "slow");
  std::vector<absl::Time> calls;
  transport_.handlers["one.example"] = [&](const http::Request&) {
    calls.push_back(clock_.Now());
    return http::Response{200, {}, "1"};
  };
  Notice("order:1", "", "int_1b");
  for (int i = 2; i < 6; ++i) {
    Notice("order:" + std::to_string(i), "", "int_1");
  }
  Pass(absl::Seconds(20));
  ASSERT_THAT(calls, SizeIs(5));
  for (size_t i = 1; i < calls.size(); ++i) {
    EXPECT_GE(calls[i] - calls[i - 1], absl::Seconds(2));
  }
  // Switched off, it slows nobody down; nor does it with other settings.
  PutIntegration("int_1b", "one", false, "", "", "slow");
  Pass(absl::Seconds(10));
  for (int i = 6; i < 10; ++i) {
    Notice("order:" + std::to_string(i), "", "int_1");
  }
  Work();
  EXPECT_THAT(calls, SizeIs(9));
}

// A login only claims to belong to a CRM account.
TEST_F(ReaderTest, WhoClaimsTheAccountOfAnotherSlowsHimselfDownOnly) {
  PutIntegration("int_x", "one", true, "tenant-x", "x.example");
  transport_.handlers["x.example"] = [](const http::Request&) {
    return http::Response{429, {{"retry-ms", "600000"}}, ""};
  };
  Notice("order:66", "", "int_x");
  Work();
  ASSERT_EQ(transport_.calls["x.example"], 1);
  Notice("order:7");
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("7")) << "the pause is the other's";
  // Nor does it wait for the breaker, or behind a flood.
  Answer("x", 500);
  Pass(absl::Minutes(12));
  for (int i = 0; i < 20; ++i) {
    Notice("order:" + std::to_string(i), "", "int_x");
  }
  Work();
  clock_.Advance(absl::Seconds(1));
  reader_->Tick();
  EXPECT_EQ(Metric("crm_circuit_open"), 1);
  Notice("order:8");
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("7", "8"));
}

// Folding decides whether a CRM that allows a call a second can be served: 300 notices within a
// minute, each of which asks for a read, are as many reads as the limit lets through, the last
// state of each object among them, and no notice waits for its turn in vain.
TEST_F(ReaderTest, OneCallASecondServesFiveNoticesASecond) {
  adapter_.limit = {.units = 2, .interval = absl::Seconds(2), .reader_share = 1};
  constexpr int kObjects = 8;
  std::vector<absl::Time> calls;
  std::map<std::string, absl::Time> read_at;
  transport_.handlers["one.example"] = [&](const http::Request& request) {
    calls.push_back(clock_.Now());
    const size_t at = request.url.find("/obj/") + 5;
    read_at[request.url.substr(at, request.url.find('?') - at)] = clock_.Now();
    return http::Response{200, {}, std::to_string(absl::ToUnixMicros(clock_.Now()))};
  };
  std::map<std::string, absl::Time> last_notice;
  for (int i = 0; i < 300; ++i) {
    const std::string id = std::to_string(i * 7 % kObjects);
    Notice("order:" + id);
    last_notice[id] = clock_.Now();
    Pass(absl::Milliseconds(200));
  }
  const absl::Time end = clock_.Now();
  while (reader_->in_progress() > 0 || Metric("events_parked") > 0) {
    Pass(absl::Seconds(1));
    ASSERT_LT(clock_.Now(), end + absl::Minutes(5));
  }
  absl::Time last_read = absl::InfinitePast();
  for (const auto& [id, noticed] : last_notice) {
    EXPECT_GE(read_at[id], noticed) << "the last state of " << id << " is read";
    last_read = std::max(last_read, read_at[id]);
  }
  // A round through all objects takes as many seconds as there are objects.
  EXPECT_LE(last_read, end + absl::Seconds(kObjects + 3));
  EXPECT_LE(calls.size(), 75u);
  for (size_t i = 2; i < calls.size(); ++i) {
    EXPECT_GE(calls[i] - calls[i - 2], absl::Seconds(2)) << "call " << i;
  }
  RecordProperty("notices", 300);
  RecordProperty("calls", static_cast<int>(calls.size()));
  RecordProperty("seconds_after_the_last_notice",
                 static_cast<int>(absl::ToInt64Seconds(last_read - end)));
  EXPECT_THAT(Dead(), IsEmpty());
  EXPECT_EQ(Metric("events_in_total", "kind=\"notice\""), 300);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RateLimitIsUsedUp) {
  adapter_.limit = {
      .units = 45, .interval = absl::Seconds(3), .unit_price = 3, .reader_share = 0.7};
  transport_.handlers["one.example"] = [&](const http::Request&) {
    clock_.Advance(absl::Milliseconds(20));
    return http::Response{200, {}, "1"};
  };
  for (int i = 0; i < 100; ++i) {
    Notice("order:" + std::to_string(i));
  }
  absl::Time begin = clock_.Now();
  while (Records().size() < 100 && clock_.Now() - begin < absl::Minutes(2)) {
    Pass(absl::Milliseconds(50));
  }
  // Ten calls in 3.15 s, the first ten at once.
  EXPECT_LE(clock_.Now() - begin, absl::Seconds(3.15 * 9 * 1.1));
  Pass(absl::Minutes(3));
  EXPECT_THAT(Records(), SizeIs(100));
  ExpectBooksBalance();
}

TEST_F(ReaderTest, CrmThatSaysSlowerIsObeyed) {
  std::vector<absl::Time> calls;
  transport_.handlers["one.example"] = [&](const http::Request&) {
    calls.push_back(clock_.Now());
    return calls.size() == 1 ? http::Response{429, {{"retry-ms", "3000"}}, ""}
                             : http::Response{200, {}, "1"};
  };
  Notice("order:1", "", "int_1");
  Notice("order:2", "", "int_1b");
  Notice("order:3", "", "int_2");
  Work();
  EXPECT_THAT(RecordIds(), ElementsAre("3")) << "the other account is not concerned";
  Pass(absl::Seconds(10));
  EXPECT_THAT(Records(), SizeIs(3));
  ASSERT_THAT(calls, SizeIs(3));
  EXPECT_GE(calls[1] - calls[0], absl::Seconds(3));
  EXPECT_EQ(Metric("crm_rate_limited_total"), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, WhatComesDuringAPauseIsParkedUntilItsEnd) {
  Answer("one", 429, {{"retry-ms", "600000"}});
  Notice("order:1");
  Work();
  Answer("one", 200);
  Notice("order:2");
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Minutes(9));
  EXPECT_THAT(producer_.Topic(kSoon), IsEmpty());
  EXPECT_EQ(Metric("events_parked", "rate_limited"), 2);
  EXPECT_EQ(Metric("events_parked", "page_unfinished"), 1);
  Objects({{"/list/", "cursor c9\n"}, {"/obj/1", "1"}, {"/obj/2", "1"}});
  Pass(absl::Minutes(3));
  EXPECT_THAT(RecordIds(), ::testing::UnorderedElementsAre("1", "2"));
  EXPECT_EQ(Progress().cursor(), "c9");
  EXPECT_EQ(Metric("events_parked"), 0);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ObjectOfAPageThatWaitsForItsTurnIsReadOnce) {
  int reads = 0;
  int status = 500;
  transport_.handlers["one.example"] = [&](const http::Request& request) {
    if (request.url.find("/list/") != std::string::npos) {
      return http::Response{200, {}, "2 1\ncursor c9\n"};
    }
    reads += request.url.find("/obj/2") != std::string::npos ? 1 : 0;
    return http::Response{status, {{"retry-ms", "4500"}}, "1"};
  };
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_EQ(reads, 1);
  // When it comes back, the account has to rest.
  Pass(absl::Seconds(4));
  status = 429;
  Notice("order:9");
  Work();
  status = 200;
  Pass(absl::Minutes(3));
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(Done("already_read"), 2);
  EXPECT_EQ(Metric("events_parked"), 0);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, OneAccountCannotFillTheReader) {
  options_.most_items_of_lane = 10;
  Restart();
  for (int i = 0; i < 25; ++i) {
    Notice("order:" + std::to_string(i));
  }
  EXPECT_THAT(producer_.Topic(kSoon), SizeIs(15));
  EXPECT_EQ(reader_->in_progress(), 10u);
  ExpectBooksBalance();
}

// A notice may name thousands of objects: they take their turns, a thousand reads at a time.
TEST_F(ReaderTest, NoticesOfManyObjectsAreReadInTurns) {
  transport_.handlers["one.example"] = [](const http::Request& request) {
    const bool is_odd = request.url.find("/obj/5?") != std::string::npos;
    return http::Response{200, {}, is_odd ? "x" : "1"};
  };
  std::string first;
  std::string second;
  for (int i = 0; i < 2'500; ++i) {
    first += fmt::format("order:{},", i);
    second += fmt::format("order:{},", 10'000 + i);
  }
  Notice(first);
  Notice(second);
  Pass(absl::Milliseconds(1100), /*work=*/false);
  EXPECT_LE(Metric("queue_depth"), 1'000);
  Pass(absl::Minutes(4));
  auto ids = RecordIds();
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 4'999u);
  EXPECT_THAT(Dead(), SizeIs(1)) << "the object that can't pass is not forgotten over the others";
  EXPECT_EQ(reader_->in_progress(), 0u);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, FullReaderPausesItsPartitions) {
  options_.most_items = 3;
  Restart();
  Notice("order:1");
  Notice("order:2");
  EXPECT_THAT(reader_->Paused(), IsEmpty());
  Notice("order:3");
  EXPECT_EQ(reader_->Paused().size(), partitions_.size());
  Work();
  EXPECT_THAT(reader_->Paused(), IsEmpty());
}

TEST_F(ReaderTest, RetryPartitionIsPausedUntilItsHeadIsDue) {
  Answer("one", 500);
  Notice("order:1");
  Work();
  BringBack();
  EXPECT_THAT(reader_->Paused(), ElementsAre(kafka::TopicPartition{kSoon, 0}));
  EXPECT_EQ(Committed(kSoon), std::nullopt);
  Answer("one", 200);
  Pass(absl::Seconds(6));
  EXPECT_THAT(reader_->Paused(), IsEmpty());
  EXPECT_EQ(Committed(kSoon), 1);
}

// Each partition holds what came with one poll, and there may be many.
TEST_F(ReaderTest, RetriesThatAreNotDueAreFetchedWithinBounds) {
  options_.most_bytes = 8 * 1024;
  partitions_.push_back({kSoon, 1});
  Restart();
  vault_.error = absl::UnavailableError("away");
  Notice("order:1," + std::string(1024, '1'));
  Work();
  BringBack();
  EXPECT_THAT(reader_->Paused(),
              ElementsAre(kafka::TopicPartition{kSoon, 0}, kafka::TopicPartition{kSoon, 1}));
  vault_.error = absl::OkStatus();
  clock_.Advance(absl::Seconds(5));
  reader_->Tick();
  Work();
  EXPECT_THAT(reader_->Paused(), IsEmpty());
  ExpectBooksBalance();
}

// With real threads: one account hangs, the other on the same partition keeps its latency.
TEST_F(ReaderTest, HangingAccountDoesNotSlowTheOther) {
  class WallClock final : public Clock {
   public:
    absl::Time Now() const override { return Clock::System().Now(); }
    void Sleep(absl::Duration duration) override { Clock::System().Sleep(duration); }
  } clock;
  std::atomic<bool> release = false;
  transport_.handlers["one.example"] = [&](const http::Request&) -> Result<http::Response> {
    while (!release) {
      clock.Sleep(absl::Milliseconds(5));
    }
    return absl::DeadlineExceededError("hung");
  };
  transport_.handlers["two.example"] = [](const http::Request&) {
    return http::Response{200, {}, "1"};
  };
  options_.park_after = absl::Milliseconds(200);
  Outbox outbox(producer_, clock);
  AccessCache access({}, clock, vault_);
  Reader reader(options_,
                {clock, adapter_, transport_, access, integrations_, cursors_, outbox, *metrics_});
  reader.Assign(partitions_);
  std::atomic<bool> working = true;
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] {
      while (working) {
        uint64_t seen = reader.work_seen();
        if (!reader.RunOne()) {
          reader.WaitForWork(seen, absl::Milliseconds(50));
        }
      }
    });
  }
  absl::Time longest_begin;
  absl::Duration longest;
  size_t expected = 0;
  for (int i = 0; i < 40; ++i) {
    for (const char* integration : {"int_1", "int_2"}) {
      raw::v1::Notice notice;
      notice.set_id(std::string(integration) + std::to_string(i));
      notice.set_integration_id(integration);
      notice.set_body("order:" + std::to_string(i));
      kafka::InRecord record;
      record.topic = kNotices;
      record.offset = next_offset_[kNotices]++;
      record.value = notice.SerializeAsString();
      reader.Accept({std::move(record)});
    }
    longest_begin = clock.Now();
    ++expected;
    while (producer_.Topic(kRecords).size() < expected &&
           clock.Now() - longest_begin < absl::Seconds(5)) {
      clock.Sleep(absl::Milliseconds(1));
      reader.Tick();
    }
    longest = std::max(longest, clock.Now() - longest_begin);
  }
  EXPECT_LT(longest, absl::Seconds(1));
  EXPECT_EQ(producer_.Topic(kRecords).size(), expected);
  absl::Time begin = clock.Now();
  int64_t committed = 0;
  while (committed < 80 && clock.Now() - begin < absl::Seconds(5)) {
    reader.Tick();
    for (const auto& [partition, offset] : reader.TakeCommits()) {
      committed = offset;
    }
    clock.Sleep(absl::Milliseconds(1));
  }
  EXPECT_EQ(committed, 80) << "parked, with a read still under way";
  release = true;
  working = false;
  for (std::thread& worker : workers) {
    worker.join();
  }
  EXPECT_EQ(Metric("events_in_total"),
            Metric("events_done_total") + Metric("events_in_progress") + Metric("events_parked"));
}

TEST_F(ReaderTest, LateAnswerIsUsedAndTheParkedNoticeFindsItDone) {
  bool parked_meanwhile = false;
  transport_.handlers["one.example"] = [&](const http::Request&) {
    clock_.Advance(absl::Seconds(3));
    reader_->Tick();
    parked_meanwhile = producer_.Topic(kSoon).size() == 1;
    return http::Response{200, {}, "1"};
  };
  Notice("order:1");
  Work();
  EXPECT_TRUE(parked_meanwhile);
  EXPECT_THAT(Records(), SizeIs(1));
  EXPECT_EQ(Committed(kNotices), 1);
  Pass(absl::Seconds(6));
  EXPECT_THAT(Records(), SizeIs(1));
  EXPECT_EQ(Done("already_read"), 1);
  ExpectBooksBalance();
}

// ---- Crashes and rebalances
// -----------------------------------------------------------------------

TEST_F(ReaderTest, NothingIsCommittedBeforeItsOutputIsDurable) {
  producer_.hold = true;
  Notice("order:1");
  Notice("!bad");
  Notice("order:1", "", "int_9");
  Work();
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  // The process dies between producing and committing: all three are read again.
  Restart();
  producer_.hold = false;
  next_offset_[kNotices] = 0;
  Notice("order:1");
  Notice("!bad");
  Notice("order:1", "", "int_9");
  Work();
  EXPECT_EQ(Committed(kNotices), 3);
  EXPECT_THAT(RecordIds(), ElementsAre("1", "1")) << "at least once";
  ExpectBooksBalance();
}

TEST_F(ReaderTest, BrokerThatIsAwayDelaysAndLosesNothing) {
  producer_.away = true;
  Notice("order:1");
  Work();
  Pass(absl::Seconds(3));
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  producer_.away = false;
  producer_.full = true;
  Pass(absl::Seconds(1));
  producer_.full = false;
  Pass(absl::Seconds(7));
  EXPECT_EQ(Committed(kNotices), 1);
  EXPECT_THAT(RecordIds(), ElementsAre("1"));
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RevokedPartitionsAreHandedOver) {
  Answer("one", 500);
  Notice("order:1");
  Work();
  Answer("one", 200);
  Notice("order:2");
  Notice("order:3", "", "int_2");
  BringBack();
  auto offsets = reader_->Revoke(partitions_);
  ASSERT_THAT(offsets, SizeIs(1));
  EXPECT_EQ(offsets[0].second, 1) << "of notices, the parked one is done";
  EXPECT_EQ(reader_->in_progress(), 0u);
  ExpectBooksBalance();
  EXPECT_EQ(Metric("events_parked"), 0);
  Work();
  EXPECT_THAT(Records(), IsEmpty()) << "forgotten";
  // And back again: read from the committed positions.
  reader_->Assign(partitions_);
  retried_.clear();
  next_offset_[kNotices] = 1;
  notices_ = 1;
  Notice("order:2");
  Notice("order:3", "", "int_2");
  Pass(absl::Seconds(6));
  EXPECT_EQ(RecordIds().size(), 3u);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, RecordsOfAPartitionThatIsGoneAreLeftToTheNextOwner) {
  Notice("order:1");
  EXPECT_THAT(reader_->Revoke(partitions_), IsEmpty()) << "order 1 isn't done";
  // Polled before the rebalance and handed in after it: a position behind it would pass order 1 by.
  Notice("order:2");
  Work();
  EXPECT_EQ(Committed(kNotices), std::nullopt);
  EXPECT_EQ(reader_->in_progress(), 0u);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, BooksBalanceAfterARestartWithParkedItems) {
  Answer("one", 500);
  for (int i = 0; i < 4; ++i) {
    Notice("order:" + std::to_string(i));
  }
  Work();
  ASSERT_THAT(producer_.Topic(kSoon), SizeIs(4));
  Restart();
  Answer("one", 200);
  BringBack();
  EXPECT_EQ(Metric("events_in_total", "kind=\"retry\""), 4);
  EXPECT_EQ(Metric("events_parked"), 4);
  ExpectBooksBalance();
  Pass(absl::Seconds(6));
  EXPECT_THAT(Records(), SizeIs(4));
  EXPECT_EQ(Metric("events_parked"), 0);
  ExpectBooksBalance();
}

// ---- Polls
// ------------------------------------------------------------------------------------------

TEST_F(ReaderTest, PassGoesPageByPageAndMovesTheCursorAtItsEnd) {
  Objects({{"/list/", "1 1\n2 1\nnext p2\n"},
           {"/list/p2", "3 1\ncursor c9\n"},
           {"/obj/1", "1"},
           {"/obj/2", "1"},
           {"/obj/3", "1"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_THAT(RecordIds(), ::testing::UnorderedElementsAre("1", "2"));
  EXPECT_EQ(Records()[0].cause(), deal::v1::CAUSE_RECONCILIATION);
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_RUNNING);
  EXPECT_EQ(Progress().cursor(), "");
  EXPECT_EQ(Progress().listed(), 2);
  EXPECT_EQ(producer_.Topic(kCursors)[0].record.key, "int_1/reconciliation");
  auto next = producer_.Read<raw::v1::PollTick>(kPolls);
  ASSERT_THAT(next, SizeIs(1));
  EXPECT_EQ(next[0].page_token(), "p2");
  EXPECT_EQ(Committed(kPolls), 1);
  Pass(absl::Milliseconds(100));
  EXPECT_THAT(Records(), SizeIs(3));
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_DONE);
  EXPECT_EQ(Progress().cursor(), "c9");
  EXPECT_EQ(Progress().listed(), 3);
  EXPECT_EQ(Progress().read(), 3);
  EXPECT_EQ(Metric("polls_total", "outcome=\"done\""), 1);
  ExpectBooksBalance();

  // The next pass begins at the cursor, and what is known in that version isn't read again.
  Objects({{"/list/", "3 1\n4 1\ncursor c10\n"}, {"/obj/4", "1"}});
  Feed(kPolls, Tick("next").SerializeAsString());
  Work();
  EXPECT_NE(transport_.requests[transport_.requests.size() - 2].url.find("cursor=c9"),
            std::string::npos);
  EXPECT_EQ(RecordIds().back(), "4");
  EXPECT_THAT(Records(), SizeIs(4));
  EXPECT_EQ(Progress().cursor(), "c10");
  EXPECT_EQ(Progress().read(), 1);
}

TEST_F(ReaderTest, WhatAListingGivesWholeIsNotRead) {
  Objects({{"/list/", "1 5 whole\n2 6\n3 7 old\n3 8 new\ncursor c9\n"}, {"/obj/2", "6"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  std::map<std::string, raw::v1::Record> by_id;
  for (const raw::v1::Record& record : Records()) {
    by_id[record.external_id()] = record;
  }
  ASSERT_THAT(by_id, SizeIs(3));
  EXPECT_EQ(by_id["1"].version(), 5);
  EXPECT_EQ(by_id["1"].parts(0).name(), "object");
  EXPECT_EQ(by_id["1"].parts(0).body(), "whole");
  EXPECT_EQ(by_id["1"].cause(), deal::v1::CAUSE_RECONCILIATION);
  EXPECT_EQ(FromProto(by_id["1"].observed_at()), clock_.Now());
  EXPECT_EQ(by_id["2"].parts(0).body(), "6");
  EXPECT_EQ(by_id["3"].version(), 8) << "listed twice: the newer counts";
  EXPECT_EQ(by_id["3"].parts(0).body(), "new");
  EXPECT_EQ(transport_.calls["one.example"], 2) << "the list and the object that it doesn't give";
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_DONE);
  EXPECT_EQ(Progress().read(), 3);
  ExpectBooksBalance();

  // Known in that version and with that content: not written again.
  Objects({{"/list/", "1 5 whole\n3 8 changed\ncursor c10\n"}});
  Feed(kPolls, Tick("next").SerializeAsString());
  Work();
  ASSERT_THAT(Records(), SizeIs(4));
  EXPECT_EQ(Records()[3].external_id(), "3")
      << "a second change within one tick of the CRM's clock";
  EXPECT_EQ(Records()[3].parts(0).body(), "changed");
}

TEST_F(ReaderTest, NoticeAfterTheListingReadsWhatTheListingGave) {
  Objects({{"/list/", "1 5 listed\ncursor c9\n"}, {"/obj/1", "6"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  ASSERT_TRUE(reader_->RunOne());
  std::string notice = Notice("order:1");
  Work();
  ASSERT_THAT(Records(), SizeIs(1));
  EXPECT_EQ(Records()[0].version(), 6);
  EXPECT_THAT(Records()[0].notice_ids(), ElementsAre(notice));
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_DONE);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, GivenObjectsWaitWithTheirPage) {
  Objects({{"/list/", "1 5 whole\ncursor c9\n"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  ASSERT_TRUE(reader_->RunOne());
  PutIntegration("int_1", "one", false);
  Work();
  EXPECT_THAT(Records(), IsEmpty()) << "nothing of an integration that was switched off meanwhile";
  PutIntegration("int_1", "one", true);
  Pass(absl::Minutes(1));
  ASSERT_THAT(Records(), SizeIs(1));
  EXPECT_EQ(Records()[0].parts(0).body(), "whole");
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, CursorNeverPassesWhatIsNotRecorded) {
  Objects({{"/list/", "1 1\ncursor c9\n"}, {"/obj/1", "1"}});
  producer_.hold = true;
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_THAT(producer_.Topic(kCursors), IsEmpty());
  EXPECT_EQ(Committed(kPolls), std::nullopt);
  producer_.Release();
  EXPECT_EQ(Progress().cursor(), "c9");
  EXPECT_EQ(Committed(kPolls), 1);
}

TEST_F(ReaderTest, ObjectOfAPageThatFailsIsParkedForItself) {
  transport_.handlers["one.example"] = [](const http::Request& request) {
    if (request.url.find("/list/") != std::string::npos) {
      return http::Response{200, {}, "1 1\n2 1\ncursor c9\n"};
    }
    return http::Response{request.url.find("/obj/2") != std::string::npos ? 500 : 200, {}, "1"};
  };
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_EQ(Progress().cursor(), "c9");
  auto parked = producer_.Read<raw::v1::Retry>(kSoon);
  ASSERT_THAT(parked, SizeIs(1));
  ASSERT_EQ(parked[0].objects_size(), 1);
  EXPECT_EQ(parked[0].objects(0).external_id(), "2");
  EXPECT_EQ(parked[0].tick().poll_id(), "pass");
  ExpectBooksBalance();
  Answer("one", 200);
  Pass(absl::Seconds(6));
  EXPECT_EQ(RecordIds().back(), "2");
  EXPECT_EQ(Records().back().cause(), deal::v1::CAUSE_RECONCILIATION);
  EXPECT_EQ(Metric("events_parked"), 0);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ObjectThatIsHiddenFromUsDoesNotStopItsPass) {
  transport_.handlers["one.example"] = [](const http::Request& request) {
    if (request.url.find("/list/p2") != std::string::npos) {
      return http::Response{200, {}, "3 1\ncursor c9\n"};
    }
    if (request.url.find("/list/") != std::string::npos) {
      return http::Response{200, {}, "1 1\n2 1\nnext p2\n"};
    }
    return http::Response{request.url.find("/obj/2") != std::string::npos ? 403 : 200, {}, "1"};
  };
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Milliseconds(200));
  EXPECT_THAT(RecordIds(), ElementsAre("1", "3"));
  EXPECT_EQ(Progress().cursor(), "c9");
  auto parked = producer_.Read<raw::v1::Retry>("crm.retry.acme.10m");
  ASSERT_THAT(parked, SizeIs(1));
  ASSERT_EQ(parked[0].objects_size(), 1);
  EXPECT_EQ(parked[0].objects(0).external_id(), "2");
  EXPECT_EQ(parked[0].reason(), crm::kObjectForbidden);
  ExpectBooksBalance();
  // Somebody lets us see it.
  Answer("one", 200);
  Pass(absl::Minutes(11));
  EXPECT_EQ(RecordIds().back(), "2");
  EXPECT_EQ(Metric("events_parked"), 0);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ReadThatTheAccountDoesNotAllowParksTheTick) {
  transport_.handlers["one.example"] = [](const http::Request& request) {
    if (request.url.find("/list/") != std::string::npos) {
      return http::Response{200, {}, "2 1\n3 1\ncursor c9\n"};
    }
    return http::Response{412, {}, ""};
  };
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  auto parked = producer_.Read<raw::v1::Retry>("crm.retry.acme.10m");
  ASSERT_THAT(parked, SizeIs(1));
  EXPECT_TRUE(parked[0].has_tick());
  EXPECT_EQ(Progress().cursor(), "");
}

TEST_F(ReaderTest, ListingThatIsForbiddenParksItsTick) {
  Answer("one", 403);
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  auto parked = producer_.Read<raw::v1::Retry>("crm.retry.acme.10m");
  ASSERT_THAT(parked, SizeIs(1));
  EXPECT_EQ(parked[0].objects_size(), 0);
  Objects({{"/list/", "cursor c9\n"}});
  Pass(absl::Minutes(11));
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ObjectOfAPageThatCannotPassIsADeadLetterOfItsOwn) {
  Objects({{"/list/", "1 1\n2 1\ncursor c9\n"}, {"/obj/1", "1"}, {"/obj/2", "garbage"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_DONE);
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(Dead()[0].topic(), kSoon);
  ExpectBooksBalance();
  // Redriven, it is that object again and not the page.
  Objects({{"/obj/2", "5"}});
  kafka::InRecord record;
  record.topic = kSoon;
  record.offset = 100;
  record.value = Dead()[0].value();
  reader_->Accept({record});
  Work();
  EXPECT_EQ(RecordIds().back(), "2");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, LongPageIsParkedAndGoesOnAllTheSame) {
  adapter_.limit = {.units = 2, .interval = absl::Seconds(1), .reader_share = 1};
  std::map<std::string, std::string> objects = {{"/list/", ""}};
  for (int i = 0; i < 10; ++i) {
    objects["/list/"] += std::to_string(i) + " 1\n";
    objects["/obj/" + std::to_string(i)] = "1";
  }
  objects["/list/"] += "cursor c9\n";
  Objects(objects);
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Milliseconds(1500));
  EXPECT_EQ(Committed(kPolls), 1) << "its partition is not held up";
  EXPECT_EQ(Metric("events_parked"), 1);
  Pass(absl::Seconds(8));
  EXPECT_THAT(Records(), SizeIs(10));
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_DONE);
  Pass(absl::Seconds(40));
  EXPECT_EQ(transport_.calls["one.example"], 11) << "listed once, each read once";
  EXPECT_EQ(Done("same_page"), 1);
  EXPECT_EQ(Metric("events_parked"), 0);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, ParkedPageSurvivesACrash) {
  adapter_.limit = {.units = 2, .interval = absl::Seconds(1), .reader_share = 1};
  Objects({{"/list/", "1 1\n2 1\n3 1\n4 1\n5 1\ncursor c9\n"},
           {"/obj/1", "1"},
           {"/obj/2", "1"},
           {"/obj/3", "1"},
           {"/obj/4", "1"},
           {"/obj/5", "1"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Milliseconds(1500));
  Restart();
  Pass(absl::Seconds(40));
  auto ids = RecordIds();
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 5u);
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, NewPassIsSkippedWhileAnOlderOneRuns) {
  Objects({{"/list/", "1 1\nnext p2\n"}, {"/obj/1", "1"}});
  Feed(kPolls, Tick("first").SerializeAsString());
  Work();
  Feed(kPolls, Tick("second").SerializeAsString());
  Work();
  EXPECT_EQ(Done("pass_running"), 1);
  EXPECT_EQ(Metric("polls_total", "outcome=\"skipped\""), 1);
  Feed(kPolls, Tick("first").SerializeAsString());
  EXPECT_EQ(Done("same_page"), 1) << "a page isn't done twice";
  ExpectBooksBalance();
}

TEST_F(ReaderTest, SweepsOfAParkedAccountDoNotPileUp) {
  Answer("one", 401);
  for (int i = 0; i < 12; ++i) {
    Feed(kPolls, Tick(fmt::format("pass-{}", i)).SerializeAsString());
    Pass(absl::Minutes(10));
  }
  EXPECT_EQ(Metric("events_parked"), 1);
  EXPECT_EQ(Done("superseded"), 11);
  ExpectBooksBalance();
  // What a process parked before knows of nothing.
  Restart();
  BringBack();
  Feed(kPolls, Tick("after-restart").SerializeAsString());
  Work();
  EXPECT_EQ(Metric("events_parked"), 1);
  ExpectBooksBalance();
  const int calls = transport_.calls["one.example"];
  vault_.version = 2;
  Objects({{"/list/", "cursor c9\n"}});
  Pass(absl::Minutes(20));
  EXPECT_EQ(transport_.calls["one.example"], calls + 1);
  EXPECT_EQ(Progress().cursor(), "c9");
  EXPECT_EQ(Metric("events_parked"), 0);
  EXPECT_THAT(Dead(), IsEmpty());
  // Nothing is left of it that the next one would give way to.
  Answer("one", 503);
  Feed(kPolls, Tick("next").SerializeAsString());
  Work();
  EXPECT_EQ(Metric("events_parked"), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, BackfillsAndSweepsOfAChosenTimeWaitEachForItself) {
  Answer("one", 401);
  for (const char* id : {"a", "b"}) {
    raw::v1::PollTick tick = Tick(std::string("backfill-") + id);
    tick.set_cause(deal::v1::CAUSE_BACKFILL);
    Feed(kPolls, tick.SerializeAsString());
    tick = Tick(std::string("sweep-") + id);
    *tick.mutable_from() = ToProto(clock_.Now());
    Feed(kPolls, tick.SerializeAsString());
    Feed(kPolls, Tick("kept").SerializeAsString());
  }
  Work();
  EXPECT_EQ(Metric("events_parked"), 5);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, OldTickThatGivesUpSaysNothingOfANewerPass) {
  options_.retry.give_up_after = absl::Hours(1);
  Restart();
  Answer("one", 401);
  raw::v1::PollTick old = Tick("old");
  *old.mutable_created_at() = ToProto(clock_.Now());
  Feed(kPolls, old.SerializeAsString());
  Pass(absl::Minutes(1));
  raw::v1::PollProgress newer;
  newer.set_poll_id("newer");
  newer.set_state(raw::v1::POLL_STATE_DONE);
  *newer.mutable_updated_at() = ToProto(clock_.Now());
  cursors_.Put(Cursors::Key(old), newer);
  Pass(absl::Hours(3));
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(cursors_.Find(Cursors::Key(old))->poll_id(), "newer");
  EXPECT_THAT(producer_.Topic(kCursors), IsEmpty());
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PassWhoseNextTickIsRefusedFails) {
  Objects({{"/list/", "1 1\nnext " + std::string(2'000, 'p') + "\n"}, {"/obj/1", "1"}});
  producer_.too_large = 1'000;
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_FAILED);
  EXPECT_EQ(Metric("polls_total", "outcome=\"failed\""), 1);
  EXPECT_EQ(Committed(kPolls), 1);
  EXPECT_EQ(reader_->pages(), 0u);
  ExpectBooksBalance();
  Objects({{"/list/", "cursor c9\n"}});
  Feed(kPolls, Tick("next").SerializeAsString());
  Work();
  EXPECT_EQ(Progress().cursor(), "c9") << "not taken for one that still runs";
}

TEST_F(ReaderTest, PassWhoseProgressIsRefusedIsNotDone) {
  Objects({{"/list/", "cursor " + std::string(2'000, 'c') + "\n"}});
  producer_.too_large = 1'000;
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_EQ(Metric("polls_total", "outcome=\"done\""), 0);
  EXPECT_EQ(Metric("polls_total", "outcome=\"failed\""), 1);
  EXPECT_EQ(Metric("poll_last_success_timestamp_seconds"), 0);
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_FAILED);
  EXPECT_EQ(Committed(kPolls), 1);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PageOfAPartitionThatIsGoneWritesNoProgress) {
  Objects({{"/list/", "1 1\ncursor c9\n"}, {"/obj/1", "1"}});
  producer_.hold = true;
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  ASSERT_THAT(Records(), SizeIs(1));
  reader_->Revoke(partitions_);
  producer_.Release();
  EXPECT_THAT(producer_.Topic(kCursors), IsEmpty());
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PassThatCannotGoOnSaysSo) {
  Answer("one", 418);
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_FAILED);
  EXPECT_NE(Progress().error(), "");
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(Dead()[0].stage(), "list");
  EXPECT_EQ(Dead()[0].topic(), kPolls);
  EXPECT_EQ(Committed(kPolls), 1);
  EXPECT_EQ(Metric("polls_total", "outcome=\"failed\""), 1);
  ExpectBooksBalance();
  Objects({{"/list/", "cursor c1\n"}});
  Feed(kPolls, Tick("another").SerializeAsString());
  Work();
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_DONE);
  EXPECT_EQ(Progress().cursor(), "c1");
}

TEST_F(ReaderTest, SlowListingThatCannotPassEndsItsPass) {
  transport_.handlers["one.example"] = [this](const http::Request&) {
    // Its tick is parked meanwhile, of which the broker has not said anything yet.
    clock_.Advance(absl::Seconds(3));
    producer_.hold = true;
    reader_->Tick();
    return http::Response{418, {}, ""};
  };
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  EXPECT_THAT(producer_.Topic(kSoon), SizeIs(1));
  EXPECT_THAT(Dead(), IsEmpty()) << "a retry and a dead letter both";
  producer_.Release();
  Pass(absl::Seconds(20));
  EXPECT_EQ(transport_.calls["one.example"], 1);
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_FAILED);
  ASSERT_THAT(Dead(), SizeIs(1));
  EXPECT_EQ(Dead()[0].stage(), "list");
  EXPECT_EQ(Dead()[0].reason(), "data_loss");
  EXPECT_EQ(reader_->pages(), 0u);
  ExpectBooksBalance();
}

TEST_F(ReaderTest, SlowListingThatIsForbiddenRests) {
  transport_.handlers["one.example"] = [this](const http::Request&) {
    clock_.Advance(absl::Seconds(3));
    reader_->Tick();
    return http::Response{403, {}, ""};
  };
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Minutes(9));
  EXPECT_EQ(transport_.calls["one.example"], 1);
  auto parked = producer_.Read<raw::v1::Retry>("crm.retry.acme.10m");
  ASSERT_THAT(parked, SizeIs(1));
  EXPECT_EQ(parked[0].reason(), crm::kObjectForbidden);
  Objects({{"/list/", "cursor c9\n"}});
  Pass(absl::Minutes(2));
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, FailingAccountParksTheWholePage) {
  Answer("one", 500);
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  auto parked = producer_.Read<raw::v1::Retry>(kSoon);
  ASSERT_THAT(parked, SizeIs(1));
  EXPECT_EQ(parked[0].objects_size(), 0);
  EXPECT_EQ(Committed(kPolls), 1);
  Objects({{"/list/", "1 1\ncursor c9\n"}, {"/obj/1", "1"}});
  Pass(absl::Seconds(6));
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PageIsListedAgainAfterItsListingOpenedTheBreaker) {
  Answer("one", 500);
  Feed(kPolls, Tick("pass").SerializeAsString());
  for (int i = 0; i < 4; ++i) {
    Notice("order:" + std::to_string(i), "", "int_1b");
  }
  // Notices first: the fifth failure, which opens the breaker, is the listing's.
  Work();
  EXPECT_EQ(transport_.calls["one.example"], 5);
  Objects({{"/list/", "cursor c9\n"}});
  Pass(absl::Minutes(1));
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PageIsListedAgainAfterALongPause) {
  Answer("one", 429, {{"retry-ms", "90000"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  Objects({{"/list/", "cursor c9\n"}});
  Pass(absl::Minutes(3));
  EXPECT_EQ(Progress().cursor(), "c9");
  ExpectBooksBalance();
}

TEST_F(ReaderTest, NoticesGoBeforePages) {
  std::string page = "cursor c\n";
  std::map<std::string, std::string> objects = {{"/obj/n", "1"}};
  for (int i = 0; i < 10; ++i) {
    page += std::to_string(i) + " 1\n";
    objects["/obj/" + std::to_string(i)] = "1";
  }
  objects["/list/"] = page;
  Objects(objects);
  Feed(kPolls, Tick("pass").SerializeAsString());
  ASSERT_TRUE(reader_->RunOne());
  Notice("order:n");
  Work();
  auto ids = RecordIds();
  EXPECT_LT(std::find(ids.begin(), ids.end(), "n") - ids.begin(), 2);
}

TEST_F(ReaderTest, NoticeForAnObjectOfAPageIsOneRead) {
  Objects({{"/list/", "1 1\n2 1\ncursor c\n"}, {"/obj/1", "1"}, {"/obj/2", "1"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  ASSERT_TRUE(reader_->RunOne());
  std::string id = Notice("order:2");
  Work();
  EXPECT_THAT(Records(), SizeIs(2));
  EXPECT_EQ(Records()[0].external_id(), "2");
  EXPECT_EQ(Records()[0].cause(), deal::v1::CAUSE_WEBHOOK);
  EXPECT_THAT(Records()[0].notice_ids(), ElementsAre(id));
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_DONE);
  ExpectBooksBalance();
}

// ---- Memory
// -----------------------------------------------------------------------------------------

// The tick of a listed page is parked, and ends when it comes back: its page goes with it.
TEST_F(ReaderTest, PageOfAnIntegrationSwitchedOffIsForgotten) {
  adapter_.limit = {.units = 2, .interval = absl::Seconds(10), .reader_share = 1};
  Objects({{"/list/", "1 1\n2 1\n3 1\ncursor c1\n"}, {"/obj/1", "1"}, {"/obj/2", "1"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Milliseconds(1500));
  ASSERT_EQ(reader_->pages(), 1u);
  PutIntegration("int_1", "one", false);
  Pass(absl::Minutes(3));
  EXPECT_EQ(Done("inactive"), 1);
  EXPECT_EQ(reader_->pages(), 0u);
  EXPECT_EQ(Progress().state(), raw::v1::POLL_STATE_FAILED) << "nothing is written after that";
  ExpectBooksBalance();
}

TEST_F(ReaderTest, PageOfAPassThatAnotherOvertookIsForgotten) {
  adapter_.limit = {.units = 2, .interval = absl::Seconds(10), .reader_share = 1};
  Objects({{"/list/", "1 1\n2 1\n3 1\ncursor c1\n"}, {"/obj/1", "1"}, {"/obj/2", "1"}});
  Feed(kPolls, Tick("pass").SerializeAsString());
  Pass(absl::Milliseconds(1500));
  ASSERT_EQ(reader_->pages(), 1u);
  raw::v1::PollProgress other;
  other.set_poll_id("other");
  other.set_state(raw::v1::POLL_STATE_RUNNING);
  *other.mutable_updated_at() = ToProto(clock_.Now());
  cursors_.Put(Cursors::Key(Tick("pass")), other);
  Pass(absl::Minutes(3));
  EXPECT_EQ(reader_->pages(), 0u);
  EXPECT_EQ(cursors_.Find(Cursors::Key(Tick("pass")))->poll_id(), "other");
  EXPECT_EQ(Progress().poll_id(), "") << "nothing is written over it";
  ExpectBooksBalance();
}

// Its tick never comes back: it was handed to a broker that lost it, say.
TEST_F(ReaderTest, PageThatNothingIsDoneForIsForgotten) {
  vault_.error = absl::PermissionDeniedError("refused");
  Feed(kPolls, Tick("pass").SerializeAsString());
  Work();
  ASSERT_EQ(reader_->pages(), 1u);
  for (int i = 0; i < 15; ++i) {
    clock_.Advance(absl::Minutes(1));
    reader_->Tick();
  }
  EXPECT_EQ(reader_->pages(), 0u);
}

TEST_F(ReaderTest, LanesThatRestAreForgotten) {
  for (int i = 0; i < 50; ++i) {
    PutIntegration("int_x" + std::to_string(i), "x" + std::to_string(i), true);
    Notice("order:1", "", "int_x" + std::to_string(i));
  }
  Work();
  Pass(absl::Minutes(12));
  Notice("order:1", "", "int_x1");
  Work();
  EXPECT_THAT(Records(), SizeIs(51));
}

}  // namespace
}  // namespace dealstream::reader
