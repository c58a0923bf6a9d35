#include "libs/crm/megaplan/answer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "libs/crm/api/json.h"
#include "libs/crm/megaplan/wire.h"

namespace dealstream::crm::megaplan {
namespace {

// Real answers are some ten levels deep. Beyond these bounds is hostility or a fault of theirs.
constexpr int kDeepest = 64;
constexpr size_t kMostValues = 500'000;
// How many copies of an entity are asked for a field. One has it all; a few more may be shortened.
constexpr int kMostCopies = 8;

std::string_view NameOfKind(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNone:
      return "nothing";
    case Value::Kind::kObject:
      return "an object";
    case Value::Kind::kArray:
      return "an array";
    case Value::Kind::kString:
      return "a string";
    case Value::Kind::kNumber:
      return "a number";
    case Value::Kind::kBool:
      return "a boolean";
  }
  return "nothing";
}

// Keys come from outside: what isn't plain is not shown as it is.
std::string Shown(std::string_view key) {
  std::string shown(key.substr(0, 60));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return shown;
}

}  // namespace

// ---- Value -----------------------------------------------------------------------------------

Value::Kind Value::kind() const {
  return answers_ == nullptr ? Kind::kNone : answers_->nodes_[at_].kind;
}

bool Value::IsEmpty() const {
  switch (kind()) {
    case Kind::kNone:
      return true;
    case Kind::kString:
      return text().empty();
    case Kind::kArray:
      return answers_->nodes_[at_].first == 0;
    default:
      return false;
  }
}

std::string_view Value::text() const {
  return answers_ == nullptr ? std::string_view() : answers_->nodes_[at_].text;
}

std::string_view Value::key() const {
  return answers_ == nullptr ? std::string_view() : answers_->nodes_[at_].key;
}

Value Value::operator[](std::string_view name) const {
  if (!IsObject()) {
    return {};
  }
  for (uint32_t at = answers_->nodes_[at_].first; at != 0; at = answers_->nodes_[at].next) {
    if (answers_->nodes_[at].key == name) {
      return answers_->Get(at);
    }
  }
  return {};
}

Value Value::First() const {
  return answers_ == nullptr ? Value() : answers_->Get(answers_->nodes_[at_].first);
}

Value Value::Next() const {
  return answers_ == nullptr ? Value() : answers_->Get(answers_->nodes_[at_].next);
}

Status Value::Wrong(std::string_view want) const { return Wrong(NameOfKind(kind()), want); }

Status Value::Wrong(std::string_view got, std::string_view want) const {
  return WithReason(
      absl::DataLossError(fmt::format(
          "{}: got {}, want {}", answers_ == nullptr ? "answer" : answers_->Where(at_), got, want)),
      json::kWrongShape);
}

Result<std::string_view> TextOf(const Value& value) {
  if (value.IsEmpty()) {
    return std::string_view();
  }
  if (value.kind() != Value::Kind::kString) {
    return value.Wrong("a string");
  }
  return value.text();
}

std::string_view IdOf(const Value& entity) {
  const Value id = entity["id"];
  const bool written = id.kind() == Value::Kind::kString || id.kind() == Value::Kind::kNumber;
  return written ? id.text() : std::string_view();
}

std::string_view ContentTypeOf(const Value& entity) {
  const Value type = entity["contentType"];
  return type.kind() == Value::Kind::kString ? type.text() : std::string_view();
}

bool SameEntity(const Value& a, const Value& b) {
  const std::string_view id = IdOf(a);
  return !id.empty() && id == IdOf(b) && ContentTypeOf(a) == ContentTypeOf(b);
}

// ---- Answers ---------------------------------------------------------------------------------

struct Answers::Documents {
  // Views of a part are good until its document is used again.
  std::vector<std::unique_ptr<json::Document>> all;
};

// Puts one document's values into the tree.
class Answers::Filler {
 public:
  explicit Filler(std::vector<Node>& nodes) : nodes_(nodes) {}

  Status Fill(std::string_view key, json::Node node, uint32_t parent, uint32_t& last) {
    if (nodes_.size() > kMostValues) {
      return node.Wrong("more", fmt::format("at most {} values", kMostValues));
    }
    const json::Node::Kind kind = node.kind();
    if (kind == json::Node::Kind::kNull) {
      return absl::OkStatus();
    }
    const auto at = static_cast<uint32_t>(nodes_.size());
    Node& added = nodes_.emplace_back();
    added.key = key;
    added.parent = parent;
    (last == 0 ? nodes_[parent].first : nodes_[last].next) = at;
    last = at;
    switch (kind) {
      case json::Node::Kind::kObject:
        return FillObject(node, at);
      case json::Node::Kind::kArray:
        return FillArray(node, at);
      case json::Node::Kind::kString:
        added.kind = Value::Kind::kString;
        return node.String(added.text);
      case json::Node::Kind::kNumber:
        added.kind = Value::Kind::kNumber;
        return node.Number(added.text);
      case json::Node::Kind::kBool: {
        bool flag = false;
        if (!node.Bool(flag).ok()) {
          return NoValue(node);
        }
        added.kind = Value::Kind::kBool;
        added.text = flag ? "true" : "false";
        return absl::OkStatus();
      }
      default:
        return NoValue(node);
    }
  }

 private:
  // The document ends here, or something else was written.
  static Status NoValue(json::Node node) {
    return WithReason(node.Wrong("no JSON value", "one"), json::kMalformed);
  }

  Status FillObject(json::Node node, uint32_t at) {
    nodes_[at].kind = Value::Kind::kObject;
    if (++depth_ > kDeepest) {
      return node.Wrong("another level", fmt::format("at most {} of them", kDeepest));
    }
    uint32_t last = 0;
    DEALSTREAM_RETURN_IF_ERROR(node.Object(
        [&](std::string_view key, json::Node value) { return Fill(key, value, at, last); }));
    --depth_;
    return absl::OkStatus();
  }

  Status FillArray(json::Node node, uint32_t at) {
    nodes_[at].kind = Value::Kind::kArray;
    if (++depth_ > kDeepest) {
      return node.Wrong("another level", fmt::format("at most {} of them", kDeepest));
    }
    uint32_t last = 0;
    DEALSTREAM_RETURN_IF_ERROR(
        node.Array([&](json::Node element) { return Fill({}, element, at, last); }));
    --depth_;
    return absl::OkStatus();
  }

  std::vector<Node>& nodes_;
  int depth_ = 0;
};

Answers::Answers() : nodes_(1), documents_(std::make_unique<Documents>()) {}
Answers::~Answers() = default;

void Answers::Clear() {
  nodes_.resize(1);
  nodes_[0] = Node();
  parts_.clear();
  entities_.clear();
  next_same_.clear();
  indexed_ = 0;
}

Result<Value> Answers::Add(std::string_view part, std::string_view bytes) {
  const auto root = static_cast<uint32_t>(nodes_.size());
  if (documents_->all.size() == parts_.size()) {
    documents_->all.push_back(std::make_unique<json::Document>());
  }
  json::Document& document = *documents_->all[parts_.size()];
  parts_.emplace_back(root, part);
  Filler filler(nodes_);
  // Roots are no siblings.
  uint32_t last = 0;
  DEALSTREAM_RETURN_IF_ERROR(document.Read(parts_.back().second, bytes, [&](json::Node node) {
    return filler.Fill({}, node, 0, last);
  }));
  const Value value = Get(last);
  if (!value.IsObject()) {
    return value.Wrong("an object");
  }
  return value;
}

std::string Answers::Where(uint32_t at) const {
  std::string path;
  for (; nodes_[at].parent != 0; at = nodes_[at].parent) {
    const Node& parent = nodes_[nodes_[at].parent];
    if (parent.kind == Value::Kind::kObject) {
      path = fmt::format(
          "{}{}{}", Shown(nodes_[at].key), path.empty() || path[0] == '[' ? "" : ".", path);
      continue;
    }
    int index = 0;
    for (uint32_t before = parent.first; before != at; before = nodes_[before].next) {
      ++index;
    }
    path = fmt::format("[{}]{}{}", index, path.empty() || path[0] == '[' ? "" : ".", path);
  }
  const auto part = std::find_if(parts_.rbegin(), parts_.rend(), [at](const auto& candidate) {
    return candidate.first <= at;
  });
  const std::string_view name = part == parts_.rend() ? "answer" : std::string_view(part->second);
  return path.empty() ? std::string(name) : fmt::format("{}: {}", name, path);
}

void Answers::Index() const {
  if (indexed_ == nodes_.size()) {
    return;
  }
  next_same_.resize(nodes_.size(), 0);
  for (uint32_t at = static_cast<uint32_t>(std::max<size_t>(indexed_, 1)); at < nodes_.size();
       ++at) {
    if (nodes_[at].kind != Value::Kind::kObject) {
      continue;
    }
    const Value entity = Get(at);
    const Identity identity{ContentTypeOf(entity), IdOf(entity)};
    // A link says nothing.
    const Value third = entity.First().Next().Next();
    if (identity.type.empty() || identity.id.empty() || third.kind() == Value::Kind::kNone) {
      continue;
    }
    const auto [found, is_new] = entities_.try_emplace(identity, at, at);
    if (!is_new) {
      next_same_[found->second.second] = at;
      found->second.second = at;
    }
  }
  indexed_ = nodes_.size();
}

Value Answers::Field(const Value& entity, std::string_view name) const {
  if (!entity.IsObject()) {
    return {};
  }
  if (const Value here = entity[name]; here.kind() != Value::Kind::kNone) {
    return here;
  }
  const Identity identity{ContentTypeOf(entity), IdOf(entity)};
  if (identity.type.empty() || identity.id.empty()) {
    return {};
  }
  Index();
  const auto found = entities_.find(identity);
  uint32_t at = found == entities_.end() ? 0 : found->second.first;
  for (int copies = 0; at != 0 && copies < kMostCopies; at = next_same_[at], ++copies) {
    if (const Value there = Get(at)[name]; there.kind() != Value::Kind::kNone) {
      return there;
    }
  }
  return {};
}

std::string_view Answers::FieldText(const Value& entity, std::string_view name) const {
  const Value field = Field(entity, name);
  return field.kind() == Value::Kind::kString ? Trimmed(field.text()) : std::string_view();
}

std::string Answers::NameOf(const Value& entity) const {
  std::string name(FieldText(entity, "name"));
  if (!name.empty()) {
    return name;
  }
  for (std::string_view part :
       std::to_array<std::string_view>({"lastName", "firstName", "middleName"})) {
    const std::string_view text = FieldText(entity, part);
    if (!text.empty()) {
      name += name.empty() ? "" : " ";
      name += text;
    }
  }
  return name;
}

}  // namespace dealstream::crm::megaplan
