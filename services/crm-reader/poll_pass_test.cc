#include "services/crm-reader/poll_pass.h"

#include <gtest/gtest.h>

#include "services/crm-reader/cursors.h"
#include "services/crm-reader/proto_time.h"

namespace dealstream::reader {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

raw::v1::PollTick Tick(const std::string& poll_id,
                       const std::string& page = "",
                       int64_t listed = 0) {
  raw::v1::PollTick tick;
  tick.set_poll_id(poll_id);
  tick.set_integration_id("int_1");
  tick.set_crm_account_id("acme");
  tick.set_cause(deal::v1::CAUSE_RECONCILIATION);
  tick.set_page_token(page);
  tick.set_listed(listed);
  return tick;
}

raw::v1::PollProgress Progress(const std::string& poll_id,
                               raw::v1::PollState state,
                               int64_t listed = 0,
                               absl::Time at = kNow) {
  raw::v1::PollProgress progress;
  progress.set_poll_id(poll_id);
  progress.set_state(state);
  progress.set_listed(listed);
  progress.set_cursor("old");
  *progress.mutable_updated_at() = ToProto(at);
  return progress;
}

PageVerdict Judge(const raw::v1::PollTick& tick, const std::optional<raw::v1::PollProgress>& kept) {
  return JudgePage(tick, kept, kNow, absl::Hours(24));
}

TEST(PollPassTest, FirstPassRuns) { EXPECT_EQ(Judge(Tick("a"), std::nullopt), PageVerdict::kRun); }

TEST(PollPassTest, PassWaitsForNoOtherThatHasEnded) {
  EXPECT_EQ(Judge(Tick("b"), Progress("a", raw::v1::POLL_STATE_DONE)), PageVerdict::kRun);
  EXPECT_EQ(Judge(Tick("b"), Progress("a", raw::v1::POLL_STATE_FAILED)), PageVerdict::kRun);
}

TEST(PollPassTest, PassIsSkippedWhileAnotherRuns) {
  EXPECT_EQ(Judge(Tick("b"), Progress("a", raw::v1::POLL_STATE_RUNNING)),
            PageVerdict::kPassRunning);
  auto dead = Progress("a", raw::v1::POLL_STATE_RUNNING, 0, kNow - absl::Hours(25));
  EXPECT_EQ(Judge(Tick("b"), dead), PageVerdict::kRun);
}

TEST(PollPassTest, PageThatIsDoneIsNotDoneAgain) {
  auto kept = Progress("a", raw::v1::POLL_STATE_RUNNING, 200);
  EXPECT_EQ(Judge(Tick("a", "2", 100), kept), PageVerdict::kSamePage);
  EXPECT_EQ(Judge(Tick("a", "3", 200), kept), PageVerdict::kRun);
  EXPECT_EQ(Judge(Tick("a", "9", 900), Progress("a", raw::v1::POLL_STATE_DONE)),
            PageVerdict::kSamePage);
}

// H7
TEST(PollPassTest, CursorMovesOnTheLastPageOnly) {
  crm::ListPage page;
  page.objects.resize(100);
  page.next_page_token = "2";
  page.cursor = "too early";
  page.total = 130;
  PageEnd first = EndPage(Tick("a"), Progress("z", raw::v1::POLL_STATE_DONE, 7), page, 40, kNow);
  ASSERT_TRUE(first.next.has_value());
  EXPECT_EQ(first.next->page_token(), "2");
  EXPECT_EQ(first.next->listed(), 100);
  EXPECT_EQ(first.progress.state(), raw::v1::POLL_STATE_RUNNING);
  EXPECT_EQ(first.progress.cursor(), "old");
  EXPECT_EQ(first.progress.listed(), 100);
  EXPECT_EQ(first.progress.read(), 40);

  page.objects.resize(30);
  page.next_page_token.clear();
  page.cursor = "new";
  PageEnd last = EndPage(*first.next, first.progress, page, 2, kNow);
  EXPECT_FALSE(last.next.has_value());
  EXPECT_EQ(last.progress.state(), raw::v1::POLL_STATE_DONE);
  EXPECT_EQ(last.progress.cursor(), "new");
  EXPECT_EQ(last.progress.listed(), 130);
  EXPECT_EQ(last.progress.read(), 42);
  EXPECT_EQ(last.progress.total(), 130);
}

TEST(PollPassTest, FailedPassKeepsTheCursor) {
  auto failed =
      FailPass(Tick("a", "2", 100), Progress("a", raw::v1::POLL_STATE_RUNNING, 100), "why", kNow);
  EXPECT_EQ(failed.state(), raw::v1::POLL_STATE_FAILED);
  EXPECT_EQ(failed.cursor(), "old");
  EXPECT_EQ(failed.error(), "why");
}

TEST(PollPassTest, SweepBeginsAtTheCursorAndABackfillAtItsRange) {
  Integration integration;
  integration.created_at = kNow - absl::Hours(1);
  auto first = MakeListRequest(Tick("a"), std::nullopt, integration);
  EXPECT_EQ(first.cursor, "");
  EXPECT_EQ(first.from, integration.created_at);
  EXPECT_EQ(first.to, absl::InfiniteFuture());
  auto later = MakeListRequest(Tick("b"), Progress("a", raw::v1::POLL_STATE_DONE), integration);
  EXPECT_EQ(later.cursor, "old");
  // The first load of a CRM without webhooks has no beginning.
  raw::v1::PollTick load = Tick("d");
  load.set_cause(deal::v1::CAUSE_POLL);
  EXPECT_EQ(MakeListRequest(load, std::nullopt, integration).from, absl::InfinitePast());
  EXPECT_EQ(Cursors::Key(load), "int_1/poll");

  raw::v1::PollTick backfill = Tick("c", "5");
  backfill.set_cause(deal::v1::CAUSE_BACKFILL);
  *backfill.mutable_from() = ToProto(kNow - absl::Hours(9));
  *backfill.mutable_to() = ToProto(kNow - absl::Hours(8));
  auto range = MakeListRequest(backfill, std::nullopt, integration);
  EXPECT_EQ(range.from, kNow - absl::Hours(9));
  EXPECT_EQ(range.to, kNow - absl::Hours(8));
  EXPECT_EQ(range.page_token, "5");
  EXPECT_EQ(Cursors::Key(backfill), "int_1/c");
  EXPECT_EQ(Cursors::Key(Tick("a")), "int_1/reconciliation");
}

TEST(CursorsTest, WhatTheTopicBringsLateDoesNotUndoWhatWasPut) {
  Cursors cursors;
  cursors.Put("k", Progress("b", raw::v1::POLL_STATE_RUNNING, 5, kNow));
  kafka::InRecord record;
  record.key = "k";
  record.value =
      Progress("a", raw::v1::POLL_STATE_DONE, 1, kNow - absl::Seconds(1)).SerializeAsString();
  cursors.Apply(record);
  EXPECT_EQ(cursors.Find("k")->poll_id(), "b");
  record.value = std::nullopt;
  cursors.Apply(record);
  EXPECT_EQ(cursors.Find("k"), std::nullopt);
}

TEST(PollPassTest, ProgressIsNewerThanWhatAnotherClockWrote) {
  Cursors cursors;
  const std::string key = Cursors::Key(Tick("a"));
  cursors.Put(key, Progress("a", raw::v1::POLL_STATE_RUNNING, 100, kNow + absl::Seconds(5)));
  const PageEnd end = EndPage(Tick("a", "2", 100), cursors.Find(key), crm::ListPage(), 0, kNow);
  cursors.Put(key, end.progress);
  EXPECT_EQ(cursors.Find(key)->state(), raw::v1::POLL_STATE_DONE);
}

}  // namespace
}  // namespace dealstream::reader
