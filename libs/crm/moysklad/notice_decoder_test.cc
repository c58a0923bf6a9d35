#include "libs/crm/moysklad/notice_decoder.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

// What becomes of which body is checked by the cases in testdata/notices, which the conformance
// suite runs. Here is what they can't show.
namespace dealstream::crm::moysklad {
namespace {

using ::testing::ElementsAre;

constexpr char kOrderId[] = "5f3b1a52-7c1e-11ee-0a80-0a1b00000001";

TEST(DecoderTest, OneBadReferenceLeavesTheOthersBe) {
  raw::v1::Notice notice;
  notice.set_body(
      std::string(R"({"events":[{"meta":{"type":"customerorder","href":"https://x/y"}},)") +
      R"({"meta":{}},{"meta":{"type":"customerorder","href":"https://x/customerorder/)" + kOrderId +
      R"("}}]})");
  const auto decoded = Decoder().Decode(notice, integration::v1::PURPOSE_DEALS);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_THAT(decoded->objects, ElementsAre(ObjectRef{"customerorder", kOrderId}));
  EXPECT_EQ(decoded->unreadable.code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace dealstream::crm::moysklad
