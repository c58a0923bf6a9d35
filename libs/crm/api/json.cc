#include "libs/crm/api/json.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

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

// Whether an escape may stand for half of a surrogate pair. An escaped backslash before the "u" is
// taken for one, too: it only costs time.
bool MayHaveSurrogates(std::string_view raw) {
  for (size_t at = raw.find("\\u"); at != std::string_view::npos; at = raw.find("\\u", at + 2)) {
    if (at + 3 < raw.size() && (raw[at + 2] | 0x20) == 'd' && raw[at + 3] >= '8') {
      return true;
    }
  }
  return false;
}

// The code unit of the escape \uXXXX that `at` stands on; nothing when it is none.
std::optional<uint32_t> CodeUnit(std::string_view raw, size_t at) {
  constexpr size_t kLength = 6;
  if (at + kLength > raw.size() || raw[at] != '\\' || raw[at + 1] != 'u') {
    return std::nullopt;
  }
  uint32_t unit = 0;
  const char* const end = raw.data() + at + kLength;
  const auto [stop, error] = std::from_chars(raw.data() + at + 2, end, unit, 16);
  return error == std::errc() && stop == end ? std::optional(unit) : std::nullopt;
}

uint8_t* PutUtf8(uint32_t code, uint8_t* out) {
  const auto put = [&](uint32_t byte) { *out++ = static_cast<uint8_t>(byte); };
  if (code < 0x80) {
    put(code);
    return out;
  }
  if (code < 0x800) {
    put(0xC0 | (code >> 6));
  } else {
    if (code < 0x10000) {
      put(0xE0 | (code >> 12));
    } else {
      put(0xF0 | (code >> 18));
      put(0x80 | ((code >> 12) & 0x3F));
    }
    put(0x80 | ((code >> 6) & 0x3F));
  }
  put(0x80 | (code & 0x3F));
  return out;
}

// The character of a one-letter escape; 0 when there is none of that letter.
char EscapedBy(char letter) {
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const size_t at = kLetters.find(letter);
  return at == std::string_view::npos ? '\0' : kMeanings[at];
}

// Unescapes to `out`, which has room for as much as `raw` is long; where the text ends, or null
// when an escape is none. Half of a surrogate pair becomes U+FFFD: CRMs cut texts between the
// halves, and the parser refuses such a string or makes bytes of it that are no UTF-8.
uint8_t* UnescapeSurrogates(std::string_view raw, uint8_t* out) {
  constexpr uint32_t kReplacement = 0xFFFD;
  for (size_t at = 0; at < raw.size();) {
    if (raw[at] != '\\') {
      *out++ = static_cast<uint8_t>(raw[at++]);
      continue;
    }
    if (at + 1 < raw.size() && raw[at + 1] != 'u') {
      const char escaped = EscapedBy(raw[at + 1]);
      if (escaped == '\0') {
        return nullptr;
      }
      *out++ = static_cast<uint8_t>(escaped);
      at += 2;
      continue;
    }
    const std::optional<uint32_t> unit = CodeUnit(raw, at);
    if (!unit.has_value()) {
      return nullptr;
    }
    at += 6;
    if (*unit < 0xD800 || *unit > 0xDFFF) {
      out = PutUtf8(*unit, out);
      continue;
    }
    const std::optional<uint32_t> low = *unit < 0xDC00 ? CodeUnit(raw, at) : std::nullopt;
    if (low.has_value() && *low >= 0xDC00 && *low <= 0xDFFF) {
      out = PutUtf8(0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00), out);
      at += 6;
    } else {
      out = PutUtf8(kReplacement, out);
    }
  }
  return out;
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
  for (size_t i = 0; i < std::min(depth_, kShownSteps); ++i) {
    if (steps_[i].index >= 0) {
      path += fmt::format("[{}]", steps_[i].index);
    } else {
      path += fmt::format("{}{}", path.empty() ? "" : ".", Shown(steps_[i].key));
    }
  }
  path += depth_ > kShownSteps ? "…" : "";
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
  if (MayHaveSurrogates(out)) {
    uint8_t* const begin = document_->unescaped_end_;
    uint8_t* const end = UnescapeSurrogates(out, begin);
    if (end == nullptr) {
      return document_->Malformed(simdjson::STRING_ERROR);
    }
    document_->unescaped_end_ = end;
    out = std::string_view(reinterpret_cast<const char*>(begin), static_cast<size_t>(end - begin));
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
