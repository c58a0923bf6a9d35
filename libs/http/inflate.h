#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "libs/base/status.h"

namespace dealstream::http {

// Undoes one Content-Encoding piece by piece, with a limit on what comes out, so that a small
// answer can't fill the memory. Not thread-safe.
class BodyDecoder {
 public:
  // `encoding` as in the header: "gzip", "deflate" (zlib or raw), "identity" or empty. `limit`:
  // bytes, of the input and of the output each.
  BodyDecoder(std::string_view encoding, int64_t limit);
  ~BodyDecoder();
  BodyDecoder(const BodyDecoder&) = delete;
  BodyDecoder& operator=(const BodyDecoder&) = delete;

  // DataLoss with reason "answer_too_large" over the limit; Unavailable with reason "broken_answer"
  // when the bytes are not what the encoding says, or the encoding is unknown.
  Status Add(std::string_view bytes);
  // After the last Add: the decoded body. Unavailable when the end is missing.
  Result<std::string> Finish();

 private:
  struct Stream;
  Status Inflate(std::string_view bytes);
  Status TooLarge() const;
  static Status Broken(std::string_view what);

  const std::string encoding_;
  const bool compressed_;
  const int64_t limit_;
  int64_t received_ = 0;
  // The first bytes, until there are enough to tell the format.
  std::string head_;
  std::string body_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace dealstream::http
