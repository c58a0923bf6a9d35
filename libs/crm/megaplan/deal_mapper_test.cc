#include "libs/crm/megaplan/deal_mapper.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include <nlohmann/json.hpp>

#include "libs/crm/api/fixture.h"
#include "libs/crm/megaplan/adapter.h"

// What becomes what is checked by the cases in testdata/deals, which the conformance suite runs.
// Here is what files can't show.
namespace dealstream::crm::megaplan {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

std::vector<fixture::DealCase> Cases() {
  const auto adapter = MakeAdapter();
  auto cases = fixture::LoadDealCases(
      *adapter, std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/megaplan/testdata");
  EXPECT_TRUE(cases.ok()) << cases.status();
  return cases.ok() ? *cases : std::vector<fixture::DealCase>();
}

void Soil(Message& message, int depth);

void SoilField(Message& message, const FieldDescriptor& field, int depth) {
  const auto& reflection = *message.GetReflection();
  const bool list = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      list ? reflection.AddString(&message, &field, "old")
           : reflection.SetString(&message, &field, "old");
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      reflection.SetInt64(&message, &field, 7);
      return;
    case FieldDescriptor::CPPTYPE_INT32:
      reflection.SetInt32(&message, &field, 7);
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      reflection.SetBool(&message, &field, true);
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      reflection.SetEnumValue(&message, &field, 1);
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (list) {
        // More than any case has.
        for (int i = 0; i < 40; ++i) {
          Soil(*reflection.AddMessage(&message, &field), depth + 1);
        }
      } else {
        Soil(*reflection.MutableMessage(&message, &field), depth + 1);
      }
      return;
    default:
      FAIL() << "a type that Deal had not: " << field.full_name();
  }
}

// Fills every field there is.
void Soil(Message& message, int depth) {
  ASSERT_LT(depth, 6);
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    SoilField(message, *message.GetDescriptor()->field(i), depth);
  }
}

// The mapper fills messages over: nothing of the deal before may shine through, in fields that will
// be added to the schema either.
TEST(DealMapperTest, NothingOfTheDealBeforeIsLeft) {
  const Mapper mapper;
  for (const fixture::DealCase& one : Cases()) {
    deal::v1::Deal fresh;
    if (!mapper.Map(one.record, fresh).ok()) {
      continue;
    }
    deal::v1::Deal soiled;
    Soil(soiled, 0);
    ASSERT_TRUE(mapper.Map(one.record, soiled).ok());
    EXPECT_TRUE(MessageDifferencer::Equals(fresh, soiled)) << one.name << "\n"
                                                           << soiled.DebugString();
    EXPECT_EQ(fresh.SerializeAsString(), soiled.SerializeAsString()) << one.name;
  }
}

TEST(DealMapperTest, AnyOrderOfCasesGivesTheSame) {
  const Mapper mapper;
  const auto cases = Cases();
  deal::v1::Deal used;
  for (const fixture::DealCase& before : cases) {
    for (const fixture::DealCase& one : cases) {
      deal::v1::Deal fresh;
      const Status status = mapper.Map(one.record, fresh);
      // An attempt that fails in the middle leaves something, too.
      (void)mapper.Map(before.record, used).ok();
      ASSERT_EQ(mapper.Map(one.record, used), status);
      if (status.ok()) {
        ASSERT_TRUE(MessageDifferencer::Equals(fresh, used))
            << before.name << ", then " << one.name;
      }
    }
  }
}

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
  int compared = 0;
  for (const fixture::DealCase& one : Cases()) {
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

TEST(DealMapperTest, ThreadsShareNothing) {
  const Mapper mapper;
  const auto cases = Cases();
  std::vector<std::string> expected;
  for (const auto& one : cases) {
    deal::v1::Deal deal;
    expected.push_back(mapper.Map(one.record, deal).ok() ? deal.SerializeAsString() : "");
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      deal::v1::Deal deal;
      for (size_t round = 0; round < 20 * cases.size(); ++round) {
        const size_t number = (round * 7 + static_cast<size_t>(i)) % cases.size();
        const bool ok = mapper.Map(cases[number].record, deal).ok();
        ASSERT_EQ(ok ? deal.SerializeAsString() : "", expected[number]);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace
}  // namespace dealstream::crm::megaplan
