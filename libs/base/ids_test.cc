#include "libs/base/ids.h"

#include <set>

#include "gtest/gtest.h"

#include "libs/base/clock.h"

namespace dealstream {
namespace {

TEST(IdsTest, UlidBeginsWithTheTime) {
  const FakeClock clock(absl::FromUnixMillis(1469918176385));
  EXPECT_EQ(NewUlid(clock).substr(0, 10), "01ARYZ6S41");  // The example of the ULID specification.
}

TEST(IdsTest, TokensAreLongUrlSafeAndDifferent) {
  std::set<std::string> tokens;
  for (int i = 0; i < 100; ++i) {
    const std::string token = NewToken();
    EXPECT_EQ(token.size(), 43u);
    EXPECT_EQ(
        token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
        std::string::npos);
    tokens.insert(token);
  }
  EXPECT_EQ(tokens.size(), 100u);
}

TEST(IdsTest, Sha256OfEmpty) {
  EXPECT_EQ(ToHex(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace dealstream
