#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/newcrm/notice_decoder.h"

// Any bytes may come to the door.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  raw::v1::Notice notice;
  notice.set_body(std::string(reinterpret_cast<const char*>(data), size));
  const auto decoded = crm::newcrm::Decoder().Decode(notice, integration::v1::PURPOSE_DEALS);
  // Everything is an object, an ignored part or a refusal.
  if (decoded.ok() ? decoded->objects.empty() && decoded->ignored.empty()
                   : !absl::IsInvalidArgument(decoded.status())) {
    std::abort();
  }
  return 0;
}
