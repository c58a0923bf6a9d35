#include "services/webhook-ingest/token_table.h"

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "services/webhook-ingest/testing.h"
#include "services/webhook-ingest/token_hasher.h"

namespace dealstream::ingest {
namespace {

TokenTarget Target(const std::string& id, const std::string& token, bool active = true) {
  TokenTarget target;
  target.digest = DigestForTest(token);
  target.integration_id = id;
  target.crm_account_id = "account of " + id;
  target.active = active;
  return target;
}

std::optional<TokenTarget> Find(const TokenTable& table, const std::string& token) {
  const TokenTable::Lease lease(table, 0);
  const TokenTarget* target = lease.Find(DigestForTest(token));
  return target == nullptr ? std::nullopt : std::optional(*target);
}

TEST(TokenHasherTest, GivesWhatTheCabinetPublishes) {
  TokenHasher hasher;
  for (const std::string token : {"", "token", "another token"}) {
    EXPECT_EQ(hasher.DigestOf(token), DigestForTest(token));
  }
}

TEST(TokenTableTest, FindsByTokenAndFollowsChanges) {
  TokenTable table(1);
  EXPECT_EQ(Find(table, "t1"), std::nullopt);
  table.Put(Target("i1", "t1"));
  table.Put(Target("i2", "t2"));
  EXPECT_EQ(Find(table, "t1")->integration_id, "i1");
  EXPECT_EQ(Find(table, "t2")->crm_account_id, "account of i2");
  table.Put(Target("i1", "t1", false));
  EXPECT_FALSE(Find(table, "t1")->active);
  table.Put(Target("i1", "t1b"));
  EXPECT_EQ(Find(table, "t1"), std::nullopt);
  EXPECT_EQ(Find(table, "t1b")->integration_id, "i1");
  table.Remove("i1");
  table.Remove("i1");
  EXPECT_EQ(Find(table, "t1b"), std::nullopt);
  EXPECT_EQ(Find(table, "t2")->integration_id, "i2");
  EXPECT_EQ(table.size(), 1U);
}

TEST(TokenTableTest, RemovedOnesDoNotFillTheTable) {
  TokenTable table(1);
  for (int i = 0; i < 10'000; ++i) {
    table.Put(Target("i", fmt::format("t{}", i)));
  }
  EXPECT_EQ(table.size(), 1U);
  EXPECT_EQ(Find(table, "t9998"), std::nullopt);
  EXPECT_TRUE(Find(table, "t9999"));
  EXPECT_LT(table.MemoryBytes(), 100'000U);
}

TEST(TokenTableTest, AnAllZeroDigestIsNobodys) {
  TokenTable table(1);
  table.Put(Target("i", "t"));
  const TokenTable::Lease lease(table, 0);
  EXPECT_EQ(lease.Find(TokenDigest{}), nullptr);
}

TEST(TokenTableTest, HoldsAHundredThousandInFarLessThan200MB) {
  TokenTable table(1);
  for (int i = 0; i < 100'000; ++i) {
    table.Put(Target(fmt::format("int_01hv0000000000000000{:06}", i), fmt::format("token {}", i)));
  }
  EXPECT_LT(table.MemoryBytes(), 50U << 20);
  for (int i = 0; i < 100'000; i += 997) {
    EXPECT_TRUE(Find(table, fmt::format("token {}", i)));
  }
}

TEST(TokenTableTest, ReadersSeeWholeTargetsWhileTheWriterWorks) {
  constexpr int kReaders = 3;
  TokenTable table(kReaders);
  table.Put(Target("steady", "steady"));
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (size_t r = 0; r < kReaders; ++r) {
    readers.emplace_back([&, r] {
      const TokenDigest steady = DigestForTest("steady");
      const TokenDigest moving = DigestForTest("moving7");
      while (!stop.load()) {
        const TokenTable::Lease lease(table, r);
        const TokenTarget* target = lease.Find(steady);
        ASSERT_NE(target, nullptr);
        ASSERT_EQ(target->crm_account_id, "account of steady");
        if (const TokenTarget* other = lease.Find(moving)) {
          ASSERT_EQ(other->crm_account_id, "account of moving7");
        }
      }
    });
  }
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 100; ++i) {
      table.Put(Target(fmt::format("moving{}", i), fmt::format("moving{}", i)));
    }
    table.Put(Target("steady", "steady", round % 2 == 0));
    for (int i = 0; i < 100; ++i) {
      table.Remove(fmt::format("moving{}", i));
    }
  }
  stop = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
}

}  // namespace
}  // namespace dealstream::ingest
