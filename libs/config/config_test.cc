#include "libs/config/config.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/strings.h"

namespace dealstream::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class SchemaTest : public testing::Test {
 protected:
  SchemaTest() {
    schema_.Add("kafka.brokers", &brokers_, "Where to begin.", true);
    schema_.Add("kafka.embedded-broker", &embedded_, "Development.");
    schema_.Add("threads", &threads_, 1, 64, "Worker threads.");
    schema_.Add("drain.delay", &delay_, absl::ZeroDuration(), absl::Minutes(5), "Before stopping.");
    schema_.Add("cache", &cache_, Bytes{0}, Bytes{int64_t{1} << 30}, "Memory for blocks.");
    schema_.Add("callers", &callers_, "Names of certificates.");
  }

  Status Load(const std::string& yaml, const std::map<std::string, std::string>& environment = {}) {
    path_ = testing::TempDir() + "/config_test_" + std::to_string(getpid()) + ".yaml";
    std::ofstream(path_) << yaml;
    Status status = schema_.Load(path_, environment);
    std::filesystem::remove(path_);
    return status;
  }

  std::string Error(const std::string& yaml,
                    const std::map<std::string, std::string>& environment = {}) {
    return std::string(ToStd(Load(yaml, environment).message()));
  }

  Schema schema_;
  std::string brokers_;
  bool embedded_ = false;
  int64_t threads_ = 4;
  absl::Duration delay_ = absl::Seconds(5);
  Bytes cache_{int64_t{16} << 20};
  std::vector<std::string> callers_ = {"dealctl"};
  std::string path_;
};

TEST_F(SchemaTest, ReadsEveryTypeFromNestedMaps) {
  ASSERT_TRUE(Load(R"(
kafka:
  brokers: a:1,b:2
  embedded-broker: true
threads: 8
drain: {delay: 250ms}
cache: 512KiB
callers: [cabinet, dealctl]
)")
                  .ok());
  EXPECT_EQ(brokers_, "a:1,b:2");
  EXPECT_TRUE(embedded_);
  EXPECT_EQ(threads_, 8);
  EXPECT_EQ(delay_, absl::Milliseconds(250));
  EXPECT_EQ(cache_.value, 512 << 10);
  EXPECT_THAT(callers_, ElementsAre("cabinet", "dealctl"));
}

TEST_F(SchemaTest, DefaultsStandAndEmptySectionsAreAllowed) {
  ASSERT_TRUE(Load("kafka: {brokers: x}\ndrain:\n").ok());
  EXPECT_EQ(threads_, 4);
  EXPECT_EQ(delay_, absl::Seconds(5));
  EXPECT_THAT(schema_.Effective(),
              ElementsAre(Pair("kafka.brokers", "x"),
                          Pair("kafka.embedded-broker", "false"),
                          Pair("threads", "4"),
                          Pair("drain.delay", "5s"),
                          Pair("cache", "16MiB"),
                          Pair("callers", "dealctl")));
}

TEST_F(SchemaTest, EnvironmentOverridesTheFile) {
  ASSERT_TRUE(Load("kafka: {brokers: x}\nthreads: 8\n",
                   {{"DEALSTREAM_THREADS", "9"},
                    {"DEALSTREAM_KAFKA_EMBEDDED_BROKER", "true"},
                    {"DEALSTREAM_CALLERS", "a,b"},
                    {"HOME", "/root"}})
                  .ok());
  EXPECT_EQ(threads_, 9);
  EXPECT_TRUE(embedded_);
  EXPECT_THAT(callers_, ElementsAre("a", "b"));
}

TEST_F(SchemaTest, EnvironmentAloneIsEnough) {
  EXPECT_TRUE(schema_.Load("", {{"DEALSTREAM_KAFKA_BROKERS", "x"}}).ok());
  EXPECT_EQ(brokers_, "x");
}

TEST_F(SchemaTest, UnknownKeyNamesFileLineKeyAndTheNearest) {
  const std::string error = Error("threads: 3\nkafka:\n  broker: x\n");
  EXPECT_THAT(error, HasSubstr(path_ + ":3: unknown key \"kafka.broker\""));
  EXPECT_THAT(error, HasSubstr("did you mean \"kafka.brokers\"?"));
  EXPECT_THAT(Error("zzzzzzzzzzzzzz: 1\n"), HasSubstr("known keys: kafka.brokers, "));
}

TEST_F(SchemaTest, UnknownEnvironmentKeyIsAnError) {
  EXPECT_THAT(Error("kafka: {brokers: x}\n", {{"DEALSTREAM_THREAD", "1"}}),
              HasSubstr("unknown key \"DEALSTREAM_THREAD\"; did you mean \"DEALSTREAM_THREADS\"?"));
}

TEST_F(SchemaTest, BadValuesSayWhatWasFoundAndExpected) {
  EXPECT_THAT(Error("threads: many\n"),
              HasSubstr(":1: \"threads\": found \"many\", expected a whole number, 1 to 64"));
  EXPECT_THAT(Error("threads: 65\n"), HasSubstr("found \"65\""));
  EXPECT_THAT(Error("drain: {delay: 30}\n"), HasSubstr("expected a duration with a unit"));
  EXPECT_THAT(Error("drain: {delay: 10m}\n"), HasSubstr("0 to 5m"));
  EXPECT_THAT(Error("cache: 2GiB\n"),
              HasSubstr("expected a size (100, 512KiB, 16MiB, 1GiB), 0 to 1GiB"));
  EXPECT_THAT(Error("cache: 1 MB\n"), HasSubstr("found \"1 MB\""));
  EXPECT_THAT(Error("cache: 99999999999999GiB\n"), HasSubstr("expected a size"));
  EXPECT_THAT(Error("kafka: {embedded-broker: yes}\n"), HasSubstr("expected true or false"));
  EXPECT_THAT(Error("callers: one\n"), HasSubstr("found one value, expected a list"));
  EXPECT_THAT(Error("threads: [1]\n"), HasSubstr("found a list, expected one value"));
  EXPECT_THAT(Error("threads: {a: 1}\n"), HasSubstr("found a map"));
  EXPECT_THAT(Error("threads:\n"), HasSubstr("found nothing"));
}

TEST_F(SchemaTest, RequiredKeyMustBeGiven) {
  EXPECT_THAT(Error("threads: 1\n"),
              HasSubstr("\"kafka.brokers\": must be given (or DEALSTREAM_KAFKA_BROKERS"));
}

TEST_F(SchemaTest, BrokenFilesAreErrorsWithALine) {
  EXPECT_THAT(Error("threads: 1\n  bad: [\n"), HasSubstr(path_ + ":"));
  EXPECT_THAT(Error("- a\n"), HasSubstr("expected a map of keys"));
  EXPECT_THAT(Error("threads: 1\nthreads: 2\n"), HasSubstr("given twice"));
  EXPECT_FALSE(schema_.Load("/nonexistent/x.yaml", {}).ok());
  EXPECT_THAT(std::string(ToStd(schema_.Load("/nonexistent/x.yaml", {}).message())),
              HasSubstr("/nonexistent/x.yaml: the file can't be read"));
}

TEST_F(SchemaTest, DescribeListsEachKey) {
  const std::string text = schema_.Describe();
  EXPECT_THAT(text, HasSubstr("kafka.brokers (text, required)"));
  EXPECT_THAT(text,
              HasSubstr("drain.delay (duration, 0 to 5m), default 5s\n    Before stopping.\n"
                        "    environment: DEALSTREAM_DRAIN_DELAY"));
}

TEST(SchemaDeathTest, TwoKeysOfOneNameAreOurBug) {
  Schema schema;
  std::string text;
  schema.Add("a.b", &text, "");
  EXPECT_DEATH(schema.Add("a-b", &text, ""), "declared twice");
}

}  // namespace
}  // namespace dealstream::config
