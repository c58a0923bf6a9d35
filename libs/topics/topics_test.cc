#include "libs/topics/topics.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::topics {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kSmall = R"(
crms: [one, two]
delays: [5s, 1h]
defaults: {partitions: 12, replication: 3, min_insync_replicas: 2, visibility: internal}
topics:
  - {name: crm.record.<crm>, key: account, value: a.B, cleanup: delete, retention: 7d, max_size: 2MiB, owner: reader}
  - {name: crm.retry.<crm>.<delay>, key: account, value: a.C, cleanup: delete, retention: 36h, max_size: 3MiB, owner: reader, partitions: 3}
  - {name: normalizer.<crm>.state, key: deal, value: a.D, partitions_of: crm.record.<crm>, cleanup: compact, max_size: 512KiB, owner: normalizer}
  - {name: deals.v1, key: deal, value: a.E, cleanup: delete, retention: 30d, max_size: 100, owner: normalizer, visibility: public}
)";

std::vector<Spec> Small() { return *Parse(kSmall); }

Found AsDeclared(const Spec& spec) { return {spec.partitions, spec.replication, Settings(spec)}; }

std::map<std::string, Found> AllAsDeclared() {
  std::map<std::string, Found> found;
  for (const Spec& spec : Small()) {
    found[spec.name] = AsDeclared(spec);
  }
  return found;
}

TEST(TopicsParse, ExpandsCrmsAndDelays) {
  std::vector<std::string> names;
  for (const Spec& spec : Small()) {
    names.push_back(spec.name);
  }
  EXPECT_THAT(names,
              ElementsAre("crm.record.one",
                          "crm.record.two",
                          "crm.retry.one.5s",
                          "crm.retry.one.1h",
                          "crm.retry.two.5s",
                          "crm.retry.two.1h",
                          "normalizer.one.state",
                          "normalizer.two.state",
                          "deals.v1"));
}

TEST(TopicsParse, FillsDefaultsAndUnits) {
  const std::vector<Spec> specs = Small();
  const Spec* state = Find(specs, "normalizer.two.state");
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->partitions, 12);
  EXPECT_TRUE(state->compacted);
  EXPECT_EQ(state->max_bytes, 512 << 10);
  EXPECT_EQ(state->crm, "two");
  const Spec* retry = Find(specs, "crm.retry.one.1h");
  ASSERT_NE(retry, nullptr);
  EXPECT_EQ(retry->partitions, 3);
  EXPECT_EQ(retry->retention, absl::Hours(36));
  const Spec* deals = Find(specs, "deals.v1");
  ASSERT_NE(deals, nullptr);
  EXPECT_TRUE(deals->is_public);
  EXPECT_EQ(deals->crm, "");
  EXPECT_EQ(Settings(*deals).at("retention.ms"), "2592000000");
}

TEST(TopicsParse, NamesWhatIsWrong) {
  struct Case {
    std::string_view topic;
    std::string_view error;
  };
  const Case cases[] = {
      {"{name: a, kee: b}", "a: key: found \"kee\""},
      {"{name: A, key: b, value: c, owner: d}", "name: found \"A\""},
      {"{name: a, key: b, owner: d}", "value: found \"\""},
      {"{name: a, key: b, value: c, owner: d, partitions: 0}", "partitions: found \"0\""},
      {"{name: a, key: b, value: c, owner: d, cleanup: keep}", "want delete or compact"},
      {"{name: a, key: b, value: c, owner: d, cleanup: delete, retention: 7}",
       "retention: found \"7\""},
      {"{name: a, key: b, value: c, owner: d, cleanup: compact, max_size: 2MB}",
       "max_size: found \"2MB\""},
      {"{name: a, key: b, value: c, owner: d, partitions_of: z, cleanup: compact, max_size: 2}",
       "a topic declared before"},
  };
  for (const Case& one : cases) {
    const auto specs = Parse(
        "defaults: {partitions: 1, replication: 1, min_insync_replicas: 1, visibility: "
        "internal}\ntopics:\n  - " +
        std::string(one.topic));
    ASSERT_FALSE(specs.ok()) << one.topic;
    EXPECT_THAT(std::string(ToStd(specs.status().message())), HasSubstr(std::string(one.error)));
  }
  EXPECT_FALSE(Parse("topics: [").ok());
  EXPECT_FALSE(Load("/no/such/file").ok());
}

TEST(TopicsParse, DeclaredListIsWhole) {
  const auto specs = Load(DEALSTREAM_SOURCE_DIR "/deploy/topics.yaml");
  ASSERT_TRUE(specs.ok()) << specs.status();
  for (const char* name : {"deals.v1", "deals.snapshot.v1", "requests.v1", "integrations.v1"}) {
    EXPECT_NE(Find(*specs, name), nullptr) << name;
  }
  for (const Spec& spec : *specs) {
    if (spec.name.find("crm.record.") == 0) {
      const Spec* state = Find(*specs, "normalizer." + spec.crm + ".state");
      ASSERT_NE(state, nullptr);
      EXPECT_EQ(state->partitions, spec.partitions);
    }
  }
}

TEST(TopicsCompare, SilentWhenAsDeclared) {
  EXPECT_THAT(Compare(Small(), AllAsDeclared(), {}), IsEmpty());
}

TEST(TopicsCompare, CreatesWhatIsMissing) {
  auto found = AllAsDeclared();
  found.erase("deals.v1");
  const auto changes = Compare(Small(), found, {});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, Change::Kind::kCreate);
  EXPECT_EQ(changes[0].topic, "deals.v1");
}

TEST(TopicsCompare, ReplicationLimitIsForSmallClusters) {
  auto found = AllAsDeclared();
  for (auto& [name, topic] : found) {
    topic.replication = 1;
    topic.settings["min.insync.replicas"] = "1";
  }
  Policy policy;
  policy.replication_limit = 1;
  EXPECT_THAT(Compare(Small(), found, policy), IsEmpty());
  EXPECT_FALSE(Compare(Small(), found, {}).empty());
}

TEST(TopicsCompare, RefusesToLower) {
  auto found = AllAsDeclared();
  found["deals.v1"].settings["retention.ms"] = "99999999999";
  found["crm.record.one"].partitions = 24;
  found["crm.record.two"].partitions = 6;
  const auto careful = Compare(Small(), found, {});
  ASSERT_EQ(careful.size(), 3U);
  EXPECT_TRUE(std::all_of(careful.begin(), careful.end(), [](const Change& change) {
    return change.kind == Change::Kind::kRefused;
  }));
  Policy risky;
  risky.allow_risky = true;
  const auto bold = Compare(Small(), found, risky);
  ASSERT_EQ(bold.size(), 3U);
  EXPECT_EQ(bold[0].kind, Change::Kind::kRefused) << "partitions are never taken away";
  EXPECT_EQ(bold[1].kind, Change::Kind::kAddPartitions);
  EXPECT_EQ(bold[2].kind, Change::Kind::kSet);
}

TEST(TopicsCompare, RefusesToEndRetentionForEver) {
  auto found = AllAsDeclared();
  found["deals.v1"].settings["retention.ms"] = "-1";
  const auto changes = Compare(Small(), found, {});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].kind, Change::Kind::kRefused);
  // The broker's own, which may be longer.
  found["deals.v1"].settings.erase("retention.ms");
  EXPECT_EQ(Compare(Small(), found, {}).at(0).kind, Change::Kind::kRefused);
}

TEST(TopicsCompare, RaisesByItself) {
  auto found = AllAsDeclared();
  found["deals.v1"].settings["retention.ms"] = "5";
  found["deals.v1"].settings.erase("cleanup.policy");
  const auto changes = Compare(Small(), found, {});
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].kind, Change::Kind::kSet);
  EXPECT_EQ(changes[1].kind, Change::Kind::kSet);
}

}  // namespace
}  // namespace dealstream::topics
