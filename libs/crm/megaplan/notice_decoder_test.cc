#include "libs/crm/megaplan/notice_decoder.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"

// What becomes of which body is checked by the cases in testdata/notices, which the conformance
// suite runs. Here is what they can't show.
namespace dealstream::crm::megaplan {
namespace {

using fixture::kDeals;
using ::testing::ElementsAre;

raw::v1::Notice Event(std::string_view event) {
  raw::v1::Notice notice;
  notice.set_body(std::string(R"({"data":{"contentType":"Deal","id":"20419"},"event":")") +
                  std::string(event) + "\"}");
  notice.mutable_received_at()->set_seconds(1'772'000'000);
  notice.mutable_received_at()->set_nanos(900'000'000);
  return notice;
}

// G6: the moment of the drop goes with the reference, since the API may lag behind its own event.
TEST(DecoderTest, RemembersWhenADealWasDropped) {
  for (const char* event : {"on_after_drop", "onAfterDrop", "ON_AFTER_DROP"}) {
    const auto decoded = Decoder().Decode(Event(event), kDeals);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_THAT(decoded->objects, ElementsAre(ObjectRef{"dropped_deal@1772000000", "20419"}));
  }
  for (const char* event : {"on_after_update", "on_after_create", "on_before_drop", "drop", ""}) {
    const auto decoded = Decoder().Decode(Event(event), kDeals);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_THAT(decoded->objects, ElementsAre(ObjectRef{"deal", "20419"}));
  }
}

TEST(DecoderTest, OtherPurposesHaveNoDeals) {
  const auto decoded = Decoder().Decode(Event("x"), integration::v1::PURPOSE_TELEPHONY);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_THAT(decoded->ignored, ElementsAre("other_purpose"));
}

// Nothing is known of what counts as received: the answer is the plainest one.
TEST(DecoderTest, TheDoorAnswersPlainly) {
  const NoticeReply reply = Decoder().Reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.methods, ElementsAre("POST"));
}

}  // namespace
}  // namespace dealstream::crm::megaplan
