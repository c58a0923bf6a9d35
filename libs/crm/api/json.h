#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "libs/base/status.h"
#include "simdjson.h"

// Reads the JSON of a CRM in one pass, over simdjson's On-Demand API. Errors carry the path, so
// that adapters need not. For .cc files only: the header is heavy.
//
//   json::Document document;
//   Status status = document.Read("order", bytes, [&](json::Node root) {
//     return root.Object([&](std::string_view key, json::Node node) -> Status {
//       if (key == "name") {
//         return node.String(name);
//       }
//       return absl::OkStatus();  // What isn't asked for is skipped.
//     });
//   });
//
// An explicit null is as good as an absent field: Object doesn't call back for it. Keys with
// escapes in them match nothing. Values that are skipped are not checked beyond brackets, strings
// and UTF-8.
namespace dealstream::crm::json {

// Reason of a status (ReasonOf): the bytes are no JSON, they were cut, for instance. An answer of
// the wrong shape has "wrong_shape".
inline constexpr std::string_view kMalformed = "malformed_json";
inline constexpr std::string_view kWrongShape = "wrong_shape";

class Node;

// A parser and its memory, used again for every document. Not thread-safe.
class Document {
 public:
  // `code`: that of all errors.
  explicit Document(absl::StatusCode code = absl::StatusCode::kDataLoss) : code_(code) {}
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  Document(Document&&) = delete;
  Document& operator=(Document&&) = delete;
  ~Document() = default;

  // Calls visit(Node) -> Status with the root, an object or array, which it reads (with Object or
  // Array), and checks that nothing follows it. Errors begin with `what`. Strings that were read
  // stay valid until the next Read.
  template <typename Visit>
  Status Read(std::string_view what, std::string_view bytes, Visit&& visit);
  // Overwrites what was read last: for answers that hold secrets.
  void Wipe();

 private:
  friend class Node;
  struct Step {
    std::string_view key;
    // Of an element; -1 for a key.
    int64_t index = -1;
  };

  // False when it is too large for the parser.
  bool Load(std::string_view bytes);
  // Within an object or array, until it is read or given up.
  class Level {
   public:
    explicit Level(Document& document) : document_(document) { ++document_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --document_.depth_; }

   private:
    Document& document_;
  };
  // Within a Level.
  Step& step() { return steps_[std::min(depth_ - 1, kShownSteps)]; }
  Status Malformed(simdjson::error_code error) const;
  Status WrongShape(std::string_view got, std::string_view want) const;
  std::string Where() const;

  absl::StatusCode code_;
  simdjson::ondemand::parser parser_;
  std::unique_ptr<char[]> buffer_;
  size_t capacity_ = 0;
  size_t size_ = 0;
  std::string_view what_;
  // Known structures are shallower; what is deeper is told as deep, and its last step is of no use.
  static constexpr size_t kShownSteps = 16;
  std::array<Step, kShownSteps + 1> steps_{};
  size_t depth_ = 0;
  // Strings with escapes, unescaped.
  std::unique_ptr<uint8_t[]> unescaped_;
  uint8_t* unescaped_end_ = nullptr;
};

// A value at a place of the document; valid while its visitor runs. Each is read once at most.
class Node {
 public:
  enum class Kind { kObject, kArray, kString, kNumber, kBool, kNull, kOther };

  Node(simdjson::ondemand::value value, Document& document) : value_(value), document_(&document) {}

  Kind kind();

  // Calls visit(std::string_view key, Node) -> Status for each field that is not null, until one
  // fails. DataLoss (or the document's code) when it is no object.
  template <typename Visit>
  Status Object(Visit&& visit);
  // The same; `raw` becomes its bytes as they were written, good until the document's next Read.
  template <typename Visit>
  Status RawObject(std::string_view& raw, Visit&& visit);
  // Calls visit(Node) -> Status for each element.
  template <typename Visit>
  Status Array(Visit&& visit);

  // In UTF-8. An escape that is half of a surrogate pair ("\ud83d") is U+FFFD: CRMs cut texts
  // there.
  Status String(std::string_view& out);
  // As written, escapes included: for texts that have none, such as ids and references.
  Status RawString(std::string_view& out);
  // The number as written, untouched by binary floats.
  Status Number(std::string_view& out);
  Status Bool(bool& out);
  // A whole number without point or exponent.
  Status Int(int64_t& out);
  // An object or array as it stands in the document, without the spaces around it: to be kept, or
  // to be read by itself. Malformed when its brackets don't match; what is within isn't checked.
  Status Raw(std::string_view& out);
  // A string in a field of a message: set_*(data, size).
  template <typename Set>
  Status StringTo(Set&& set);

  // An error at this place, for values that are of the right type and yet wrong.
  Status Wrong(std::string_view got, std::string_view want) const {
    return document_->WrongShape(got, want);
  }

 private:
  // What its kind shows by; readable in the padding, too.
  char First() { return *value_.raw_json_token().data(); }
  std::string_view Token();
  Status WrongKind(std::string_view want);

  simdjson::ondemand::value value_;
  Document* document_;
};

// ---- Implementation --------------------------------------------------------------------------

template <typename Visit>
Status Document::Read(std::string_view what, std::string_view bytes, Visit&& visit) {
  what_ = what;
  depth_ = 0;
  if (!Load(bytes)) {
    return Malformed(simdjson::CAPACITY);
  }
  simdjson::ondemand::document document;
  auto error =
      parser_.iterate(buffer_.get(), size_, size_ + simdjson::SIMDJSON_PADDING).get(document);
  if (error != simdjson::SUCCESS) {
    return Malformed(error);
  }
  simdjson::ondemand::value root;
  error = document.get_value().get(root);
  if (error != simdjson::SUCCESS) {
    return Malformed(error);
  }
  DEALSTREAM_RETURN_IF_ERROR(visit(Node(root, *this)));
  // Out of bounds is where it ends.
  return document.current_location().error() == simdjson::OUT_OF_BOUNDS
             ? absl::OkStatus()
             : Malformed(simdjson::TRAILING_CONTENT);
}

template <typename Visit>
Status Node::Object(Visit&& visit) {
  if (First() != '{') {
    return WrongKind("an object");
  }
  simdjson::ondemand::object object;
  auto error = value_.get_object().get(object);
  if (error != simdjson::SUCCESS) {
    return document_->Malformed(error);
  }
  const Document::Level level(*document_);
  for (auto item : object) {
    if (item.error() != simdjson::SUCCESS) {
      return document_->Malformed(item.error());
    }
    simdjson::ondemand::field field = item.value_unsafe();
    // Keys are short: a loop beats a call. The parser has seen the closing quote.
    const char* raw = field.key().raw();
    size_t size = 0;
    while (raw[size] != '"') {
      ++size;
    }
    const std::string_view key(raw, size);
    document_->step() = {key, -1};
    Node node(field.value(), *document_);
    if (node.First() != 'n') {
      DEALSTREAM_RETURN_IF_ERROR(visit(key, node));
    }
  }
  return absl::OkStatus();
}

template <typename Visit>
Status Node::RawObject(std::string_view& raw, Visit&& visit) {
  const char* const begin = value_.raw_json_token().data();
  DEALSTREAM_RETURN_IF_ERROR(Object(std::forward<Visit>(visit)));
  // Where the next token begins; what stands between is a comma's blanks.
  const char* end = nullptr;
  const auto error = value_.current_location().get(end);
  if (error != simdjson::SUCCESS) {
    return document_->Malformed(error);
  }
  while (end != begin && static_cast<unsigned char>(end[-1]) <= ' ') {
    --end;
  }
  raw = std::string_view(begin, static_cast<size_t>(end - begin));
  return absl::OkStatus();
}

template <typename Visit>
Status Node::Array(Visit&& visit) {
  if (First() != '[') {
    return WrongKind("an array");
  }
  simdjson::ondemand::array array;
  auto error = value_.get_array().get(array);
  if (error != simdjson::SUCCESS) {
    return document_->Malformed(error);
  }
  const Document::Level level(*document_);
  int64_t index = 0;
  for (auto item : array) {
    if (item.error() != simdjson::SUCCESS) {
      return document_->Malformed(item.error());
    }
    const simdjson::ondemand::value element = item.value_unsafe();
    document_->step() = {{}, index++};
    DEALSTREAM_RETURN_IF_ERROR(visit(Node(element, *document_)));
  }
  return absl::OkStatus();
}

template <typename Set>
Status Node::StringTo(Set&& set) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(String(text));
  set(text);
  return absl::OkStatus();
}

inline Status Node::RawString(std::string_view& out) {
  const std::string_view token = Token();
  if (token.size() < 2 || token.front() != '"' || token.back() != '"') {
    return WrongKind("a string");
  }
  out = token.substr(1, token.size() - 2);
  return absl::OkStatus();
}

inline std::string_view Node::Token() {
  std::string_view token = value_.raw_json_token();
  while (!token.empty() && static_cast<unsigned char>(token.back()) <= ' ') {
    token.remove_suffix(1);
  }
  return token;
}

inline Node::Kind Node::kind() {
  switch (First()) {
    case '{':
      return Kind::kObject;
    case '[':
      return Kind::kArray;
    case '"':
      return Kind::kString;
    case 't':
    case 'f':
      return Kind::kBool;
    case 'n':
      return Kind::kNull;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
      return Kind::kNumber;
    default:
      return Kind::kOther;
  }
}

}  // namespace dealstream::crm::json
