#include "libs/crm/klientiks/notice_decoder.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/klientiks/wire.h"

namespace dealstream::crm::klientiks {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A part of a query string; a percent sign that begins no code stays.
std::string Decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = high >= 0 ? HexDigit(text[i + 2]) : -1;
    if (low >= 0) {
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      decoded += text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

// Leaves out the tags of a template ("{{#new_data}}", "{{/new_data}}") that was not filled in, or
// not wholly; true when there was one.
bool DropTags(std::string& text) {
  bool dropped = false;
  for (size_t begin = text.find("{{"); begin != std::string::npos; begin = text.find("{{")) {
    const size_t end = text.find("}}", begin);
    text.erase(begin, end == std::string::npos ? end : end + 2 - begin);
    dropped = true;
  }
  return dropped;
}

// The instruction shows the template with " ," behind it, and so it is pasted.
std::string_view TrimLeftovers(std::string_view text) {
  const auto is_leftover = [](char c) { return c == ',' || c == ';'; };
  while (true) {
    text = Trim(text);
    if (!text.empty() && is_leftover(text.front())) {
      text.remove_prefix(1);
    } else if (!text.empty() && is_leftover(text.back())) {
      text.remove_suffix(1);
    } else {
      return text;
    }
  }
}

// What may be shown of a text from outside.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, 40));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return shown;
}

class Reader {
 public:
  explicit Reader(std::string_view kind) : kind_(kind) {}

  void ReadPair(std::string_view pair) {
    const size_t equals = pair.find('=');
    if (TrimLeftovers(Decoded(pair.substr(0, equals))) != "appointment_id") {
      return;
    }
    seen_ = true;
    std::string value =
        equals == std::string_view::npos ? std::string() : Decoded(pair.substr(equals + 1));
    const bool unfilled = DropTags(value);
    std::string_view id = TrimLeftovers(value);
    if (id.empty()) {
      notice_.ignored.emplace_back(unfilled ? "unfilled_template" : "empty_template");
      return;
    }
    const std::string shown = Shown(id);
    id.remove_prefix(std::min(id.size(), id.find_first_not_of('0')));
    if (!IsId(id)) {
      // The others may be read.
      notice_.unreadable = absl::InvalidArgumentError(fmt::format(
          "webhook: appointment_id: got \"{}\", want the number of a visit, 1 to 18 digits",
          shown));
      return;
    }
    ObjectRef ref{std::string(kind_), std::string(id)};
    if (std::find(notice_.objects.begin(), notice_.objects.end(), ref) == notice_.objects.end()) {
      notice_.objects.push_back(std::move(ref));
    }
  }

  Result<DecodedNotice> Finish() && {
    if (!seen_) {
      return absl::InvalidArgumentError(
          "webhook: got no appointment_id in the query, want the address of the instruction: "
          "?appointment_id=...&status=...");
    }
    if (notice_.objects.empty()) {
      DEALSTREAM_RETURN_IF_ERROR(notice_.unreadable);
    } else {
      notice_.ignored.clear();
    }
    return std::move(notice_);
  }

 private:
  std::string_view kind_;
  DecodedNotice notice_;
  bool seen_ = false;
};

}  // namespace

NoticeReply Decoder::Reply() const {
  NoticeReply reply;
  // Nothing is published on the method, the answer, or what follows a failure. Source:
  // README.md#webhooks, inferred.
  reply.status = 200;
  reply.methods = {"GET", "POST"};
  return reply;
}

Result<DecodedNotice> Decoder::Decode(const raw::v1::Notice& notice, Purpose purpose) const {
  if (purpose != Purpose::PURPOSE_DEALS && purpose != Purpose::PURPOSE_REQUESTS) {
    DecodedNotice other;
    other.ignored.emplace_back("other_purpose");
    return other;
  }
  Reader reader(purpose == Purpose::PURPOSE_REQUESTS ? kBooking : kAppointment);
  std::string_view query = notice.query();
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    reader.ReadPair(pair);
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
  }
  return std::move(reader).Finish();
}

}  // namespace dealstream::crm::klientiks
