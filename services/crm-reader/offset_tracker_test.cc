#include "services/crm-reader/offset_tracker.h"

#include <gtest/gtest.h>

namespace dealstream::reader {
namespace {

TEST(OffsetTrackerTest, NothingIsCommittedBeforeTheFirstRecord) {
  OffsetTracker tracker;
  EXPECT_EQ(tracker.TakeCommit(), std::nullopt);
}

TEST(OffsetTrackerTest, PositionStopsAtTheLowestThatIsNotDone) {
  OffsetTracker tracker;
  for (int64_t offset : {10, 11, 12, 13}) {
    tracker.Add(offset);
  }
  tracker.Done(11);
  tracker.Done(13);
  EXPECT_EQ(tracker.TakeCommit(), 10);
  tracker.Done(10);
  EXPECT_EQ(tracker.TakeCommit(), 12);
  EXPECT_EQ(tracker.TakeCommit(), std::nullopt) << "it has not moved";
  tracker.Done(12);
  EXPECT_EQ(tracker.TakeCommit(), 14);
}

TEST(OffsetTrackerTest, GapsAreSkipped) {
  OffsetTracker tracker;
  tracker.Add(5);
  tracker.Add(9);
  tracker.Done(5);
  EXPECT_EQ(tracker.TakeCommit(), 9);
  tracker.Done(9);
  EXPECT_EQ(tracker.TakeCommit(), 10);
  EXPECT_EQ(tracker.open(), 0u);
}

TEST(OffsetTrackerTest, FailedCommitIsTakenAgain) {
  OffsetTracker tracker;
  tracker.Add(1);
  tracker.Done(1);
  EXPECT_EQ(tracker.TakeCommit(), 2);
  tracker.CommitFailed();
  EXPECT_EQ(tracker.TakeCommit(), 2);
}

TEST(OffsetTrackerTest, DoingAnUnknownOffsetChangesNothing) {
  OffsetTracker tracker;
  tracker.Add(3);
  tracker.Done(2);
  tracker.Done(3);
  tracker.Done(3);
  EXPECT_EQ(tracker.TakeCommit(), 4);
}

}  // namespace
}  // namespace dealstream::reader
