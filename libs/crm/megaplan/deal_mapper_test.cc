#include "libs/crm/megaplan/deal_mapper.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include <nlohmann/json.hpp>

#include "libs/crm/api/fixture.h"
#include "libs/crm/megaplan/adapter.h"

// What becomes what is checked by the cases in testdata/deals, which the conformance suite runs.
// Here is what files can't show.
namespace dealstream::crm::megaplan {
namespace {

// The same document with the fields of every object in the reverse order.
nlohmann::ordered_json Reversed(const nlohmann::ordered_json& value) {
  nlohmann::ordered_json reversed = value;
  if (value.is_array()) {
    for (auto& element : reversed) {
      element = Reversed(element);
    }
  } else if (value.is_object()) {
    reversed.clear();
    std::vector<std::string> keys;
    for (const auto& [key, unused] : value.items()) {
      keys.insert(keys.begin(), key);
    }
    for (const std::string& key : keys) {
      reversed[key] = Reversed(value[key]);
    }
  }
  return reversed;
}

// With custom fields in the order of their ids, for they come in that of the document.
std::string Mapped(raw::v1::Record record, const std::string& body) {
  deal::v1::Deal deal;
  record.mutable_parts(0)->set_body(body);
  const Status status = Mapper().Map(record, deal);
  std::sort(deal.mutable_custom_fields()->begin(),
            deal.mutable_custom_fields()->end(),
            [](const auto& a, const auto& b) { return a.id() < b.id(); });
  return status.ok() ? deal.DebugString() : status.ToString();
}

// Where an entity stands in full depends on the order of fields; what the deal is doesn't.
TEST(DealMapperTest, OrderOfFieldsMeansNothing) {
  auto cases = fixture::LoadDealCases(
      *MakeAdapter(), std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/megaplan/testdata");
  ASSERT_TRUE(cases.ok()) << cases.status();
  int compared = 0;
  for (const fixture::MappingCase& one : *cases) {
    const std::string& body = one.record.parts(0).body();
    const auto document = nlohmann::ordered_json::parse(body, nullptr, false);
    const std::string plain = Mapped(one.record, body);
    // Numbers beyond a double would be written otherwise.
    if (document.is_object() && Mapped(one.record, document.dump()) == plain) {
      EXPECT_EQ(Mapped(one.record, Reversed(document).dump()), plain) << one.name;
      ++compared;
    }
  }
  EXPECT_GT(compared, 60);
}

}  // namespace
}  // namespace dealstream::crm::megaplan
