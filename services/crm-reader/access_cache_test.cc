#include "services/crm-reader/access_cache.h"

#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace dealstream::reader {
namespace {

class FakeVault final : public Vault {
 public:
  Result<IssuedAccess> IssueAccess(const std::string&, int64_t refused_version) override {
    ++asked;
    last_refused = refused_version;
    DEALSTREAM_RETURN_IF_ERROR(error);
    IssuedAccess issued;
    issued.access.base_url = "https://crm.example";
    issued.access.expires_at = expires_at;
    issued.version = version;
    return issued;
  }

  std::atomic<int> asked = 0;
  int64_t last_refused = -1;
  int64_t version = 1;
  absl::Time expires_at = absl::InfiniteFuture();
  Status error;
};

class AccessCacheTest : public testing::Test {
 protected:
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  FakeVault vault_;
  AccessCache cache_{{}, clock_, vault_};
};

TEST_F(AccessCacheTest, AsksOnceInFiveMinutes) {
  ASSERT_TRUE(cache_.Get("crd").ok());
  clock_.Advance(absl::Minutes(4));
  ASSERT_TRUE(cache_.Get("crd").ok());
  EXPECT_EQ(vault_.asked, 1);
  clock_.Advance(absl::Minutes(1));
  vault_.version = 2;
  EXPECT_EQ((*cache_.Get("crd"))->version, 2);
  EXPECT_EQ(vault_.asked, 2);
}

TEST_F(AccessCacheTest, ExpiryComesFirst) {
  vault_.expires_at = clock_.Now() + absl::Minutes(1);
  ASSERT_TRUE(cache_.Get("crd").ok());
  clock_.Advance(absl::Seconds(51));
  vault_.expires_at = clock_.Now() + absl::Minutes(1);
  ASSERT_TRUE(cache_.Get("crd").ok());
  EXPECT_EQ(vault_.asked, 2);
}

TEST_F(AccessCacheTest, VaultAwayMeansTheOldOneUntilItExpires) {
  vault_.expires_at = clock_.Now() + absl::Minutes(10);
  ASSERT_TRUE(cache_.Get("crd").ok());
  vault_.error = absl::UnavailableError("away");
  clock_.Advance(absl::Minutes(6));
  EXPECT_TRUE(cache_.Get("crd").ok());
  clock_.Advance(absl::Minutes(4));
  Status status = cache_.Get("crd").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "vault_unavailable");
  int asked = vault_.asked;
  EXPECT_FALSE(cache_.Get("crd").ok());
  EXPECT_EQ(vault_.asked, asked) << "not asked again at once";
  vault_.error = absl::OkStatus();
  vault_.expires_at = absl::InfiniteFuture();
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(cache_.Get("crd").ok());
}

TEST_F(AccessCacheTest, RefusedAccessIsReplacedWhenTheVaultHasAnother) {
  ASSERT_TRUE(cache_.Get("crd").ok());
  vault_.version = 2;
  EXPECT_TRUE(cache_.Refused("crd", 1));
  EXPECT_EQ(vault_.last_refused, 1);
  EXPECT_EQ((*cache_.Get("crd"))->version, 2);
}

TEST_F(AccessCacheTest, RefusedAccessIsNotUsedAgainForAWhile) {
  ASSERT_TRUE(cache_.Get("crd").ok());
  EXPECT_FALSE(cache_.Refused("crd", 1));
  EXPECT_EQ(ReasonOf(cache_.Get("crd").status()), "credential_refused");
  clock_.Advance(absl::Minutes(9));
  EXPECT_FALSE(cache_.Get("crd").ok());
  clock_.Advance(absl::Minutes(2));
  EXPECT_TRUE(cache_.Get("crd").ok()) << "one more try";
}

// The vault mints a refused token anew once; then it says that the CRM refuses the credential.
TEST_F(AccessCacheTest, FreshTokenThatIsRefusedTooIsTheEnd) {
  vault_.expires_at = clock_.Now() + absl::Minutes(14);
  ASSERT_TRUE(cache_.Get("crd").ok());
  vault_.version = 2;
  EXPECT_TRUE(cache_.Refused("crd", 1));
  vault_.error = absl::UnauthenticatedError("check the key");
  EXPECT_FALSE(cache_.Refused("crd", 2));
  EXPECT_EQ(vault_.last_refused, 2);
  const Status status = cache_.Get("crd").status();
  EXPECT_EQ(ReasonOf(status), "credential_refused");
  EXPECT_NE(status.ToString().find("check the key"), std::string::npos);
  EXPECT_EQ(vault_.asked, 3);
  // Its owner changes it.
  vault_.error = absl::OkStatus();
  vault_.version = 3;
  clock_.Advance(absl::Seconds(6));
  EXPECT_EQ((*cache_.Get("crd"))->version, 3);
}

TEST_F(AccessCacheTest, RotatedCredentialIsFoundWithoutWaiting) {
  ASSERT_TRUE(cache_.Get("crd").ok());
  EXPECT_FALSE(cache_.Refused("crd", 1));
  vault_.version = 2;
  clock_.Advance(absl::Seconds(6));
  EXPECT_TRUE(cache_.Get("crd").ok());
}

TEST_F(AccessCacheTest, MissingCredentialIsSaid) {
  vault_.error = absl::NotFoundError("none");
  EXPECT_EQ(ReasonOf(cache_.Get("crd").status()), "credential_missing");
  vault_.error = absl::UnauthenticatedError("no");
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(ReasonOf(cache_.Get("crd").status()), "credential_refused");
}

TEST_F(AccessCacheTest, WhatNobodyUsesIsForgotten) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(cache_.Get(std::to_string(i)).ok());
  }
  EXPECT_EQ(cache_.size(), 50u);
  for (int i = 0; i < 30; ++i) {
    clock_.Advance(absl::Minutes(1));
    ASSERT_TRUE(cache_.Get("0").ok());
  }
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(AccessCacheTest, ManyAskersAreOneQuestion) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(cache_.Get("crd").ok()); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(vault_.asked, 1);
}

TEST_F(AccessCacheTest, ManyCredentialsPushOutTheLeastUsed) {
  AccessCache cache({.most = 100}, clock_, vault_);
  ASSERT_TRUE(cache.Get("refused").ok());
  EXPECT_FALSE(cache.Refused("refused", 1));
  for (int i = 0; i < 1000; ++i) {
    clock_.Advance(absl::Milliseconds(10));
    ASSERT_TRUE(cache.Get(std::to_string(i)).ok());
    ASSERT_TRUE(cache.Get("often").ok());
    EXPECT_LE(cache.size(), 101u);
  }
  int asked = vault_.asked;
  ASSERT_TRUE(cache.Get("often").ok());
  ASSERT_TRUE(cache.Get("999").ok());
  EXPECT_EQ(vault_.asked, asked);
  EXPECT_EQ(cache.Get("refused").status().code(), absl::StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace dealstream::reader
