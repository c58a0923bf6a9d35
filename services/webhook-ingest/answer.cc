#include "services/webhook-ingest/answer.h"

#include <cassert>
#include <cstring>

#include <fmt/format.h>

namespace dealstream::ingest {
namespace {

constexpr size_t kNoticeIdSize = 26;

std::string_view ConnectionHeader(Persistence persistence) {
  switch (persistence) {
    case Persistence::kDefault:
      return "";
    case Persistence::kKeepAlive:
      return "Connection: keep-alive\r\n";
    case Persistence::kClose:
      return "Connection: close\r\n";
  }
  return "";
}

}  // namespace

PreparedAnswer::PreparedAnswer(const AnswerSpec& spec, const DateText& date)
    : status_(spec.status), has_notice_id_(spec.has_notice_id), date_(date) {
  for (size_t i = 0; i < texts_.size(); ++i) {
    Text& text = texts_[i];
    std::string& out = text.bytes;
    out = fmt::format("HTTP/1.1 {} {}\r\nDate: ", spec.status, spec.reason);
    text.date_at = out.size();
    out.append(date_.size(), ' ');
    out += "\r\n";
    out += ConnectionHeader(static_cast<Persistence>(i));
    for (const auto& [name, value] : spec.headers) {
      out += fmt::format("{}: {}\r\n", name, value);
    }
    if (!spec.content_type.empty()) {
      out += fmt::format("Content-Type: {}\r\n", spec.content_type);
    }
    // RFC 9110, 8.6: no Content-Length in a 204.
    if (spec.status != 204) {
      out += fmt::format("Content-Length: {}\r\n", spec.body.size());
    }
    if (spec.has_notice_id) {
      out += "x-notice-id: ";
      text.id_at = out.size();
      out.append(kNoticeIdSize, ' ');
      out += "\r\n";
    }
    out += "\r\n";
    text.head_size = out.size();
    if (spec.status != 204) {
      out += spec.body;
    }
  }
}

std::string_view PreparedAnswer::Render(Persistence persistence,
                                        std::string_view notice_id,
                                        bool head_only) {
  assert(notice_id.size() == (has_notice_id_ ? kNoticeIdSize : 0));
  Text& text = texts_[static_cast<size_t>(persistence)];
  std::memcpy(text.bytes.data() + text.date_at, date_.data(), date_.size());
  if (has_notice_id_) {
    std::memcpy(text.bytes.data() + text.id_at, notice_id.data(), kNoticeIdSize);
  }
  return std::string_view(text.bytes).substr(0, head_only ? text.head_size : text.bytes.size());
}

}  // namespace dealstream::ingest
