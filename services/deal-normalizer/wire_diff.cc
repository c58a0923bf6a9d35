#include "services/deal-normalizer/wire_diff.h"

#include <cstdint>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace dealstream::normalizer {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Field by field, the repeats of one number together.
class Fields {
 public:
  explicit Fields(std::string_view bytes)
      : bytes_(bytes),
        in_(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size())),
        next_tag_(in_.ReadTag()) {
    Advance();
  }

  // 0 at the end.
  int number() const { return number_; }
  // With the tags.
  std::string_view slice() const { return slice_; }
  bool bad() const { return bad_; }

  void Advance() {
    const int last = number_;
    number_ = WireFormatLite::GetTagFieldNumber(next_tag_);
    if (next_tag_ == 0) {
      bad_ = bad_ || begin_ != bytes_.size();
      return;
    }
    const size_t begin = begin_;
    while (next_tag_ != 0 && WireFormatLite::GetTagFieldNumber(next_tag_) == number_) {
      if (!WireFormatLite::SkipField(&in_, next_tag_)) {
        bad_ = true;
        number_ = 0;
        return;
      }
      begin_ = static_cast<size_t>(in_.CurrentPosition());
      next_tag_ = in_.ReadTag();
    }
    bad_ = bad_ || number_ <= last;
    slice_ = bytes_.substr(begin, begin_ - begin);
  }

 private:
  const std::string_view bytes_;
  CodedInputStream in_;
  uint32_t next_tag_;
  // Where next_tag_ begins.
  size_t begin_ = 0;
  int number_ = 0;
  std::string_view slice_;
  bool bad_ = false;
};

}  // namespace

std::optional<std::vector<int>> DifferingFields(std::string_view before, std::string_view after) {
  std::vector<int> differing;
  Fields a(before);
  Fields b(after);
  while (!a.bad() && !b.bad() && (a.number() != 0 || b.number() != 0)) {
    if (b.number() == 0 || (a.number() != 0 && a.number() < b.number())) {
      differing.push_back(a.number());
      a.Advance();
    } else if (a.number() == 0 || b.number() < a.number()) {
      differing.push_back(b.number());
      b.Advance();
    } else {
      if (a.slice() != b.slice()) {
        differing.push_back(a.number());
      }
      a.Advance();
      b.Advance();
    }
  }
  if (a.bad() || b.bad()) {
    return std::nullopt;
  }
  return differing;
}

}  // namespace dealstream::normalizer
