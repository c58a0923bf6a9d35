#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/alfacrm/notice_decoder.h"

// Any bytes may come to the door. A first line that is short is the query string.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  std::string body(reinterpret_cast<const char*>(data), size);
  raw::v1::Notice notice;
  const size_t end = body.find('\n');
  if (end != std::string::npos && end < 256) {
    notice.set_query(body.substr(0, end));
    body.erase(0, end + 1);
  }
  notice.set_body(body);
  const auto decoded = crm::alfacrm::Decoder().Decode(notice, integration::v1::PURPOSE_DEALS);
  // Everything is an object, an ignored part or a refusal.
  if (decoded.ok() ? decoded->objects.empty() && decoded->ignored.empty()
                   : !absl::IsInvalidArgument(decoded.status())) {
    std::abort();
  }
  return 0;
}
