#include "libs/base/secret.h"

#include <type_traits>

#include "gtest/gtest.h"

namespace dealstream {
namespace {

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!Printable<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_copy_constructible_v<Secret>);

TEST(SecretTest, HoldsItsBytes) {
  const Secret secret("hunter2");
  EXPECT_EQ(secret.Reveal(RevealToken()), "hunter2");
  EXPECT_TRUE(secret == Secret("hunter2"));
  EXPECT_FALSE(secret == Secret("hunter3"));
  EXPECT_FALSE(secret == Secret("hunter"));
}

TEST(SecretTest, MovedFromIsEmpty) {
  Secret a("x");
  const Secret b = std::move(a);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): the emptiness is what we promise.
  EXPECT_EQ(b.size(), 1u);
}

TEST(SecretTest, WipeStringEmpties) {
  std::string text = "secret";
  WipeString(text);
  EXPECT_TRUE(text.empty());
}

}  // namespace
}  // namespace dealstream
