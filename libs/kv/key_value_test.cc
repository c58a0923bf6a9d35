#include "libs/kv/key_value.h"

#include <filesystem>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <unistd.h>

namespace dealstream::kv {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

enum class Kind { kMemory, kRocks };

// The same facts hold for both stores.
class StoreTest : public testing::TestWithParam<Kind> {
 protected:
  StoreTest()
      : path_(fmt::format("{}/kv.{}.{}",
                          testing::TempDir(),
                          getpid(),
                          testing::UnitTest::GetInstance()->random_seed())) {
    Open();
  }
  ~StoreTest() override {
    store_.reset();
    std::filesystem::remove_all(path_);
  }

  void Open() {
    store_.reset();
    if (GetParam() == Kind::kMemory) {
      store_ = MakeMemoryStore();
      return;
    }
    auto store = OpenRocks({.path = path_});
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  std::string ValueOf(std::string_view key) const {
    std::string value = "old";
    const auto found = store_->Get(key, value);
    return !found.ok() ? found.status().ToString() : *found ? value : "(none)";
  }

  std::vector<std::string> Keys(std::string_view prefix) const {
    std::vector<std::string> keys;
    EXPECT_TRUE(store_
                    ->Scan(prefix,
                           [&keys](std::string_view key, std::string_view) {
                             keys.emplace_back(key);
                             return true;
                           })
                    .ok());
    return keys;
  }

  const std::string path_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreTest, KeepsTheLastWriteOfAKey) {
  ASSERT_TRUE(
      store_->Apply({{"a", "1"}, {"b", "2"}, {"a", "3"}, {"c", "4"}, {"c", std::nullopt}}).ok());
  EXPECT_EQ(ValueOf("a"), "3");
  EXPECT_EQ(ValueOf("b"), "2");
  EXPECT_EQ(ValueOf("c"), "(none)");
  EXPECT_EQ(ValueOf("d"), "(none)");
}

TEST_P(StoreTest, KeysAndValuesAreAnyBytes) {
  const std::string bytes("\0\xFF\n", 3);
  ASSERT_TRUE(store_->Apply({{bytes, bytes}, {"empty", ""}}).ok());
  EXPECT_EQ(ValueOf(bytes), bytes);
  EXPECT_EQ(ValueOf("empty"), "");
}

TEST_P(StoreTest, RemovesAPrefixAndNothingElse) {
  const std::string high("s\xFF", 2);
  ASSERT_TRUE(
      store_->Apply({{"r", "1"}, {"s", "2"}, {"s1", "3"}, {high + "x", "4"}, {"t", "5"}}).ok());
  ASSERT_TRUE(store_->RemovePrefix("s1").ok());
  EXPECT_THAT(Keys(""), ElementsAre("r", "s", high + "x", "t"));
  ASSERT_TRUE(store_->RemovePrefix("s").ok());
  EXPECT_THAT(Keys(""), ElementsAre("r", "t"));
  ASSERT_TRUE(store_->Apply({{"\xFF\xFF", "6"}}).ok());
  ASSERT_TRUE(store_->RemovePrefix("\xFF").ok());
  EXPECT_THAT(Keys(""), ElementsAre("r", "t"));
  ASSERT_TRUE(store_->RemovePrefix("zz").ok());
  EXPECT_THAT(Keys("s"), IsEmpty());
}

TEST_P(StoreTest, ScanStopsWhenTold) {
  ASSERT_TRUE(store_->Apply({{"a", "1"}, {"b", "2"}}).ok());
  int visited = 0;
  ASSERT_TRUE(store_
                  ->Scan("",
                         [&visited](std::string_view, std::string_view) {
                           ++visited;
                           return false;
                         })
                  .ok());
  EXPECT_EQ(visited, 1);
}

TEST_P(StoreTest, EstimatesKeys) {
  ASSERT_TRUE(store_->Apply({{"a", "1"}, {"b", "2"}}).ok());
  EXPECT_EQ(store_->EstimateKeys(), 2);
}

INSTANTIATE_TEST_SUITE_P(Stores,
                         StoreTest,
                         testing::Values(Kind::kMemory, Kind::kRocks),
                         [](const auto& kind) {
                           return kind.param == Kind::kMemory ? "Memory" : "Rocks";
                         });

using RocksTest = StoreTest;

TEST_P(RocksTest, SurvivesReopening) {
  ASSERT_TRUE(store_->Apply({{"a", "1"}}).ok());
  Open();
  EXPECT_EQ(ValueOf("a"), "1");
}

TEST_P(RocksTest, RefusesASecondOwner) {
  const auto second = OpenRocks({.path = path_});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

INSTANTIATE_TEST_SUITE_P(Only, RocksTest, testing::Values(Kind::kRocks));

}  // namespace
}  // namespace dealstream::kv
