#include "libs/crm/api/json.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::crm::json {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// {"rows":[{"name":string,"price":number,"on":bool,"count":int}]}, all of it optional.
struct Rows {
  std::vector<std::string> names;
  std::vector<std::string> prices;
  bool on = false;
  int64_t count = 0;
};

Result<Rows> ReadRows(Document& document, std::string_view bytes) {
  Rows rows;
  Status status = document.Read("answer", bytes, [&](Node root) {
    return root.Object([&](std::string_view key, Node node) -> Status {
      if (key != "rows") {
        return absl::OkStatus();
      }
      return node.Array([&](Node row) {
        return row.Object([&](std::string_view field, Node value) -> Status {
          std::string_view text;
          if (field == "name") {
            DEALSTREAM_RETURN_IF_ERROR(value.String(text));
            rows.names.emplace_back(text);
          } else if (field == "price") {
            DEALSTREAM_RETURN_IF_ERROR(value.Number(text));
            rows.prices.emplace_back(text);
          } else if (field == "on") {
            return value.Bool(rows.on);
          } else if (field == "count") {
            return value.Int(rows.count);
          }
          return absl::OkStatus();
        });
      });
    });
  });
  DEALSTREAM_RETURN_IF_ERROR(status);
  return rows;
}

Result<Rows> ReadRows(std::string_view bytes) {
  Document document;
  return ReadRows(document, bytes);
}

TEST(JsonTest, ReadsOnePassInAnyOrder) {
  auto rows = ReadRows(R"( {"x":[{"rows":1},[2]],"rows":[
      {"price": 1.50 ,"name":"a","skip":{"deep":[1,{"name":"no"}]},"count":-7},
      {"name":"b\"\u0416\n","on":true,"name2":"c","price":null}],"y":"z"} )");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->names, ElementsAre("a", "b\"Ж\n"));
  EXPECT_THAT(rows->prices, ElementsAre("1.50"));
  EXPECT_TRUE(rows->on);
  EXPECT_EQ(rows->count, -7);
}

// Goes down whatever there is, and wants numbers everywhere.
Status Walk(Node node) {
  switch (node.kind()) {
    case Node::Kind::kObject:
      return node.Object([](std::string_view, Node value) { return Walk(value); });
    case Node::Kind::kArray:
      return node.Array([](Node value) { return Walk(value); });
    default: {
      std::string_view number;
      return node.Number(number);
    }
  }
}

TEST(JsonTest, DepthIsNoDangerToThePath) {
  Document document;
  const std::string deep = std::string(40, '[') + "1" + std::string(40, ']');
  const auto error = [&](const std::string& bytes) {
    return std::string(document.Read("answer", bytes, Walk).message());
  };
  EXPECT_EQ(error("[" + deep + "," + deep + "]"), "");
  // What follows a deep value is told by its own path.
  EXPECT_EQ(error(R"({"a":)" + deep + R"(,"b":[1,{"c":true}]})"),
            "answer: b[1].c: got a boolean, want a number");
  EXPECT_THAT(error(R"({"a":)" + deep + R"(,"b":[)"), HasSubstr("answer: b[0]: got "));
  EXPECT_THAT(error(std::string(40, '[') + "true" + std::string(40, ']')),
              HasSubstr("[0][0]…: got a boolean, want a number"));
}

TEST(JsonTest, ErrorsNameThePath) {
  const std::map<std::string, std::string> cases = {
      {R"({"rows":{}})", "answer: rows: got an object, want an array"},
      {R"({"rows":[{},7]})", "answer: rows[1]: got a number, want an object"},
      {R"({"rows":[{"x":{"y":1}},{"name":7}]})",
       "answer: rows[1].name: got a number, want a string"},
      {R"({"rows":[{"price":"7"}]})", "answer: rows[0].price: got a string, want a number"},
      {R"({"rows":[{"count":7.5}]})", "answer: rows[0].count: got a number, want a whole number"},
      {R"({"rows":[{"count":9223372036854775808}]})", "want a whole number"},
      {R"({"rows":[{"on":1}]})", "answer: rows[0].on: got a number, want a boolean"},
      {R"([])", "answer: got an array, want an object"},
  };
  for (const auto& [bytes, message] : cases) {
    const Status status = ReadRows(bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << bytes;
    EXPECT_EQ(ReasonOf(status), kWrongShape) << bytes;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << bytes;
  }
}

TEST(JsonTest, TellsWhatIsNoJson) {
  Document document(absl::StatusCode::kInvalidArgument);
  for (std::string_view bytes : {"",
                                 "7",
                                 "\"x\"",
                                 "null",
                                 " ",
                                 "<html>",
                                 "{",
                                 "{\"rows\"",
                                 "{\"rows\":[{\"name\":\"a\"}",
                                 "{} {}",
                                 "{\"rows\":[1,2}",
                                 "{\"rows\":tru}",
                                 "{\"rows\":[{\"name\":\"\xff\"}]}",
                                 "{\"rows\":[{\"name\":\"\\ud80\"}]}",
                                 "{\"rows\":[{\"name\":\"\\q\"}]}",
                                 "{\"rows\":[{\"name\":\"a\nb\"}]}",
                                 "{\"a\" 1}",
                                 "{1:2}",
                                 "]",
                                 "{]"}) {
    const Status status = ReadRows(document, bytes).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bytes;
  }
  EXPECT_EQ(ReasonOf(ReadRows(document, "{\"rows\"").status()), kMalformed);
}

TEST(JsonTest, EveryCutIsAnError) {
  const std::string whole = R"({"rows":[{"name":"a\u0416","price":1.5},{"on":true}],"z":[[],{}]})";
  ASSERT_TRUE(ReadRows(whole).ok());
  Document document;
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ReadRows(document, whole.substr(0, size)).ok()) << whole.substr(0, size);
  }
  EXPECT_TRUE(ReadRows(document, whole).ok());
}

TEST(JsonTest, RawIsWhatStandsThere) {
  Document document;
  const auto raw = [&document](std::string_view bytes) -> Result<std::string> {
    std::string text;
    DEALSTREAM_RETURN_IF_ERROR(document.Read("test", bytes, [&text](Node root) {
      return root.Object([&text](std::string_view, Node node) -> Status {
        std::string_view view;
        DEALSTREAM_RETURN_IF_ERROR(node.Raw(view));
        text += view;
        return absl::OkStatus();
      });
    }));
    return text;
  };
  EXPECT_EQ(*raw(R"({"a": {"b" : [1, "\u0416"]} , "c":[ ]})"), R"({"b" : [1, "\u0416"]}[ ])");
  EXPECT_EQ(ReasonOf(raw(R"({"a":1})").status()), kWrongShape);
  EXPECT_EQ(ReasonOf(raw(R"({"a":{"b":1})").status()), kMalformed);
}

TEST(JsonTest, HalvesOfSurrogatePairsAreReplaced) {
  const std::map<std::string, std::string> cases = {
      {R"(a\ud83d)", "a\uFFFD"},
      {R"(\uD83Dz)", "\uFFFDz"},
      {R"(\ude00\ud83d)", "\uFFFD\uFFFD"},
      {R"(\ud83d\ud83d\ude00)", "\uFFFD\U0001F600"},
      {R"(\ud83d\u0434)", "\uFFFD\u0434"},
      {R"(\ud83d\n\"\\\/\b\f\r\t)", "\uFFFD\n\"\\/\b\f\r\t"},
      {R"(\ud83d\ude00)", "\U0001F600"},
      {R"(\udbff\udfff\u0041\u00e9\uffff)", "\U0010FFFFA\u00E9\uFFFF"},
      {R"(\\ud83d)", "\\ud83d"},
      {"\u041F\\ud83d", "\u041F\uFFFD"},
  };
  for (const auto& [raw, text] : cases) {
    auto rows = ReadRows(R"({"rows":[{"name":")" + raw + R"("},{"name":"next \n"}]})");
    ASSERT_TRUE(rows.ok()) << raw << rows.status();
    EXPECT_THAT(rows->names, ElementsAre(text, "next \n")) << raw;
  }
  for (const char* raw : {R"(\ud83)", R"(\ud83d\x)", R"(\ud83d\u12)", R"(\ud8+1)"}) {
    EXPECT_EQ(ReasonOf(ReadRows(R"({"rows":[{"name":")" + std::string(raw) + R"("}]})").status()),
              kMalformed)
        << raw;
  }
}

TEST(JsonTest, DeepNestingIsSkipped) {
  std::string deep = "{\"rows\":[],\"x\":";
  deep += std::string(900, '[') + std::string(900, ']') + "}";
  EXPECT_TRUE(ReadRows(deep).ok());
  deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_FALSE(ReadRows(deep).ok());
}

// The memory is the document's as long as it lives, whatever became of the views into it.
TEST(JsonTest, SecretsCanBeWiped) {
  Document document;
  document.Wipe();
  std::string_view plain;
  std::string_view escaped;
  ASSERT_TRUE(document
                  .Read("test",
                        R"({"a":"s3cret","b":"s3\u0063ret"})",
                        [&](Node root) {
                          return root.Object([&](std::string_view key, Node node) {
                            return node.String(key == "a" ? plain : escaped);
                          });
                        })
                  .ok());
  ASSERT_EQ(plain, "s3cret");
  ASSERT_EQ(escaped, "s3cret");
  document.Wipe();
  EXPECT_EQ(plain, std::string(6, '\0'));
  EXPECT_EQ(escaped, std::string(6, '\0'));
}

TEST(JsonTest, ObjectsAsTheyWereWritten) {
  const std::string bytes =
      R"({"rows":[ {"a" : {"b":[1, 2.50]} ,"c":"}\u0416"}  , {} ,
        {"a":1}]})";
  std::vector<std::string> raw;
  std::vector<std::string> keys;
  Document document;
  const Status status = document.Read("answer", bytes, [&](Node root) {
    return root.Object([&](std::string_view, Node rows) {
      return rows.Array([&](Node row) -> Status {
        std::string_view text;
        DEALSTREAM_RETURN_IF_ERROR(row.RawObject(text, [&](std::string_view key, Node) {
          keys.emplace_back(key);
          return absl::OkStatus();
        }));
        raw.emplace_back(text);
        return absl::OkStatus();
      });
    });
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(raw, ElementsAre(R"({"a" : {"b":[1, 2.50]} ,"c":"}\u0416"})", "{}", R"({"a":1})"));
  EXPECT_THAT(keys, ElementsAre("a", "c", "a"));
}

}  // namespace
}  // namespace dealstream::crm::json
