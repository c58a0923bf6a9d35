#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

#include "libs/base/status.h"

// Answers of the API as one flat tree. The API writes an entity in full once within an answer and
// later, wherever it stands again, as a link of contentType and id (README.md#repeats): what a link
// means is known only once the whole answer was walked. One pass over the bytes fills the tree; it
// holds views.
namespace dealstream::crm::megaplan {

class Answers;

// A value of an answer, or none. Good until the answers are cleared.
class Value {
 public:
  enum class Kind : uint8_t { kNone, kObject, kArray, kString, kNumber, kBool };

  Value() = default;
  Kind kind() const;
  bool IsObject() const { return kind() == Kind::kObject; }
  // There is nothing: no field, null, "", and [] all mean it.
  bool IsEmpty() const;
  // A string's content; a number or boolean as written.
  std::string_view text() const;
  // Within an object.
  std::string_view key() const;
  // A field of an object as it is written here; none in anything else.
  Value operator[](std::string_view name) const;
  // The first field or element, and the one after this.
  Value First() const;
  Value Next() const;
  // DataLoss that names the place. `got`: what was found, or nothing: the kind of the value.
  Status Wrong(std::string_view want) const;
  Status Wrong(std::string_view got, std::string_view want) const;

  friend bool operator==(const Value&, const Value&) = default;

 private:
  friend class Answers;
  Value(const Answers& answers, uint32_t at) : answers_(&answers), at_(at) {}

  const Answers* answers_ = nullptr;
  uint32_t at_ = 0;
};

// A text, where there is one; DataLoss when there is something else. Empty where there is nothing.
Result<std::string_view> TextOf(const Value& value);

// The id of an entity: a text of digits, or a number; empty where there is none.
std::string_view IdOf(const Value& entity);
std::string_view ContentTypeOf(const Value& entity);

// One entity, whether linked or in full. Entities without id are equal to none.
bool SameEntity(const Value& a, const Value& b);

// The answers of one conversation or record. Memory is used again. Not thread-safe.
class Answers {
 public:
  Answers();
  ~Answers();
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;
  Answers(Answers&&) = delete;
  Answers& operator=(Answers&&) = delete;

  void Clear();
  // Its root, an object. `part` begins the messages of errors: DataLoss, with reason
  // json::kMalformed when it is no JSON.
  Result<Value> Add(std::string_view part, std::string_view bytes);

  // A field of an entity: as written here, else as written elsewhere in these answers, wherever the
  // same entity has that field first. None where nobody says it.
  Value Field(const Value& entity, std::string_view name) const;
  // A field that is a text; empty where it is none.
  std::string_view FieldText(const Value& entity, std::string_view name) const;
  // What people call it: name, else last, first and middle name.
  std::string NameOf(const Value& entity) const;

 private:
  friend class Value;
  class Filler;

  // Values lie in the order of the document; 0 is none.
  struct Node {
    std::string_view key;
    std::string_view text;
    uint32_t parent = 0;
    uint32_t first = 0;
    uint32_t next = 0;
    Value::Kind kind = Value::Kind::kNone;
  };
  struct Identity {
    std::string_view type;
    std::string_view id;
    bool operator==(const Identity&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Identity& identity) {
      h = H::combine_contiguous(std::move(h), identity.type.data(), identity.type.size());
      return H::combine_contiguous(std::move(h), identity.id.data(), identity.id.size());
    }
  };
  struct Documents;

  Value Get(uint32_t at) const { return at == 0 ? Value() : Value(*this, at); }
  // The part and the path of a value.
  std::string Where(uint32_t at) const;
  // Enters the entities that were added since.
  void Index() const;

  std::vector<Node> nodes_;
  // Roots with the names of their parts.
  std::vector<std::pair<uint32_t, std::string>> parts_;
  std::unique_ptr<Documents> documents_;
  // Of each identity: the first entity that has more fields than a link, and of each such entity
  // the next one. Made when first asked for.
  mutable absl::flat_hash_map<Identity, std::pair<uint32_t, uint32_t>> entities_;
  mutable std::vector<uint32_t> next_same_;
  mutable size_t indexed_ = 0;
};

}  // namespace dealstream::crm::megaplan
