// Packed answers: no bytes may crash it, hang it, or bring out more than the limit.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "libs/http/inflate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t kLimit = 4096;
  if (size == 0) {
    return 0;
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  // The first byte chooses the encoding and where the body is cut in two.
  dealstream::http::BodyDecoder decoder((data[0] & 1) != 0 ? "gzip" : "deflate", kLimit);
  const size_t cut = bytes.empty() ? 0 : data[0] % bytes.size();
  if (decoder.Add(bytes.substr(0, cut)).ok() && decoder.Add(bytes.substr(cut)).ok()) {
    const auto body = decoder.Finish();
    if (body.ok() && static_cast<int64_t>(body->size()) > kLimit) {
      std::abort();
    }
  }
  return 0;
}
