#include "libs/obs/logger.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dealstream::obs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class LoggerTest : public testing::Test {
 protected:
  LoggerTest() { logger_.Configure("test", Level::kInfo); }

  void Log(Level level,
           std::string_view event,
           std::string_view message,
           std::vector<Field> fields = {}) {
    logger_.Log(level, event, message, fields);
  }

  std::vector<std::string> lines_;
  FakeClock clock_{absl::FromUnixMillis(1'700'000'000'123)};
  Logger logger_{clock_, [this](std::string_view line) { lines_.emplace_back(line); }};
};

TEST_F(LoggerTest, WritesOneJsonObjectALine) {
  Log(Level::kInfo, "started", "up", {{"crm", "acme"}, {"port", 8081}});
  EXPECT_THAT(lines_,
              ElementsAre("{\"ts\":\"2023-11-14T22:13:20.123Z\",\"level\":\"info\",\"service\":"
                          "\"test\",\"event\":\"started\",\"msg\":\"up\",\"crm\":\"acme\","
                          "\"port\":8081}\n"));
}

TEST_F(LoggerTest, EscapesAndReplacesWhatIsNotUtf8) {
  Log(Level::kInfo, "e", "a\"b\\c\nd\te\x01 сделка \xff\xc0\xaf\xed\xa0\x80 \xf0\x9f\x98\x80");
  EXPECT_THAT(lines_[0],
              HasSubstr("\"msg\":\"a\\\"b\\\\c\\nd\\u0009e\\u0001 сделка "
                        "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd \xf0\x9f\x98\x80\""));
}

TEST_F(LoggerTest, LeavesOutLowerLevelsAndCountsThem) {
  Log(Level::kDebug, "e", "m");
  EXPECT_THAT(lines_, IsEmpty());
  EXPECT_EQ(logger_.Count(Level::kDebug), 1);
}

TEST_F(LoggerTest, FoldsARepeatedErrorAndSaysHowOften) {
  for (int i = 0; i < 5; ++i) {
    Log(Level::kError, "broker_down", "no broker");
    clock_.Advance(absl::Seconds(2));
  }
  EXPECT_THAT(lines_, SizeIs(1));
  EXPECT_THAT(lines_[0], Not(HasSubstr("repeated")));
  Log(Level::kError, "broker_down", "no broker");
  ASSERT_THAT(lines_, SizeIs(2));
  EXPECT_THAT(lines_[1], HasSubstr("\"repeated\":4"));
  EXPECT_EQ(logger_.Count(Level::kError), 6);
}

TEST_F(LoggerTest, ErrorsOfOtherIntegrationsAreNotFolded) {
  Log(Level::kWarn, "parked", "refused", {{"integration_id", "int_1"}});
  Log(Level::kWarn, "parked", "refused", {{"integration_id", "int_2"}});
  Log(Level::kWarn, "parked", "refused", {{"integration_id", "int_1"}});
  EXPECT_THAT(lines_, SizeIs(2));
}

TEST_F(LoggerTest, CountsLeftOutAreFlushed) {
  Log(Level::kError, "broker_down", "no broker");
  Log(Level::kError, "broker_down", "no broker");
  logger_.Flush(false);
  EXPECT_THAT(lines_, SizeIs(1));
  clock_.Advance(absl::Seconds(21));
  logger_.Flush(false);
  ASSERT_THAT(lines_, SizeIs(2));
  EXPECT_THAT(lines_[1], AllOf(HasSubstr("broker_down"), HasSubstr("\"repeated\":1")));
  logger_.Flush(true);
  EXPECT_THAT(lines_, SizeIs(2));
}

TEST_F(LoggerTest, MessagesWithNumbersCannotFloodForEver) {
  for (int i = 0; i < 3000; ++i) {
    Log(Level::kError, "odd", "offset " + std::to_string(i));
  }
  EXPECT_THAT(lines_, SizeIs(1001));
}

}  // namespace
}  // namespace dealstream::obs
