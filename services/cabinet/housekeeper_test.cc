#include "services/cabinet/housekeeper.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/cabinet/fakes.h"
#include "services/cabinet/schedule.h"
#include "services/cabinet/test_folder.h"
#include "services/cabinet/times.h"

namespace dealstream::cabinet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::SizeIs;
using testing::UnorderedElementsAre;

// So many integrations that all of them take long on a disk that takes 20 s for a write.
class StoreOfMany final : public Store {
 public:
  static constexpr int kMany = 1'200;

  StoreOfMany(FakeClock& clock, const obs::Health& health) : clock_(clock), health_(health) {}

  Result<std::vector<StoredIntegration>> List(const std::string&,
                                              const std::string&,
                                              const std::string& after_id,
                                              int64_t limit) override {
    std::vector<StoredIntegration> page;
    const int first = after_id.empty() ? 0 : std::stoi(after_id) + 1;
    for (int i = first; i < kMany && static_cast<int64_t>(page.size()) < limit; ++i) {
      StoredIntegration& stored = page.emplace_back();
      stored.integration.set_id(fmt::format("{:06}", i));
      stored.integration.set_crm("acme");
      stored.integration.set_active(true);
      stored.integration.set_version(1);
    }
    return page;
  }
  Status SetSchedules(const std::vector<ScheduleChange>& changes) override {
    scheduled += changes.size();
    return Write();
  }
  Status Republish(const std::vector<std::string>& ids, const MakeRecord&) override {
    republished += ids.size();
    return Write();
  }
  Result<std::vector<Due>> DueAt(absl::Time, int64_t limit) override {
    return std::vector<Due>(static_cast<size_t>(limit), Due{.integration_id = "000001", .at = {}});
  }
  Result<StoredIntegration> Get(const std::string&) override { return (*List("", "", "", 1))[0]; }
  Status Order(const Due&, absl::Time, const kafka::OutRecord&) override { return Write(); }
  Result<std::map<std::string, absl::Time>> Schedules() override {
    return std::map<std::string, absl::Time>();
  }
  Result<OutboxFigures> Figures() override { return OutboxFigures(); }

  Status Insert(const StoredIntegration&,
                const std::vector<kafka::OutRecord>&,
                std::optional<absl::Time>) override {
    return absl::UnimplementedError("");
  }
  Status Update(const integration::v1::Integration&,
                int64_t,
                const std::vector<kafka::OutRecord>&,
                std::optional<absl::Time>) override {
    return absl::UnimplementedError("");
  }
  Status InsertBackfill(const Backfill&, const kafka::OutRecord&) override {
    return absl::UnimplementedError("");
  }
  Result<Backfill> GetBackfill(const std::string&) override { return absl::UnimplementedError(""); }
  Status Enqueue(const kafka::OutRecord&) override { return absl::UnimplementedError(""); }
  Result<std::vector<OutboxRecord>> OutboxHeads(int64_t) override {
    return absl::UnimplementedError("");
  }
  Status RemoveFromOutbox(const std::vector<int64_t>&) override {
    return absl::UnimplementedError("");
  }
  Status Ping() override { return absl::OkStatus(); }

  size_t scheduled = 0;
  size_t republished = 0;
  bool was_always_live = true;

 private:
  Status Write() {
    clock_.Advance(absl::Seconds(20));
    was_always_live = was_always_live && health_.Live().ok;
    return absl::OkStatus();
  }

  FakeClock& clock_;
  const obs::Health& health_;
};

class HousekeeperTest : public testing::Test {
 protected:
  HousekeeperTest() {
    auto store = Store::Open(folder_.StoreUrl(), clock_);
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    progress_["acme"] = std::make_unique<ProgressTable>("acme", clock_.Now(), metrics_);
    Restart({});
  }

  void Restart(absl::Duration poll_interval) {
    published_ = std::make_unique<PublishedVersions>();
    housekeeper_ = std::make_unique<Housekeeper>(
        Housekeeper::Options{.poll_interval = poll_interval},
        clock_,
        registry_,
        *store_,
        progress_,
        *published_,
        [this] { ++wakes_; },
        heartbeat_,
        metrics_);
  }
  void Insert(const std::string& id, bool active, std::optional<absl::Time> due) {
    StoredIntegration stored;
    stored.webhook_token = id;
    stored.integration.set_id(id);
    stored.integration.set_crm("acme");
    stored.integration.set_crm_account_id("acme:1");
    stored.integration.set_active(active);
    stored.integration.set_version(2);
    *stored.integration.mutable_updated_at() = ToProto(clock_.Now());
    ASSERT_TRUE(store_->Insert(stored, {}, due).ok());
  }
  std::vector<std::string> TakeOutbox() {
    std::vector<std::string> all;
    auto heads = store_->OutboxHeads(100);
    std::vector<int64_t> seqs;
    for (const OutboxRecord& head : *heads) {
      seqs.push_back(head.seq);
      all.push_back(head.record.topic + " " + head.record.key);
    }
    EXPECT_TRUE(store_->RemoveFromOutbox(seqs).ok());
    return all;
  }
  kafka::InRecord Published(const std::string& id, int64_t version) {
    integration::v1::Integration integration;
    integration.set_id(id);
    integration.set_version(version);
    kafka::InRecord record;
    record.key = id;
    record.value = integration.SerializeAsString();
    return record;
  }

  TestFolder folder_;
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  obs::Metrics metrics_{"test", "1", "r"};
  obs::Health health_{clock_};
  obs::Health::Heartbeat& heartbeat_ = health_.AddLoop("housekeeping");
  crm::Registry registry_ = FakeRegistry();
  std::unique_ptr<Store> store_;
  ProgressTables progress_;
  std::unique_ptr<PublishedVersions> published_;
  int wakes_ = 0;
  std::unique_ptr<Housekeeper> housekeeper_;
};

TEST_F(HousekeeperTest, OrdersEachSweepOnceAnInterval) {
  Insert("int_1", true, clock_.Now());
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(TakeOutbox(), ElementsAre("crm.poll.acme acme:1"));
  EXPECT_EQ(wakes_, 1);
  int ordered = 0;
  for (int second = 0; second < 3600; second += 5) {
    ASSERT_TRUE(housekeeper_->OrderSweeps().ok());
    ordered += static_cast<int>(TakeOutbox().size());
    clock_.Advance(absl::Seconds(5));
  }
  EXPECT_EQ(ordered, 6);
  EXPECT_THAT(metrics_.Render(),
              HasSubstr("dealstream_polls_total{crm=\"acme\",outcome=\"ordered\"} 7"));
}

TEST_F(HousekeeperTest, StandingStillOwesOneSweepOnly) {
  Insert("int_1", true, clock_.Now());
  clock_.Advance(absl::Hours(100));
  ASSERT_TRUE(housekeeper_->Step().ok());
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(TakeOutbox(), SizeIs(1));
}

TEST_F(HousekeeperTest, AlignsSchedulesWithWhatThereIs) {
  Insert("int_off", false, clock_.Now());
  Insert("int_without", true, std::nullopt);
  Insert("int_far", true, clock_.Now() + absl::Hours(24));
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(*store_->Schedules(), ElementsAre(Key("int_far"), Key("int_without")));
  for (const auto& [id, due] : ValueOf(store_->Schedules())) {
    EXPECT_LE(due, clock_.Now() + absl::Minutes(10));
  }
  // A shorter interval of the next start holds at once.
  Restart(absl::Seconds(2));
  ASSERT_TRUE(housekeeper_->Step().ok());
  for (const auto& [id, due] : ValueOf(store_->Schedules())) {
    EXPECT_LE(due, clock_.Now() + absl::Seconds(2));
  }
}

TEST_F(HousekeeperTest, PublishesOnceMoreWhatTheTopicLacks) {
  Insert("int_there", true, std::nullopt);
  Insert("int_older", true, std::nullopt);
  Insert("int_lost", false, std::nullopt);
  Insert("int_removed", false, std::nullopt);
  published_->Apply(Published("int_there", 2));
  published_->Apply(Published("int_older", 1));
  published_->Apply(Published("int_removed", 2));
  kafka::InRecord tombstone;
  tombstone.key = "int_removed";
  published_->Apply(tombstone);
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(TakeOutbox(), IsEmpty());  // the topic isn't read yet
  published_->SetCaughtUp();
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(
      TakeOutbox(),
      UnorderedElementsAre(
          "integrations.v1 int_older", "integrations.v1 int_lost", "integrations.v1 int_removed"));
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(TakeOutbox(), IsEmpty());
}

TEST_F(HousekeeperTest, BeatsWhileItWalksManyIntegrations) {
  StoreOfMany store(clock_, health_);
  PublishedVersions published;
  published.SetCaughtUp();
  Housekeeper housekeeper(
      {}, clock_, registry_, store, progress_, published, [] {}, heartbeat_, metrics_);
  EXPECT_TRUE(housekeeper.Step().ok());
  EXPECT_EQ(store.scheduled, StoreOfMany::kMany);
  EXPECT_EQ(store.republished, StoreOfMany::kMany);
  EXPECT_TRUE(store.was_always_live);
}

TEST_F(HousekeeperTest, CountsWhoIsBehind) {
  Insert("int_1", true, std::nullopt);
  Insert("int_2", false, std::nullopt);
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(metrics_.Render(), HasSubstr("dealstream_poll_behind{crm=\"acme\"} 0"));
  clock_.Advance(absl::Minutes(21));
  ASSERT_TRUE(housekeeper_->Step().ok());
  const std::string text = metrics_.Render();
  EXPECT_THAT(text, HasSubstr("dealstream_poll_behind{crm=\"acme\"} 1"));
  EXPECT_THAT(text, HasSubstr("dealstream_integrations{active=\"true\",crm=\"acme\"} 1"));
  EXPECT_THAT(text, HasSubstr("dealstream_integrations{active=\"false\",crm=\"acme\"} 1"));
  EXPECT_THAT(text, HasSubstr("dealstream_outbox_records 1"));

  raw::v1::PollProgress progress;
  progress.set_integration_id("int_1");
  progress.set_cause(deal::v1::CAUSE_RECONCILIATION);
  progress.set_state(raw::v1::POLL_STATE_DONE);
  *progress.mutable_updated_at() = ToProto(clock_.Now());
  kafka::InRecord record;
  record.key = "int_1/x";
  record.value = progress.SerializeAsString();
  progress_["acme"]->Apply(record);
  clock_.Advance(absl::Seconds(16));
  ASSERT_TRUE(housekeeper_->Step().ok());
  EXPECT_THAT(metrics_.Render(), HasSubstr("dealstream_poll_behind{crm=\"acme\"} 0"));
}

TEST_F(HousekeeperTest, ScheduleOfNobodyHoldsUpNoOther) {
  Insert("int_1", true, clock_.Now());
  // A schedule of an integration that is gone is dropped, and holds up no other.
  ASSERT_TRUE(store_->SetSchedules({{"int_0", clock_.Now() - absl::Seconds(1)}}).ok());
  ASSERT_TRUE(housekeeper_->OrderSweeps().ok());
  EXPECT_THAT(TakeOutbox(), SizeIs(1));
  EXPECT_THAT(*store_->Schedules(), ElementsAre(Key("int_1")));
}

}  // namespace
}  // namespace dealstream::cabinet
