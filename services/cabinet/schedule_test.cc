#include "services/cabinet/schedule.h"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/cabinet/fakes.h"
#include "services/cabinet/times.h"

namespace dealstream::cabinet {
namespace {

using testing::Contains;
using testing::Pair;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

TEST(ScheduleTest, IntervalIsTheAdaptersUnlessOverridden) {
  const auto of = [](FakeAdapter::Options options, absl::Duration override = {}) {
    return IntervalOf(FakeAdapter(std::move(options)), integration::v1::PURPOSE_DEALS, override);
  };
  EXPECT_EQ(of({}), absl::Minutes(10));
  EXPECT_EQ(of({}, absl::Seconds(2)), absl::Seconds(2));
  EXPECT_EQ(of({.daily = true}), absl::Hours(24));
  EXPECT_EQ(of({.can_list = false}, absl::Seconds(2)), absl::ZeroDuration());
  EXPECT_EQ(of({.interval = absl::ZeroDuration()}, absl::Seconds(2)), absl::ZeroDuration());
}

TEST(ScheduleTest, PurposeThatCannotBeListedIsNotSwept) {
  const FakeAdapter adapter({.lists_requests = false});
  EXPECT_EQ(IntervalOf(adapter, integration::v1::PURPOSE_REQUESTS, absl::Seconds(2)),
            absl::ZeroDuration());
  EXPECT_EQ(IntervalOf(adapter, integration::v1::PURPOSE_DEALS, absl::Seconds(2)),
            absl::Seconds(2));
}

TEST(ScheduleTest, NextDueKeepsItsPhase) {
  const absl::Duration interval = absl::Minutes(10);
  absl::Time due = NextDue("int_1", kNow, interval);
  for (int i = 0; i < 5; ++i) {
    EXPECT_GT(due, kNow + i * interval);
    EXPECT_LE(due, kNow + (i + 1) * interval);
    EXPECT_EQ(NextDue("int_1", due, interval), due + interval);
    EXPECT_EQ(NextDue("int_1", due - absl::Microseconds(1), interval), due);
    // Late: the missed ones are not made up for.
    EXPECT_EQ(NextDue("int_1", due + absl::Seconds(3) + 7 * interval, interval),
              due + 8 * interval);
    due += interval;
  }
}

// H7: loads of once a day come at all times of the day.
TEST(ScheduleTest, IntegrationsSpreadOverTheInterval) {
  std::vector<int> per_hour(24);
  for (int i = 0; i < 2400; ++i) {
    const absl::Duration wait = NextDue(fmt::format("int_{}", i), kNow, absl::Hours(24)) - kNow;
    ++per_hour[static_cast<size_t>(absl::ToInt64Minutes(wait) / 60 % 24)];
  }
  for (const int count : per_hour) {
    EXPECT_GT(count, 60);
    EXPECT_LT(count, 150);
  }
}

TEST(ScheduleTest, RecordsBearKeyAndHeaders) {
  integration::v1::Integration integration;
  integration.set_id("int_1");
  integration.set_crm("acme");
  integration.set_crm_account_id("acme:7");
  integration.set_version(3);
  *integration.mutable_updated_at() = ToProto(kNow);

  const kafka::OutRecord tick =
      TickRecord(integration,
                 {.poll_id = "bkf_1", .cause = deal::v1::CAUSE_BACKFILL, .from = kNow, .to = {}},
                 kNow);
  EXPECT_EQ(tick.topic, "crm.poll.acme");
  EXPECT_EQ(tick.key, "acme:7");
  raw::v1::PollTick message;
  ASSERT_TRUE(message.ParseFromString(*tick.value));
  EXPECT_EQ(message.poll_id(), "bkf_1");
  EXPECT_EQ(FromProto(message.from()), kNow);
  EXPECT_FALSE(message.has_to());
  EXPECT_THAT(tick.headers, Contains(Pair("ce_id", "bkf_1")));

  const kafka::OutRecord record = IntegrationRecord(integration);
  EXPECT_EQ(record.topic, "integrations.v1");
  EXPECT_EQ(record.key, "int_1");
  EXPECT_THAT(record.headers, Contains(Pair("ce_id", "int_1-3")));
  EXPECT_THAT(record.headers, Contains(Pair("ce_source", "/crm/acme/integrations/int_1")));
}

TEST(TimesTest, GoThereAndBack) {
  for (const absl::Time time :
       {kNow, absl::FromUnixMicros(-1), absl::FromUnixMicros(1'700'000'000'123'456)}) {
    EXPECT_EQ(FromProto(ToProto(time)), time);
    EXPECT_GE(ToProto(time).nanos(), 0);
  }
}

}  // namespace
}  // namespace dealstream::cabinet
