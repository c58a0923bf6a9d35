#include "tools/cli/messages.h"

#include "gtest/gtest.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "libs/base/strings.h"

namespace dealstream::cli {
namespace {

std::vector<topics::Spec> Declared() {
  topics::Spec spec;
  spec.name = "deals.v1";
  spec.value = "dealstream.deal.v1.DealEvent";
  return {spec};
}

kafka::InRecord Record() {
  deal::v1::DealEvent event;
  event.set_id("e1");
  event.mutable_deal()->set_external_id("7");
  event.mutable_deal()->mutable_amount()->set_units(5);
  kafka::InRecord record;
  record.topic = "deals.v1";
  record.partition = 3;
  record.offset = 42;
  record.key = "i:7";
  record.value = event.SerializeAsString();
  record.headers = {{"ce_id", "e1"}};
  return record;
}

TEST(RecordToJson, IsALineOfDocumentedShape) {
  const auto json = RecordToJson(Record(), Declared());
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(ToLine(*json),
            R"({"topic":"deals.v1","partition":3,"offset":42,"key":"i:7","headers":{"ce_id":"e1"},)"
            R"("value":{"id":"e1","deal":{"external_id":"7","amount":{"units":"5"}}}})");
}

TEST(RecordToJson, TombstoneIsNull) {
  kafka::InRecord record = Record();
  record.value.reset();
  EXPECT_TRUE((*RecordToJson(record, Declared()))["value"].is_null());
}

TEST(RecordToJson, HeaderTellsTheTypeBeforeTheTopic) {
  kafka::InRecord record = Record();
  deal::v1::Deal deal;
  deal.set_title("T");
  record.value = deal.SerializeAsString();
  record.headers = {{"ce_dataschema", "dealstream.deal.v1.Deal"}};
  const auto json = RecordToJson(record, Declared());
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ((*json)["value"]["title"], "T");
}

TEST(RecordToJson, UnreadableValueNamesTheRecord) {
  kafka::InRecord record = Record();
  record.value = "\xff\xff";
  const auto json = RecordToJson(record, Declared());
  EXPECT_EQ(json.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(ToStd(json.status().message()).find("deals.v1/3/42"), std::string_view::npos);
  record.topic = "other";
  EXPECT_EQ(RecordToJson(record, Declared()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ToLine, BytesThatAreNoUtf8AreReplaced) {
  kafka::InRecord record = Record();
  record.key = "\xff";
  EXPECT_NE(ToLine(*RecordToJson(record, Declared())).find("\xef\xbf\xbd"), std::string::npos);
}

TEST(Table, AlignsColumns) { EXPECT_EQ(Table({{"A", "B"}, {"long", "x"}}), "A     B\nlong  x\n"); }

}  // namespace
}  // namespace dealstream::cli
