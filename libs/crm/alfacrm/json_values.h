#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libs/crm/alfacrm/wire.h"
#include "libs/crm/api/json.h"

// Values that AlfaCRM writes in several ways, read from a document. For .cc files only, as json.h.
namespace dealstream::crm::alfacrm {

// A whole number, as number, text or flag; an empty text leaves it as it was.
inline Status ReadId(json::Node node, int64_t& id) {
  std::string_view text;
  switch (node.kind()) {
    case json::Node::Kind::kNumber:
      DEALSTREAM_RETURN_IF_ERROR(node.Number(text));
      break;
    case json::Node::Kind::kString:
      DEALSTREAM_RETURN_IF_ERROR(node.String(text));
      break;
    case json::Node::Kind::kBool: {
      bool flag = false;
      DEALSTREAM_RETURN_IF_ERROR(node.Bool(flag));
      id = flag ? 1 : 0;
      return absl::OkStatus();
    }
    default:
      return node.Wrong("another value", "a whole number or its text");
  }
  if (text.empty()) {
    return absl::OkStatus();
  }
  const auto number = ParseId(text);
  if (!number.has_value()) {
    return node.Wrong(text.substr(0, 40), "a whole number or its text");
  }
  id = *number;
  return absl::OkStatus();
}

// 0, 1, "0", "1", true, false; an empty text leaves it as it was.
inline Status ReadFlag(json::Node node, std::optional<bool>& flag) {
  int64_t number = -1;
  DEALSTREAM_RETURN_IF_ERROR(ReadId(node, number));
  if (number > 1) {
    return node.Wrong("another number", "0 or 1");
  }
  if (number >= 0) {
    flag = number == 1;
  }
  return absl::OkStatus();
}

// A text, or the text of a number.
inline Status ReadText(json::Node node, std::string_view& text) {
  return node.kind() == json::Node::Kind::kNumber ? node.Number(text) : node.String(text);
}

// Calls visit(node) for each element of a list; a single value that is none is one, and "" is none.
// PHP writes a list with a gap as a map of its elements by number.
template <typename Visit>
Status ReadList(json::Node node, Visit&& visit) {
  switch (node.kind()) {
    case json::Node::Kind::kArray:
      return node.Array([&](json::Node element) -> Status {
        return element.kind() == json::Node::Kind::kNull ? absl::OkStatus() : visit(element);
      });
    case json::Node::Kind::kObject:
      return node.Object([&](std::string_view key, json::Node element) {
        return ParseId(key).has_value() ? visit(element) : absl::OkStatus();
      });
    default:
      return visit(node);
  }
}

// Calls visit(key, node) for each field of a map. `nested` reads one that comes as a JSON text; it
// must be another document than the node's.
template <typename Visit>
Status ReadMap(json::Node node, json::Document& nested, Visit&& visit) {
  switch (node.kind()) {
    case json::Node::Kind::kObject:
      return node.Object(visit);
    case json::Node::Kind::kArray:
      // An empty map of PHP. Elements would have no names: nothing to be read in them.
      return node.Array([](json::Node) { return absl::OkStatus(); });
    case json::Node::Kind::kString: {
      std::string_view text;
      DEALSTREAM_RETURN_IF_ERROR(node.String(text));
      if (text.find_first_not_of(" []\t\r\n") == std::string_view::npos) {
        return absl::OkStatus();
      }
      const Status status =
          nested.Read("a map as text", text, [&](json::Node root) { return root.Object(visit); });
      return ReasonOf(status) == json::kMalformed
                 ? node.Wrong("another text", "a map, [], \"\" or a map as JSON text")
                 : status;
    }
    default:
      return node.Wrong("another value", "a map, [], \"\" or a map as JSON text");
  }
}

// No page of the CRM's is longer: we ask for 500 rows at most.
inline constexpr int64_t kMostRows = 1000;

// A page of rows: calls visit(node) for each of `items`.
struct PageHead {
  int64_t page = 0;
  int64_t count = 0;
  int64_t total = 0;
  bool has_items = false;
  // In `items`.
  int64_t rows = 0;
};

template <typename Visit>
Status ReadPage(json::Node root, PageHead& head, Visit&& visit) {
  return root.Object([&](std::string_view key, json::Node value) -> Status {
    if (key == "page") {
      return ReadId(value, head.page);
    }
    if (key == "count") {
      return ReadId(value, head.count);
    }
    if (key == "total") {
      return ReadId(value, head.total);
    }
    if (key == "items") {
      head.has_items = true;
      return ReadList(value, [&](json::Node row) -> Status {
        return ++head.rows > kMostRows ? row.Wrong("one row more", "at most 1000 rows")
                                       : visit(row);
      });
    }
    return absl::OkStatus();
  });
}

inline Status CheckPage(std::string_view what, const PageHead& head) {
  if (head.has_items) {
    return absl::OkStatus();
  }
  return WithReason(absl::DataLossError(std::string(what) + ": items: got nothing, want a list"),
                    json::kWrongShape);
}

}  // namespace dealstream::crm::alfacrm
