#include "libs/crm/sim/web.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/crm/sim/random.h"

namespace dealstream::crm::simkit {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Pair;

TEST(WebTest, DecodesWhatIsEncoded) {
  EXPECT_EQ(UrlDecode("a%2Fb+c%d0%b9"), "a/b cй");
  EXPECT_EQ(UrlDecode("100%"), "100%");
  EXPECT_EQ(UrlDecode("%zz%4"), "%zz%4");
  EXPECT_EQ(UrlDecode(UrlEncode("a/+=&й?")), "a/+=&й?");
  EXPECT_EQ(UrlEncode("a/+"), "a%2F%2B");
}

TEST(WebTest, SplitsPaths) {
  EXPECT_THAT(SplitPath("/a/b%2Fc/d+e"), ElementsAre("a", "b/c", "d+e"));
  EXPECT_THAT(SplitPath("//Api/"), ElementsAre("", "Api"));
  EXPECT_THAT(SplitPath(""), IsEmpty());
}

TEST(WebTest, ReadsParametersInTheirOrder) {
  const Parameters parameters = ParseQuery("b=2&a=%D0%B9+1&&c&b=3");
  EXPECT_THAT(parameters,
              ElementsAre(Pair("b", "2"), Pair("a", "й 1"), Pair("c", ""), Pair("b", "3")));
  EXPECT_EQ(FindParameter(parameters, "b"), "2");
  EXPECT_EQ(FindParameter(parameters, "x"), "");
}

TEST(WebTest, ReadsTextsAndNumbersAlike) {
  const Json json = {{"text", "1.50"}, {"number", 1.5}, {"null", nullptr}};
  EXPECT_EQ(TextOf(json, "text"), "1.50");
  EXPECT_EQ(TextOf(json, "number"), "1.5");
  EXPECT_EQ(TextOf(json, "null"), "");
  EXPECT_EQ(TextOf(json, "absent"), "");
}

TEST(WebTest, MendsBrokenText) { EXPECT_EQ(Dump(Json("a\xff")), "\"a\xef\xbf\xbd\""); }

TEST(RandomTest, TheSameSeedDrawsTheSame) {
  Random one(7);
  Random two(7);
  const std::string id = one.Uuid();
  EXPECT_EQ(id, two.Uuid());
  EXPECT_NE(id, one.Uuid());
  EXPECT_THAT(id,
              MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_THAT(one.Hex(12), MatchesRegex("[0-9a-f]{12}"));
}

}  // namespace
}  // namespace dealstream::crm::simkit
