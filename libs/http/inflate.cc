#include "libs/http/inflate.h"

#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include <fmt/format.h>
#include <zlib.h>

#include "libs/base/strings.h"

namespace dealstream::http {
namespace {

constexpr size_t kChunk = 64 << 10;
// By the first bytes it is told how the rest is packed.
constexpr size_t kHead = 2;

// zlib's number for the format. "deflate" is the zlib format (RFC 1950), yet many send the bare
// one (RFC 1951).
int WindowBits(std::string_view encoding, std::string_view head) {
  constexpr int kGzip = 15 + 16;
  constexpr int kZlib = 15;
  constexpr int kRaw = -15;
  if (encoding != "deflate") {
    return kGzip;
  }
  const unsigned first = static_cast<unsigned char>(head[0]);
  const unsigned second = static_cast<unsigned char>(head[1]);
  return (first & 0x0f) == 8 && (first << 8 | second) % 31 == 0 ? kZlib : kRaw;
}

}  // namespace

struct BodyDecoder::Stream {
  z_stream z = {};
  // The last member is complete.
  bool ended = false;
  std::string out = std::string(kChunk, '\0');

  explicit Stream(int window_bits) { inflateInit2(&z, window_bits); }
  ~Stream() { inflateEnd(&z); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

BodyDecoder::BodyDecoder(std::string_view encoding, int64_t limit)
    : encoding_(absl::AsciiStrToLower(absl::StripAsciiWhitespace(ToAbsl(encoding)))),
      compressed_(encoding_ == "gzip" || encoding_ == "x-gzip" || encoding_ == "deflate"),
      limit_(limit) {}

BodyDecoder::~BodyDecoder() = default;

Status BodyDecoder::Add(std::string_view bytes) {
  received_ += static_cast<int64_t>(bytes.size());
  if (received_ > limit_) {
    return TooLarge();
  }
  if (!compressed_) {
    if (!encoding_.empty() && encoding_ != "identity") {
      return Broken("unknown, want gzip or deflate");
    }
    body_.append(bytes);
    return absl::OkStatus();
  }
  if (stream_ != nullptr) {
    return Inflate(bytes);
  }
  head_.append(bytes);
  if (head_.size() < kHead) {
    return absl::OkStatus();
  }
  stream_ = std::make_unique<Stream>(WindowBits(encoding_, head_));
  return Inflate(std::exchange(head_, {}));
}

Status BodyDecoder::Inflate(std::string_view bytes) {
  std::string& out = stream_->out;
  z_stream& z = stream_->z;
  // zlib takes its input by a pointer that is not const, and doesn't write to it.
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  do {
    if (stream_->ended) {
      // gzip allows several members in a row.
      inflateReset(&z);
      stream_->ended = false;
    }
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&z, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      return Broken("not " + encoding_);
    }
    stream_->ended = result == Z_STREAM_END;
    const size_t count = out.size() - z.avail_out;
    if (static_cast<int64_t>(body_.size() + count) > limit_) {
      return TooLarge();
    }
    body_.append(out, 0, count);
    // A full output may hide more; after the end only more input makes sense.
  } while (z.avail_in > 0 || (z.avail_out == 0 && !stream_->ended));
  return absl::OkStatus();
}

Result<std::string> BodyDecoder::Finish() {
  if (compressed_ && received_ > 0 && (stream_ == nullptr || !stream_->ended)) {
    return Broken("the end is missing");
  }
  return std::move(body_);
}

Status BodyDecoder::TooLarge() const {
  return WithReason(absl::DataLossError(fmt::format("answer larger than {} bytes", limit_)),
                    "answer_too_large");
}

Status BodyDecoder::Broken(std::string_view what) {
  return WithReason(absl::UnavailableError(fmt::format("content encoding: {}", what)),
                    "broken_answer");
}

}  // namespace dealstream::http
