#include "services/cabinet/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/cabinet/schedule.h"
#include "services/cabinet/test_folder.h"

namespace dealstream::cabinet {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class StoreTest : public testing::Test {
 protected:
  StoreTest() { Reopen(); }

  void Reopen() {
    store_.reset();
    auto store = Store::Open(folder_.StoreUrl(), clock_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  static StoredIntegration Make(const std::string& id, const std::string& account = "a") {
    StoredIntegration stored;
    stored.webhook_token = "token-" + id;
    stored.integration.set_id(id);
    stored.integration.set_account_id(account);
    stored.integration.set_crm("acme");
    stored.integration.set_version(1);
    stored.integration.set_name(std::string("Имя \0 с нулём", 22));
    return stored;
  }
  static kafka::OutRecord Record(const std::string& key, std::string value) {
    return {.topic = "t", .partition = -1, .key = key, .value = std::move(value), .headers = {}};
  }
  std::vector<std::string> Heads() {
    std::vector<std::string> values;
    for (const OutboxRecord& head : ValueOf(store_->OutboxHeads(100))) {
      values.push_back(head.record.value.value_or("-"));
    }
    return values;
  }
  // Takes the heads out, as the publisher does.
  void RemoveHeads() {
    std::vector<int64_t> seqs;
    for (const OutboxRecord& head : ValueOf(store_->OutboxHeads(100))) {
      seqs.push_back(head.seq);
    }
    ASSERT_TRUE(store_->RemoveFromOutbox(seqs).ok());
  }

  TestFolder folder_;
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, KeepsIntegrationsWithTheirRecordsThroughAReopen) {
  const StoredIntegration stored = Make("int_1");
  const absl::Time due = clock_.Now() + absl::Seconds(5);
  ASSERT_TRUE(store_->Insert(stored, {Record("int_1", std::string("\0\xff v1", 5))}, due).ok());
  Reopen();
  const auto found = store_->Get("int_1");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->webhook_token, "token-int_1");
  EXPECT_EQ(found->integration.SerializeAsString(), stored.integration.SerializeAsString());
  EXPECT_THAT(Heads(), ElementsAre(std::string("\0\xff v1", 5)));
  EXPECT_THAT(*store_->Schedules(), ElementsAre(Pair("int_1", due)));
  EXPECT_EQ(store_->Get("int_2").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_->Ping().ok());
}

TEST_F(StoreTest, RefusedChangeLeavesNothingInTheOutbox) {
  ASSERT_TRUE(store_->Insert(Make("int_1"), {}, {}).ok());
  EXPECT_EQ(store_->Insert(Make("int_1"), {Record("int_1", "twice")}, {}).code(),
            absl::StatusCode::kAlreadyExists);
  integration::v1::Integration changed = Make("int_1").integration;
  changed.set_version(2);
  EXPECT_TRUE(store_->Update(changed, 1, {Record("int_1", "v2")}, {}).ok());
  EXPECT_EQ(store_->Update(changed, 1, {Record("int_1", "lost")}, {}).code(),
            absl::StatusCode::kAborted);
  EXPECT_THAT(Heads(), ElementsAre("v2"));
}

TEST_F(StoreTest, ListFiltersAndPages) {
  for (const char* id : {"int_1", "int_2", "int_3"}) {
    ASSERT_TRUE(store_->Insert(Make(id, id == std::string("int_2") ? "b" : "a"), {}, {}).ok());
  }
  const auto ids = [this](const std::string& account,
                          const std::string& crm,
                          const std::string& after,
                          int64_t limit) {
    std::vector<std::string> list;
    for (const StoredIntegration& stored : ValueOf(store_->List(account, crm, after, limit))) {
      list.push_back(stored.integration.id());
    }
    return list;
  };
  EXPECT_THAT(ids("", "", "", 10), ElementsAre("int_1", "int_2", "int_3"));
  EXPECT_THAT(ids("a", "", "", 10), ElementsAre("int_1", "int_3"));
  EXPECT_THAT(ids("a", "acme", "int_1", 10), ElementsAre("int_3"));
  EXPECT_THAT(ids("", "other", "", 10), IsEmpty());
  EXPECT_THAT(ids("", "", "", 2), ElementsAre("int_1", "int_2"));
}

TEST_F(StoreTest, OutboxGivesTheOldestOfEachKey) {
  for (const auto& [key, value] : {std::pair{"a", "a1"}, {"b", "b1"}, {"a", "a2"}, {"b", "b2"}}) {
    ASSERT_TRUE(store_->Enqueue(Record(key, value)).ok());
  }
  EXPECT_EQ(store_->Figures()->records, 4);
  EXPECT_EQ(store_->Figures()->oldest, clock_.Now());
  EXPECT_THAT(Heads(), ElementsAre("a1", "b1"));
  RemoveHeads();
  EXPECT_THAT(Heads(), ElementsAre("a2", "b2"));
  RemoveHeads();
  EXPECT_THAT(Heads(), IsEmpty());
  EXPECT_EQ(store_->Figures()->oldest, std::nullopt);
}

TEST_F(StoreTest, OutboxKeepsTombstonesAndHeaders) {
  kafka::OutRecord record = Record("a", "");
  record.value.reset();
  record.headers = {{"ce_id", "ид"}, {"empty", ""}};
  ASSERT_TRUE(store_->Enqueue(record).ok());
  const auto heads = store_->OutboxHeads(10);
  ASSERT_THAT(*heads, SizeIs(1));
  EXPECT_EQ(heads->front().record.value, std::nullopt);
  EXPECT_EQ(heads->front().record.headers, record.headers);
  EXPECT_EQ(heads->front().record.topic, "t");
}

TEST_F(StoreTest, SeqsAreNeverGivenTwice) {
  ASSERT_TRUE(store_->Enqueue(Record("a", "1")).ok());
  const int64_t first = store_->OutboxHeads(1)->front().seq;
  RemoveHeads();
  Reopen();
  ASSERT_TRUE(store_->Enqueue(Record("a", "2")).ok());
  EXPECT_GT(store_->OutboxHeads(1)->front().seq, first);
}

TEST_F(StoreTest, AChangePutsNoScheduleOff) {
  const absl::Time now = clock_.Now();
  StoredIntegration stored = Make("int_1");
  ASSERT_TRUE(store_->Insert(stored, {}, now).ok());
  const auto update = [&](int64_t version, std::optional<absl::Time> due) {
    stored.integration.set_version(version);
    ASSERT_TRUE(store_->Update(stored.integration, version - 1, {}, due).ok());
  };
  update(2, now + absl::Hours(24));
  EXPECT_THAT(*store_->Schedules(), ElementsAre(Pair("int_1", now)));
  update(3, now - absl::Seconds(1));
  EXPECT_THAT(*store_->Schedules(), ElementsAre(Pair("int_1", now - absl::Seconds(1))));
  update(4, std::nullopt);
  EXPECT_THAT(*store_->Schedules(), IsEmpty());
  update(5, now + absl::Hours(24));
  EXPECT_THAT(*store_->Schedules(), ElementsAre(Pair("int_1", now + absl::Hours(24))));
}

TEST_F(StoreTest, OrdersWhatIsDueOnce) {
  const absl::Time now = clock_.Now();
  ASSERT_TRUE(store_->Insert(Make("int_1"), {}, now).ok());
  ASSERT_TRUE(store_->Insert(Make("int_2"), {}, now + absl::Seconds(1)).ok());
  const auto due = store_->DueAt(now, 10);
  ASSERT_THAT(*due, SizeIs(1));
  EXPECT_TRUE(store_->Order(due->front(), now + absl::Minutes(1), Record("k", "tick")).ok());
  EXPECT_EQ(store_->Order(due->front(), now + absl::Minutes(1), Record("k", "again")).code(),
            absl::StatusCode::kAborted);
  EXPECT_THAT(Heads(), ElementsAre("tick"));
  EXPECT_THAT(*store_->DueAt(now, 10), IsEmpty());
  ASSERT_TRUE(store_->SetSchedules({{"int_2", std::nullopt}}).ok());
  EXPECT_THAT(*store_->Schedules(), ElementsAre(Pair("int_1", now + absl::Minutes(1))));
}

TEST_F(StoreTest, KeepsBackfills) {
  const Backfill open{.id = "bkf_1",
                      .integration_id = "int_1",
                      .from = clock_.Now() - absl::Hours(1),
                      .created_at = clock_.Now()};
  ASSERT_TRUE(store_->InsertBackfill(open, Record("k", "tick")).ok());
  const auto found = store_->GetBackfill("bkf_1");
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->from, open.from);
  EXPECT_EQ(found->to, absl::InfiniteFuture());
  EXPECT_EQ(found->created_at, open.created_at);
  EXPECT_THAT(Heads(), ElementsAre("tick"));
  EXPECT_EQ(store_->GetBackfill("bkf_2").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, RepublishesWhatStands) {
  ASSERT_TRUE(store_->Insert(Make("int_1"), {}, {}).ok());
  ASSERT_TRUE(store_->Republish({"int_1"}, IntegrationRecord).ok());
  EXPECT_EQ(store_->OutboxHeads(1)->front().record.key, "int_1");
  EXPECT_EQ(store_->Republish({"int_1", "int_2"}, IntegrationRecord).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dealstream::cabinet
