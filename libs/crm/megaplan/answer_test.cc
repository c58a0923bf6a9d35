#include "libs/crm/megaplan/answer.h"

#include <string>

#include "gtest/gtest.h"

#include "libs/crm/api/fixture.h"
#include "libs/crm/api/json.h"

namespace dealstream::crm::megaplan {
namespace {

using fixture::Message;

Value Add(Answers& answers, std::string_view body) {
  const auto root = answers.Add("deal", body);
  EXPECT_TRUE(root.ok()) << root.status();
  return root.ok() ? *root : Value();
}

TEST(AnswersTest, ValuesAreAsWritten) {
  Answers answers;
  const Value root =
      Add(answers, R"({"a":"x\ty","b":1.50,"c":true,"d":null,"e":[],"f":[1,null,2]})");
  EXPECT_EQ(root["a"].text(), "x\ty");
  EXPECT_EQ(root["b"].text(), "1.50");
  EXPECT_EQ(root["c"].text(), "true");
  EXPECT_EQ(root["d"].kind(), Value::Kind::kNone);
  EXPECT_EQ(root["zzz"].kind(), Value::Kind::kNone);
  EXPECT_TRUE(root["e"].IsEmpty());
  EXPECT_EQ(root["f"].First().text(), "1");
  EXPECT_EQ(root["f"].First().Next().text(), "2");
  EXPECT_EQ(root["f"].First().Next().Next().kind(), Value::Kind::kNone);
  EXPECT_EQ(root.First().key(), "a");
}

// What is asked of nothing is nothing.
TEST(AnswersTest, NothingHasNothing) {
  const Value none;
  EXPECT_TRUE(none.IsEmpty());
  EXPECT_EQ(none["a"]["b"].First().Next().text(), "");
  EXPECT_EQ(IdOf(none), "");
  EXPECT_FALSE(SameEntity(none, none));
}

// The entity stands in full before the link, behind it, within another, in another answer.
TEST(AnswersTest, LinksMeanWhatStandsElsewhere) {
  Answers answers;
  const Value root = Add(answers, R"({"data":{
    "manager":{"contentType":"Employee","id":"7"},
    "contractor":{"contentType":"ContractorCompany","id":"1",
                  "responsibles":[{"contentType":"Employee","id":"7","name":"Рощина"}]},
    "contact":{"contentType":"ContractorCompany","id":"7"},
    "user":{"contentType":"Employee","id":"8"}}})");
  const Value data = root["data"];
  EXPECT_EQ(answers.FieldText(data["manager"], "name"), "Рощина");
  // Another type of the same id, and another id.
  EXPECT_EQ(answers.FieldText(data["contact"], "name"), "");
  EXPECT_EQ(answers.FieldText(data["user"], "name"), "");
  Add(answers, R"({"data":{"contentType":"Employee","id":"8","name":"Серов"}})");
  EXPECT_EQ(answers.FieldText(data["user"], "name"), "Серов");
}

// A field is asked of the entity's copies one by one: some are shortened.
TEST(AnswersTest, CopiesCompleteEachOther) {
  Answers answers;
  const Value root = Add(answers, R"({"a":{"contentType":"X","id":"1","name":"kept"},
    "b":{"contentType":"X","id":"1","phone":"1"},"c":{"contentType":"X","id":"1","name":"other"}})");
  EXPECT_EQ(answers.FieldText(root["b"], "name"), "kept");
  EXPECT_EQ(answers.FieldText(root["a"], "phone"), "1");
  EXPECT_EQ(answers.FieldText(root["c"], "name"), "other");
}

TEST(AnswersTest, NamesOfPeople) {
  Answers answers;
  const Value root = Add(answers, R"({"a":{"name":" Вера "},"b":{"name":"","lastName":"Рощина",
    "firstName":" ","middleName":"Олеговна"},"c":{"name":7},"d":{}})");
  EXPECT_EQ(answers.NameOf(root["a"]), "Вера");
  EXPECT_EQ(answers.NameOf(root["b"]), "Рощина Олеговна");
  EXPECT_EQ(answers.NameOf(root["c"]), "");
  EXPECT_EQ(answers.NameOf(root["d"]), "");
}

TEST(AnswersTest, ErrorsNameThePlace) {
  Answers answers;
  const Value root = Add(answers, R"({"data":{"positions":[{},{"price":{"value":"x"}}]}})");
  const Value value = root["data"]["positions"].First().Next()["price"]["value"];
  const Status status = value.Wrong("a number");
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_EQ(ReasonOf(status), json::kWrongShape);
  EXPECT_EQ(Message(status), "deal: data.positions[1].price.value: got a string, want a number");
  const auto second = answers.Add("entity", "[]");
  EXPECT_EQ(Message(second.status()), "entity: got an array, want an object");
  const auto third = answers.Add("entity", "{\"a\":");
  EXPECT_EQ(ReasonOf(third.status()), json::kMalformed);
}

TEST(AnswersTest, MemoryIsUsedAgain) {
  Answers answers;
  for (int round = 0; round < 3; ++round) {
    const Value root = Add(answers, R"({"a":{"contentType":"X","id":"1"}})");
    // Nothing of the round before.
    EXPECT_EQ(answers.FieldText(root["a"], "name"), "");
    Add(answers, R"({"b":{"contentType":"X","id":"1","name":"n"}})");
    EXPECT_EQ(answers.FieldText(root["a"], "name"), "n");
    answers.Clear();
  }
}

// A CRM in foreign hands may send anything; what it costs is bounded.
TEST(AnswersTest, HostileAnswersAreRefused) {
  Answers answers;
  const std::string deep = std::string(5000, '[') + std::string(5000, ']');
  const auto nested = answers.Add("deal", deep);
  EXPECT_TRUE(absl::IsDataLoss(nested.status())) << nested.status();
  answers.Clear();
  std::string many = "[0";
  for (int i = 0; i < 600'000; ++i) {
    many += ",0";
  }
  const auto wide = answers.Add("deal", many + "]");
  EXPECT_TRUE(absl::IsDataLoss(wide.status())) << wide.status();
}

// As many copies of an entity as fit, none with the field that is asked for by each link.
TEST(AnswersTest, ManyCopiesAreNotAllAsked) {
  Answers answers;
  std::string body = "{\"all\":[";
  for (int i = 0; i < 50'000; ++i) {
    body += R"({"contentType":"X","id":"1","a":1},)";
  }
  body += "{}]}";
  const Value root = Add(answers, body);
  int found = 0;
  for (Value one = root["all"].First(); one.IsObject(); one = one.Next()) {
    found += answers.Field(one, "name").IsEmpty() ? 0 : 1;
  }
  EXPECT_EQ(found, 0);
}

}  // namespace
}  // namespace dealstream::crm::megaplan
