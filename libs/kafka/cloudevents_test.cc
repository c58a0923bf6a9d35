#include "libs/kafka/cloudevents.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dealstream::kafka {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr std::string_view kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

TEST(CloudEvents, HeadersAreThoseOfBinaryMode) {
  EventAttributes attributes;
  attributes.id = "e1";
  attributes.source = "/crm/x/integrations/i1";
  attributes.type = "dealstream.deal.changed.v1";
  attributes.subject = "i1:7";
  attributes.time = absl::FromUnixMillis(1'700'000'000'042);
  attributes.data_schema = "dealstream.deal.v1.DealEvent";
  attributes.traceparent = kParent;
  EXPECT_THAT(ToHeaders(attributes),
              ElementsAre(Pair("ce_specversion", "1.0"),
                          Pair("ce_id", "e1"),
                          Pair("ce_source", "/crm/x/integrations/i1"),
                          Pair("ce_type", "dealstream.deal.changed.v1"),
                          Pair("ce_subject", "i1:7"),
                          Pair("ce_time", "2023-11-14T22:13:20.042Z"),
                          Pair("ce_dataschema", "dealstream.deal.v1.DealEvent"),
                          Pair("content-type", "application/protobuf"),
                          Pair("traceparent", std::string(kParent))));
}

TEST(CloudEvents, ATraceIsBegunWhereThereIsNone) {
  const Headers headers = ToHeaders({});
  const std::string_view traceparent = FindHeader(headers, "traceparent");
  EXPECT_EQ(traceparent.size(), 55U);
  EXPECT_EQ(traceparent.substr(52), "-01");
}

TEST(Traceparent, ChildKeepsTraceAndFlags) {
  const std::string child = NewTraceparent(kParent);
  EXPECT_EQ(child.size(), 55U);
  EXPECT_EQ(child.substr(0, 36), kParent.substr(0, 36));
  EXPECT_NE(child.substr(36, 16), kParent.substr(36, 16));
  EXPECT_EQ(child.substr(52), "-00");
}

TEST(Traceparent, MalformedParentBeginsAnew) {
  for (const std::string_view parent :
       {std::string_view("x"),
        std::string_view("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        std::string_view("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        std::string_view("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}) {
    const std::string made = NewTraceparent(parent);
    EXPECT_EQ(made.size(), 55U);
    EXPECT_EQ(made.substr(0, 3), "00-");
    EXPECT_NE(made.substr(3, 32), parent.substr(std::min<size_t>(3, parent.size()), 32));
  }
}

TEST(Traceparent, NoTwoAreTheSame) { EXPECT_NE(NewTraceparent(), NewTraceparent()); }

TEST(FindHeader, GivesTheFirstOrNothing) {
  const Headers headers = {{"a", "1"}, {"b", "2"}, {"a", "3"}};
  EXPECT_EQ(FindHeader(headers, "a"), "1");
  EXPECT_EQ(FindHeader(headers, "c"), "");
}

}  // namespace
}  // namespace dealstream::kafka
