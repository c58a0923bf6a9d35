#include "libs/crm/api/json.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace dealstream::crm::json {
namespace {

// Keys come from outside: what isn't plain is not shown as it is.
std::string Shown(std::string_view key) {
  std::string shown(key.substr(0, 40));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return shown;
}

std::string_view NameOf(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kObject:
      return "an object";
    case Node::Kind::kArray:
      return "an array";
    case Node::Kind::kString:
      return "a string";
    case Node::Kind::kNumber:
      return "a number";
    case Node::Kind::kBool:
      return "a boolean";
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kOther:
      return "no JSON value";
  }
  return "nothing";
}

}  // namespace

bool Document::Load(std::string_view bytes) {
  // The parser's own limit is 4 GiB; no answer of a CRM is let in beyond 32 MiB.
  if (bytes.size() > (64U << 20)) {
    return false;
  }
  if (bytes.size() > capacity_) {
    capacity_ = std::max<size_t>(bytes.size() * 2, 16 << 10);
    buffer_ = std::make_unique<char[]>(capacity_ + simdjson::SIMDJSON_PADDING);
    unescaped_ = std::make_unique<uint8_t[]>(capacity_ + simdjson::SIMDJSON_PADDING);
  } else if (!buffer_) {
    return false;
  }
  std::memcpy(buffer_.get(), bytes.data(), bytes.size());
  // The padding is looked at, though never taken for a value.
  std::memset(buffer_.get() + bytes.size(), ' ', simdjson::SIMDJSON_PADDING);
  size_ = bytes.size();
  unescaped_end_ = unescaped_.get();
  return true;
}

void Document::Wipe() {
  if (buffer_) {
    explicit_bzero(buffer_.get(), capacity_ + simdjson::SIMDJSON_PADDING);
    explicit_bzero(unescaped_.get(), capacity_ + simdjson::SIMDJSON_PADDING);
  }
}

std::string Document::Where() const {
  std::string path;
  for (size_t i = 0; i < depth_; ++i) {
    if (steps_[i].index >= 0) {
      path += fmt::format("[{}]", steps_[i].index);
    } else {
      path += fmt::format("{}{}", path.empty() ? "" : ".", Shown(steps_[i].key));
    }
  }
  return path.empty() ? std::string(what_) : fmt::format("{}: {}", what_, path);
}

Status Document::Malformed(simdjson::error_code error) const {
  return WithReason(
      Status(code_,
             fmt::format(
                 "{}: got {} bytes that are no JSON document ({}), want an object or array",
                 Where(),
                 size_,
                 // A lone scalar has an error of its own, that speaks of the parser's calls.
                 simdjson::error_message(
                     error == simdjson::SCALAR_DOCUMENT_AS_VALUE ? simdjson::TAPE_ERROR : error))),
      kMalformed);
}

Status Document::WrongShape(std::string_view got, std::string_view want) const {
  return WithReason(Status(code_, fmt::format("{}: got {}, want {}", Where(), got, want)),
                    kWrongShape);
}

Status Node::WrongKind(std::string_view want) {
  return document_->WrongShape(NameOf(kind()), want);
}

Status Node::String(std::string_view& out) {
  DEALSTREAM_RETURN_IF_ERROR(RawString(out));
  if (std::memchr(out.data(), '\\', out.size()) == nullptr) {
    // Straight from the document: stage 1 of the parser has checked UTF-8 and control characters.
    return absl::OkStatus();
  }
  simdjson::ondemand::raw_json_string raw;
  auto error = value_.get_raw_json_string().get(raw);
  if (error == simdjson::SUCCESS) {
    error = document_->parser_.unescape(raw, document_->unescaped_end_).get(out);
  }
  return error == simdjson::SUCCESS ? absl::OkStatus() : document_->Malformed(error);
}

Status Node::Number(std::string_view& out) {
  if (kind() != Kind::kNumber) {
    return WrongKind("a number");
  }
  out = Token();
  return absl::OkStatus();
}

Status Node::Bool(bool& out) {
  const std::string_view token = Token();
  if (token != "true" && token != "false") {
    return WrongKind("a boolean");
  }
  out = token == "true";
  return absl::OkStatus();
}

Status Node::Int(int64_t& out) {
  const std::string_view token = Token();
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), out);
  if (kind() != Kind::kNumber || error != std::errc() || end != token.data() + token.size()) {
    return WrongKind("a whole number");
  }
  return absl::OkStatus();
}

Status Node::Raw(std::string_view& out) {
  const Kind own = kind();
  if (own != Kind::kObject && own != Kind::kArray) {
    return WrongKind("an object or array");
  }
  const auto error = simdjson::to_json_string(value_).get(out);
  if (error != simdjson::SUCCESS) {
    return document_->Malformed(error);
  }
  while (!out.empty() && static_cast<unsigned char>(out.back()) <= ' ') {
    out.remove_suffix(1);
  }
  return absl::OkStatus();
}

}  // namespace dealstream::crm::json
