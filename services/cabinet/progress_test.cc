#include "services/cabinet/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/obs/metrics.h"
#include "services/cabinet/times.h"

namespace dealstream::cabinet {
namespace {

using testing::HasSubstr;

class ProgressTableTest : public testing::Test {
 protected:
  static kafka::InRecord Record(const std::string& poll_id,
                                deal::v1::Cause cause,
                                raw::v1::PollState state,
                                absl::Time at) {
    raw::v1::PollProgress progress;
    progress.set_poll_id(poll_id);
    progress.set_integration_id("int_1");
    progress.set_cause(cause);
    progress.set_state(state);
    *progress.mutable_updated_at() = ToProto(at);
    kafka::InRecord record;
    record.topic = "crm.cursor.acme";
    record.key = cause == deal::v1::CAUSE_BACKFILL ? "int_1/" + poll_id : "int_1/sweep";
    record.value = progress.SerializeAsString();
    return record;
  }

  const absl::Time start_ = absl::FromUnixSeconds(1'700'000'000);
  obs::Metrics metrics_{"test", "1", "r"};
  ProgressTable table_{"acme", start_, metrics_};
};

TEST_F(ProgressTableTest, FollowsBackfills) {
  EXPECT_FALSE(table_.Backfill("int_1", "bkf_1"));
  table_.Apply(Record("bkf_1", deal::v1::CAUSE_BACKFILL, raw::v1::POLL_STATE_RUNNING, start_));
  table_.Apply(Record("bkf_1", deal::v1::CAUSE_BACKFILL, raw::v1::POLL_STATE_DONE, start_));
  ASSERT_TRUE(table_.Backfill("int_1", "bkf_1"));
  EXPECT_EQ(table_.Backfill("int_1", "bkf_1")->state(), raw::v1::POLL_STATE_DONE);
  EXPECT_FALSE(table_.Backfill("int_2", "bkf_1"));
  EXPECT_FALSE(table_.LastSweep("int_1"));

  kafka::InRecord tombstone;
  tombstone.key = "int_1/bkf_1";
  table_.Apply(tombstone);
  EXPECT_FALSE(table_.Backfill("int_1", "bkf_1"));
}

TEST_F(ProgressTableTest, RemembersTheLastGoodSweep) {
  const auto sweep = [this](raw::v1::PollState state, absl::Duration after) {
    table_.Apply(Record("pol_1", deal::v1::CAUSE_RECONCILIATION, state, start_ + after));
  };
  sweep(raw::v1::POLL_STATE_DONE, absl::Seconds(-5));
  sweep(raw::v1::POLL_STATE_DONE, absl::Seconds(10));
  sweep(raw::v1::POLL_STATE_FAILED, absl::Seconds(20));
  sweep(raw::v1::POLL_STATE_RUNNING, absl::Seconds(30));
  EXPECT_EQ(table_.LastSweep("int_1"), start_ + absl::Seconds(10));
  const std::string text = metrics_.Render();
  EXPECT_THAT(text, HasSubstr("dealstream_polls_total{crm=\"acme\",outcome=\"done\"} 1"));
  EXPECT_THAT(text, HasSubstr("dealstream_polls_total{crm=\"acme\",outcome=\"failed\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("dealstream_poll_last_success_timestamp_seconds{crm=\"acme\"} 17000000"));
}

TEST_F(ProgressTableTest, LeavesOutWhatCannotBeRead) {
  kafka::InRecord record;
  record.key = "int_1/x";
  record.value = "\xff\xff";
  table_.Apply(record);
  EXPECT_FALSE(table_.LastSweep("int_1"));
}

}  // namespace
}  // namespace dealstream::cabinet
