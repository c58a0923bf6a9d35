#include "services/crm-reader/notes.h"

#include <gtest/gtest.h>

namespace dealstream::reader {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

TEST(NotesTest, AreFoundUntilTheyAreTooOld) {
  Notes notes;
  EXPECT_EQ(notes.Find("names", kNow, absl::Hours(1)), nullptr);
  notes.Put("names", "a", kNow);
  ASSERT_NE(notes.Find("names", kNow + absl::Hours(1), absl::Hours(1)), nullptr);
  EXPECT_EQ(*notes.Find("names", kNow, absl::Hours(1)), "a");
  EXPECT_EQ(notes.Find("names", kNow + absl::Minutes(61), absl::Hours(1)), nullptr);
  notes.Put("names", "b", kNow + absl::Minutes(61));
  EXPECT_EQ(*notes.Find("names", kNow + absl::Minutes(62), absl::Hours(1)), "b");
}

TEST(NotesTest, AreBoundedAndTheLeastUsedGoesFirst) {
  Notes notes(Notes::Options{.most_bytes = 100});
  notes.Put("1", std::string(39, 'x'), kNow);
  notes.Put("2", std::string(39, 'x'), kNow);
  EXPECT_NE(notes.Find("1", kNow, absl::Hours(1)), nullptr);
  notes.Put("3", std::string(39, 'x'), kNow);
  EXPECT_EQ(notes.Find("2", kNow, absl::Hours(1)), nullptr);
  EXPECT_NE(notes.Find("1", kNow, absl::Hours(1)), nullptr);
  EXPECT_LE(notes.bytes(), 100u);
  notes.Put("1", std::string(100, 'x'), kNow);
  EXPECT_EQ(notes.Find("1", kNow, absl::Hours(1)), nullptr) << "too large to be kept";
  EXPECT_EQ(notes.bytes(), 40u);
}

}  // namespace
}  // namespace dealstream::reader
