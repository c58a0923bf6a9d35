#include "services/deal-normalizer/pipeline.h"

#include <map>
#include <random>
#include <set>
#include <thread>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "dealstream/state/v1/state.pb.h"
#include "libs/kafka/cloudevents.h"
#include "services/deal-normalizer/fake_adapter.h"
#include "services/deal-normalizer/fake_kafka.h"

namespace dealstream::normalizer {
namespace {

using deal::v1::DealEvent;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kPartitions = 2;
const Topics kTopics(kFakeCrm);

// One process of the service: dies with its clients, leaving log and disk.
class Process {
 public:
  Process(FakeKafka& kafka, FakeDisk& disk, PipelineOptions options, std::string id)
      : store_(disk.Open()),
        pipeline_(*adapter_,
                  options,
                  kafka.MakeClients(id, kTopics.records),
                  store_,
                  Clock::System(),
                  metrics_,
                  health_,
                  [](const Status&) {}) {}

  Pipeline& pipeline() { return pipeline_; }
  StateStore& store() { return store_; }
  obs::Health& health() { return health_; }
  std::string Metrics() { return metrics_.Render(); }

 private:
  const std::unique_ptr<crm::Adapter> adapter_ = MakeFakeAdapter();
  obs::Metrics metrics_{"deal-normalizer", "1", "r"};
  obs::Health health_{Clock::System()};
  StateStore store_;
  Pipeline pipeline_;
};

class PipelineTest : public testing::Test {
 protected:
  PipelineTest() {
    options_.poll_wait = absl::ZeroDuration();
    options_.pause = absl::ZeroDuration();
    for (const std::string& topic : {kTopics.records, kTopics.state}) {
      kafka_.AddTopic(topic, kPartitions);
    }
    for (const std::string& topic :
         {kTopics.deals, kTopics.snapshots, kTopics.requests, kTopics.dead_letters}) {
      kafka_.AddTopic(topic, 3);
    }
    Restart();
  }

  void Restart(const std::string& id = "normalizer-0") {
    process_.reset();
    process_ = std::make_unique<Process>(kafka_, disk_, options_, id);
  }

  void Append(const raw::v1::Record& record, int32_t partition = 0) {
    AppendBytes(record.SerializeAsString(), partition);
  }

  void AppendBytes(std::optional<std::string> value, int32_t partition = 0) {
    kafka_.Append({kTopics.records,
                   partition,
                   0,
                   "acme",
                   std::move(value),
                   {{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
                   absl::FromUnixSeconds(100)});
  }

  bool CaughtUp() const {
    for (int32_t partition = 0; partition < kPartitions; ++partition) {
      const kafka::TopicPartition input{kTopics.records, partition};
      if (kafka_.End(input) > 0 && kafka_.CommittedOffset(input) != kafka_.End(input)) {
        return false;
      }
    }
    return true;
  }

  // Until all input is done with; a process that is killed is started again.
  void Run() {
    const absl::Time limit = absl::Now() + absl::Seconds(20);
    while (!CaughtUp() || !process_->pipeline().Ready()) {
      ASSERT_LT(absl::Now(), limit) << "the input isn't worked off";
      try {
        const Status status = process_->pipeline().Step();
        if (!status.ok()) {
          ++stops_;
          Restart();
        }
      } catch (const Killed&) {
        ++kills_;
        Restart();
      }
    }
  }

  std::vector<DealEvent> Events() const {
    std::vector<DealEvent> events;
    for (const kafka::InRecord& record : kafka_.Read(kTopics.deals)) {
      EXPECT_TRUE(events.emplace_back().ParseFromString(*record.value));
    }
    return events;
  }

  std::vector<raw::v1::DeadLetter> DeadLetters() const {
    std::vector<raw::v1::DeadLetter> letters;
    for (const kafka::InRecord& record : kafka_.Read(kTopics.dead_letters)) {
      EXPECT_TRUE(letters.emplace_back().ParseFromString(*record.value));
    }
    return letters;
  }

  // Events by deal, as the rules alone make them of the input.
  std::map<std::string, std::vector<std::string>> ExpectedIds() const {
    const auto adapter = MakeFakeAdapter();
    Normalizer normalizer(*adapter, CurrentShape());
    std::map<std::string, std::string> states;
    std::map<std::string, std::vector<std::string>> ids;
    for (const kafka::InRecord& in : kafka_.Read(kTopics.records)) {
      raw::v1::Record record;
      if (!record.ParseFromString(*in.value)) {
        continue;
      }
      const std::string id = EntityIdOf(record);
      const auto found = states.find(id);
      const Decision decision = normalizer.Apply(
          record,
          found == states.end() ? std::nullopt : std::optional<std::string_view>(found->second));
      if (decision.state.has_value()) {
        states[id] = *decision.state;
      }
      if (decision.event.has_value()) {
        ids[id].push_back(decision.event->id);
      }
    }
    return ids;
  }

  std::map<std::string, std::vector<std::string>> SentIds() const {
    std::map<std::string, std::vector<std::string>> ids;
    for (const DealEvent& event : Events()) {
      ids[event.deal().id()].push_back(event.id());
    }
    return ids;
  }

  // The local state is what the topic says, and the checkpoint lies at its end.
  void ExpectStateAsTopic() {
    std::map<std::string, std::string> topic;
    for (const kafka::InRecord& record : kafka_.Read(kTopics.state)) {
      topic[StateStore::EntityKey(record.partition, record.key)] = *record.value;
    }
    std::map<std::string, std::string> local;
    ASSERT_TRUE(disk_.store()
                    .Scan("s",
                          [&local](std::string_view key, std::string_view value) {
                            local.emplace(key, value);
                            return true;
                          })
                    .ok());
    EXPECT_EQ(local, topic);
  }

  FakeKafka kafka_;
  FakeDisk disk_;
  PipelineOptions options_;
  std::unique_ptr<Process> process_;
  int kills_ = 0;
  int stops_ = 0;
};

TEST_F(PipelineTest, WritesEventSnapshotAndStateWithCloudEventsHeaders) {
  Append(FakeRecord("a", 5, R"(title: "x")"), 1);
  Run();
  const auto deals = kafka_.Read(kTopics.deals);
  ASSERT_THAT(deals, SizeIs(1));
  EXPECT_EQ(deals[0].key, "int_1:a");
  const auto event = Events()[0];
  const auto header = [&deals](std::string_view name) {
    return std::string(kafka::FindHeader(deals[0].headers, name));
  };
  EXPECT_EQ(header("ce_id"), event.id());
  EXPECT_EQ(header("ce_source"), "/crm/fakecrm/integrations/int_1");
  EXPECT_EQ(header("ce_type"), "dealstream.deal.changed.v1");
  EXPECT_EQ(header("ce_subject"), "int_1:a");
  EXPECT_EQ(header("ce_time"), "1970-01-01T00:00:05.000Z");
  EXPECT_EQ(header("ce_dataschema"), "dealstream.deal.v1.DealEvent");
  EXPECT_THAT(header("traceparent"), HasSubstr("00-0af7651916cd43dd8448eb211c80319c-"));
  EXPECT_NE(header("traceparent"), header("ce_traceparent"));
  EXPECT_THAT(header("ce_traceparent"), HasSubstr("-b7ad6b7169203331-"));

  const auto snapshots = kafka_.Read(kTopics.snapshots);
  ASSERT_THAT(snapshots, SizeIs(1));
  EXPECT_EQ(snapshots[0].key, "int_1:a");
  EXPECT_EQ(*snapshots[0].value, event.deal().SerializeAsString());
  EXPECT_EQ(kafka::FindHeader(snapshots[0].headers, "ce_dataschema"), "dealstream.deal.v1.Deal");
  EXPECT_EQ(kafka::FindHeader(snapshots[0].headers, "ce_id"), event.id());

  const auto states = kafka_.Read(kTopics.state);
  ASSERT_THAT(states, SizeIs(1));
  EXPECT_EQ(states[0].partition, 1);
  EXPECT_EQ(states[0].key, "int_1:a");
  state::v1::EntityState state;
  ASSERT_TRUE(state.ParseFromString(*states[0].value));
  EXPECT_EQ(state.deal().title(), "x");
  ExpectStateAsTopic();
}

TEST_F(PipelineTest, SnapshotOfADeletedDealIsATombstone) {
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Append(FakeGone("a", 6));
  Run();
  const auto snapshots = kafka_.Read(kTopics.snapshots);
  ASSERT_THAT(snapshots, SizeIs(2));
  EXPECT_FALSE(snapshots[1].value.has_value());
  EXPECT_EQ(kafka::FindHeader(snapshots[1].headers, "ce_id"), Events()[1].id());
}

TEST_F(PipelineTest, RequestsGoToTheirTopic) {
  raw::v1::Record record = FakeRecord("r", 5, R"(text: "call")");
  record.set_purpose(crm::Purpose::PURPOSE_REQUESTS);
  Append(record);
  Run();
  const auto requests = kafka_.Read(kTopics.requests);
  ASSERT_THAT(requests, SizeIs(1));
  EXPECT_EQ(requests[0].key, "int_1:r");
  EXPECT_EQ(kafka::FindHeader(requests[0].headers, "ce_type"), "dealstream.request.changed.v1");
  EXPECT_THAT(kafka_.Read(kTopics.snapshots), IsEmpty());
}

TEST_F(PipelineTest, RecordsOfOneBatchSeeEachOther) {
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Append(FakeRecord("a", 6, R"(title: "y")"));
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Run();
  const auto events = Events();
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[1].kind(), deal::v1::DEAL_EVENT_KIND_UPDATED);
  // One state record for each entity of a transaction.
  EXPECT_THAT(kafka_.Read(kTopics.state), SizeIs(1));
  ExpectStateAsTopic();
}

TEST_F(PipelineTest, WhatCannotPassIsADeadLetterAndHoldsUpNothing) {
  Append(FakeRecord("a", 5, R"(title: "x")"));
  AppendBytes("\xFF\xFF");
  AppendBytes(std::nullopt);
  raw::v1::Record broken = FakeRecord("b", 5, "!broken");
  Append(broken);
  Append(FakeRecord("c", 5, "!internal"));
  Append(FakeRecord("a", 6, R"(title: "y")"));
  Run();
  EXPECT_THAT(Events(), SizeIs(2));
  const auto letters = DeadLetters();
  std::map<std::string, raw::v1::DeadLetter> by_reason;
  for (const auto& letter : letters) {
    by_reason[letter.reason() + std::to_string(letter.offset())] = letter;
  }
  ASSERT_THAT(by_reason, SizeIs(4));
  EXPECT_EQ(by_reason["unreadable_record1"].value(), "\xFF\xFF");
  EXPECT_EQ(by_reason["unreadable_record1"].stage(), "decode");
  EXPECT_EQ(by_reason["unreadable_record2"].value(), "");
  EXPECT_EQ(by_reason["internal4"].stage(), "map");
  const raw::v1::DeadLetter& letter = by_reason["invalid_argument3"];
  EXPECT_EQ(letter.topic(), kTopics.records);
  EXPECT_EQ(letter.partition(), 0);
  EXPECT_EQ(letter.key(), "acme");
  EXPECT_EQ(letter.value(), broken.SerializeAsString());
  ASSERT_EQ(letter.headers_size(), 1);
  EXPECT_EQ(letter.headers(0).key(), "traceparent");
  EXPECT_EQ(letter.stage(), "map");
  EXPECT_EQ(letter.message(), "fake part 0: want text format");
  EXPECT_EQ(letter.attempts(), 1);
  EXPECT_EQ(letter.service(), "deal-normalizer");
  EXPECT_EQ(letter.crm(), kFakeCrm);
  EXPECT_EQ(letter.integration_id(), "int_1");
  EXPECT_TRUE(letter.has_first_failed_at());
  for (
      const std::string line :
      {R"(dealstream_events_in_total{crm="fakecrm",kind="deal"} 4)",
       R"(dealstream_events_in_total{crm="fakecrm",kind="other"} 2)",
       R"(dealstream_events_done_total{crm="fakecrm",outcome="emitted",reason=""} 2)",
       R"(dealstream_events_done_total{crm="fakecrm",outcome="dead",reason="internal"} 1)",
       R"(dealstream_dead_letters_total{crm="fakecrm",reason="internal",stage="map"} 1)",
       R"(dealstream_dead_letters_total{crm="fakecrm",reason="unreadable_record",stage="decode"} 2)"}) {
    EXPECT_THAT(process_->Metrics(), HasSubstr(line));
  }
}

TEST_F(PipelineTest, ReadyOnceAssignedAndRestored) {
  EXPECT_FALSE(process_->health().Ready().ok);
  EXPECT_FALSE(process_->pipeline().Ready());
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Run();
  EXPECT_TRUE(process_->health().Ready().ok) << process_->health().Ready().text;
}

TEST_F(PipelineTest, RefusesAStateTopicOfOtherPartitions) {
  kafka_.AddTopic(kTopics.state, kPartitions + 1);
  Restart();
  const Status status = process_->pipeline().Step();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("crm.record.fakecrm has 2 partitions, normalizer.fakecrm.state has 3"));
}

TEST_F(PipelineTest, WaitsForMissingTopics) {
  FakeKafka empty;
  Process process(empty, disk_, options_, "n");
  EXPECT_TRUE(process.pipeline().Step().ok());
  EXPECT_THAT(process.health().Ready().text, HasSubstr("no topic crm.record.fakecrm"));
}

TEST_F(PipelineTest, RestartWithLocalStateReadsOnlyWhatIsNewer) {
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Run();
  // Were it read from the start, this would be found.
  kafka_.Truncate({kTopics.state, 0}, 1);
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Restart();
  Run();
  EXPECT_THAT(Events(), SizeIs(1));
}

TEST_F(PipelineTest, RestartWithoutLocalStateRestoresIt) {
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Append(FakeRecord("b", 5, R"(title: "x")"), 1);
  Run();
  disk_.Wipe();
  Restart();
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Append(FakeRecord("b", 6, R"(title: "y")"), 1);
  Run();
  EXPECT_THAT(Events(), SizeIs(3));
  EXPECT_EQ(SentIds(), ExpectedIds());
  ExpectStateAsTopic();
}

TEST_F(PipelineTest, AStateTopicMadeAnewIsStartedOver) {
  for (int i = 0; i < 5; ++i) {
    Append(FakeRecord("a", i, fmt::format("title: \"{}\"", i)));
    Run();
  }
  kafka_.Recreate(kTopics.state);
  Restart();
  Append(FakeRecord("a", 4, R"(title: "4")"));
  Run();
  // It is not known any more.
  EXPECT_EQ(Events().back().kind(), deal::v1::DEAL_EVENT_KIND_CREATED);
  ExpectStateAsTopic();
}

TEST_F(PipelineTest, AStateTopicThatLostItsBeginningIsStartedOver) {
  Append(FakeRecord("a", 1, R"(title: "x")"));
  Run();
  for (int i = 2; i < 6; ++i) {
    Append(FakeRecord("b", i, fmt::format("title: \"{}\"", i)));
  }
  // Another process works them off.
  FakeDisk other;
  std::swap(disk_, other);
  options_.batch_records = 1;
  Restart("normalizer-1");
  Run();
  process_.reset();
  std::swap(disk_, other);
  kafka_.Truncate({kTopics.state, 0}, kafka_.End({kTopics.state, 0}) - 2);
  Restart();
  Run();
  ExpectStateAsTopic();
}

TEST_F(PipelineTest, ACommitReportedAsFailedThatWentThroughIsNotDoneTwice) {
  bool done = false;
  kafka_.on_operation = [&done](std::string_view operation) {
    return operation == "commit" && !std::exchange(done, true) ? Fault::kDoneButFails
                                                               : Fault::kNone;
  };
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Run();
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Run();
  EXPECT_TRUE(done);
  EXPECT_THAT(Events(), SizeIs(1));
  ExpectStateAsTopic();
}

TEST_F(PipelineTest, AFailedCommitForgetsWhatItWouldHaveKept) {
  int failures = 3;
  kafka_.on_operation = [&failures](std::string_view operation) {
    return operation == "commit" && failures-- > 0 ? Fault::kFails : Fault::kNone;
  };
  Append(FakeRecord("a", 5, R"(title: "x")"));
  Append(FakeRecord("a", 6, R"(title: "y")"));
  Run();
  EXPECT_EQ(SentIds(), ExpectedIds());
  EXPECT_THAT(Events(), SizeIs(2));
  EXPECT_THAT(process_->Metrics(), HasSubstr(R"(events_in_total{crm="fakecrm",kind="deal"} 2)"));
}

TEST_F(PipelineTest, AStoreThatFailsStopsTheProcessAndNothingIsLost) {
  int applies = 0;
  disk_.on_apply = [&applies, loop = std::this_thread::get_id()] {
    // The restorer, on its own thread, uses the store too.
    return std::this_thread::get_id() == loop && ++applies == 3 ? Fault::kFails : Fault::kNone;
  };
  for (int i = 0; i < 5; ++i) {
    Append(FakeRecord("a", i, fmt::format("title: \"{}\"", i)));
    Run();
  }
  EXPECT_EQ(stops_, 1);
  EXPECT_EQ(SentIds(), ExpectedIds());
  ExpectStateAsTopic();
}

TEST_F(PipelineTest, RebalancesLoseAndRepeatNothing) {
  options_.batch_records = 3;
  Restart();
  for (int i = 0; i < 60; ++i) {
    Append(FakeRecord(fmt::format("d{}", i % 7), i, fmt::format("title: \"{}\"", i)), i % 7 % 2);
  }
  for (int round = 0; !CaughtUp() && round < 10'000; ++round) {
    if (round % 5 == 0) {
      kafka_.Rebalance();
    }
    ASSERT_TRUE(process_->pipeline().Step().ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  Run();
  EXPECT_EQ(SentIds(), ExpectedIds());
}

// A process that has lost its partitions to another one commits nothing more.
TEST_F(PipelineTest, ASecondProcessTakesOver) {
  Append(FakeRecord("a", 1, R"(title: "x")"));
  Run();
  FakeDisk disk;
  Process second(kafka_, disk, options_, "normalizer-1");
  Append(FakeRecord("a", 2, R"(title: "y")"));
  // The first hasn't polled since the second came.
  while (!second.pipeline().Ready()) {
    ASSERT_TRUE(second.pipeline().Step().ok());
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(process_->pipeline().Step().ok());
    ASSERT_TRUE(second.pipeline().Step().ok());
  }
  EXPECT_EQ(SentIds(), ExpectedIds());
  EXPECT_FALSE(process_->pipeline().Ready());
}

TEST_F(PipelineTest, AnOutputThatIsRefusedBecomesADeadLetter) {
  for (const bool late : {false, true}) {
    const std::string name = late ? "late" : "early";
    for (int i = 0; i < 20; ++i) {
      Append(FakeRecord(fmt::format("{}{}", name, i), 5, R"(title: "x")"));
    }
    Append(FakeRecord(name, 5, fmt::format("title: \"{}\"", std::string(5'000, 'x'))));
    for (int i = 20; i < 40; ++i) {
      Append(FakeRecord(fmt::format("{}{}", name, i), 5, R"(title: "x")"));
    }
    kafka_.SetMaxBytes(kTopics.deals, 5'000, late);
    Run();
  }
  std::set<std::string> known;
  for (const auto& [id, ids] : SentIds()) {
    known.insert(id);
  }
  EXPECT_EQ(known.size(), 80u);
  const auto letters = DeadLetters();
  ASSERT_THAT(letters, SizeIs(2));
  for (const auto& letter : letters) {
    EXPECT_EQ(letter.reason(), "refused");
    EXPECT_EQ(letter.stage(), "write");
  }
}

// Nothing passes it by, and each attempt ends, so that stopping is noticed.
TEST_F(PipelineTest, ADeadLetterThatIsRefusedIsTriedAgain) {
  Append(FakeRecord("a", 5, fmt::format("title: \"{}\"", std::string(5'000, 'x'))));
  kafka_.SetMaxBytes(kTopics.deals, 5'000, /*late=*/false);
  kafka_.SetMaxBytes(kTopics.dead_letters, 5'000, /*late=*/false);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(process_->pipeline().Step().ok());
  }
  EXPECT_FALSE(CaughtUp());
  EXPECT_THAT(DeadLetters(), IsEmpty());
  kafka_.SetMaxBytes(kTopics.dead_letters, 50'000, /*late=*/false);
  Run();
  ASSERT_THAT(DeadLetters(), SizeIs(1));
  EXPECT_EQ(DeadLetters()[0].reason(), "refused");
}

TEST_F(PipelineTest, RunsAndStopsOnItsOwnThread) {
  Append(FakeRecord("a", 5, R"(title: "x")"));
  process_->pipeline().Start();
  const absl::Time limit = absl::Now() + absl::Seconds(20);
  while (!CaughtUp() && absl::Now() < limit) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(process_->pipeline().Stop(limit).ok());
  EXPECT_THAT(Events(), SizeIs(1));
}

// Whatever fails and whenever the process is killed: each change once, in order, and state and
// books as if nothing had happened.
TEST_F(PipelineTest, AnyFaultsAtAnyMomentGiveEachChangeOnce) {
  int kills = 0;
  for (uint32_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937 random(seed);
    kafka_.on_operation = nullptr;
    disk_.on_apply = nullptr;
    options_.batch_records = 1 + random() % 20;
    Restart();
    const std::string run = std::to_string(seed);
    for (int i = 0; i < 60; ++i) {
      const std::string id = fmt::format("{}.d{}", run, random() % 5);
      const auto version = static_cast<int64_t>(random() % 12);
      const int32_t partition = static_cast<int32_t>(std::hash<std::string>()(id) % kPartitions);
      switch (random() % 12) {
        case 0:
          Append(FakeGone(id, 100), partition);
          break;
        case 1:
          Append(FakeRecord(id, version, "!"), partition);
          break;
        default:
          Append(FakeRecord(id, version, fmt::format("title: \"{}\"", version)), partition);
      }
    }
    const auto fault = [&random](bool may_kill) {
      switch (random() % 40) {
        case 0:
          return Fault::kFails;
        case 1:
          return may_kill ? Fault::kKilledBefore : Fault::kFails;
        case 2:
          return may_kill ? Fault::kKilledAfter : Fault::kNone;
        case 3:
          return may_kill ? Fault::kDoneButFails : Fault::kNone;
        default:
          return Fault::kNone;
      }
    };
    const auto loop = std::this_thread::get_id();
    std::atomic<int> restores = 0;
    kafka_.on_operation = [&, loop](std::string_view operation) {
      if (std::this_thread::get_id() != loop) {
        return restores++ % 7 == 3 ? Fault::kFails : Fault::kNone;
      }
      // Many sends to a transaction: fewer faults for each.
      return operation == "send" && random() % 8 != 0 ? Fault::kNone : fault(true);
    };
    disk_.on_apply = [&, loop] {
      return std::this_thread::get_id() != loop ? Fault::kNone : fault(true);
    };
    if (seed % 10 == 0) {
      disk_.Wipe();
    }
    kills_ = 0;
    Run();
    kills += kills_;
    // The threads that use what is captured above.
    process_.reset();
    kafka_.on_operation = nullptr;
    disk_.on_apply = nullptr;
    Restart();
    ASSERT_EQ(SentIds(), ExpectedIds());
    Run();
    ExpectStateAsTopic();
    size_t broken = 0;
    for (const kafka::InRecord& in : kafka_.Read(kTopics.records)) {
      raw::v1::Record record;
      ASSERT_TRUE(record.ParseFromString(*in.value));
      broken += record.parts_size() > 0 && record.parts(0).body() == "!" ? 1 : 0;
    }
    std::set<std::pair<int32_t, int64_t>> letters;
    for (const auto& letter : DeadLetters()) {
      EXPECT_TRUE(letters.emplace(letter.partition(), letter.offset()).second);
    }
    // Some of the broken ones were repeats by their version and were never mapped.
    EXPECT_LE(letters.size(), broken);
  }
  // Else the test shows nothing.
  EXPECT_GT(kills, 200);
}

}  // namespace
}  // namespace dealstream::normalizer
