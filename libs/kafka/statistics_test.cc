#include "gtest/gtest.h"

#include "libs/kafka/client.h"

namespace dealstream::kafka::internal {
namespace {

TEST(KafkaStatistics, TakesTheSlowestBroker) {
  const auto statistics = ParseStatistics(
      R"({"name":"x","brokers":{"a:1/1":{"state":"UP","rtt":{"avg":350}},"b:2/2":{"state":"INIT","rtt":{"avg":1200}},"boot":{"state":"INIT"}}})");
  ASSERT_TRUE(statistics.ok());
  EXPECT_DOUBLE_EQ(statistics->rtt_seconds, 0.0012);
  EXPECT_TRUE(statistics->any_broker_up);
}

TEST(KafkaStatistics, NoBrokerUp) {
  const auto statistics = ParseStatistics(R"({"brokers":{"a:1/1":{"state":"DOWN"}}})");
  ASSERT_TRUE(statistics.ok());
  EXPECT_FALSE(statistics->any_broker_up);
  EXPECT_DOUBLE_EQ(statistics->rtt_seconds, 0);
}

TEST(KafkaStatistics, OtherShapesAreErrors) {
  EXPECT_FALSE(ParseStatistics("").ok());
  EXPECT_FALSE(ParseStatistics("[]").ok());
  EXPECT_FALSE(ParseStatistics(R"({"brokers":1})").ok());
}

TEST(KafkaStatus, CodeTellsTheLoopWhatToDo) {
  EXPECT_EQ(DispositionOf(ToStatus(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "x")),
            Disposition::kDeadLetter);
  EXPECT_EQ(DispositionOf(ToStatus(RD_KAFKA_RESP_ERR__TRANSPORT, "x")), Disposition::kRetry);
  EXPECT_EQ(DispositionOf(ToStatus(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, "x")), Disposition::kRetry);
  EXPECT_EQ(ToStatus(RD_KAFKA_RESP_ERR__QUEUE_FULL, "x").code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(ToStatus(RD_KAFKA_RESP_ERR_NO_ERROR, "x").ok());
  EXPECT_EQ(ReasonOf(ToStatus(RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, "x")),
            "kafka_topic_already_exists");
}

}  // namespace
}  // namespace dealstream::kafka::internal
