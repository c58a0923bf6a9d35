#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/klientiks/notice_decoder.h"
#include "libs/crm/klientiks/wire.h"

// Any bytes may come to the door as a query.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  raw::v1::Notice notice;
  notice.set_query(std::string(reinterpret_cast<const char*>(data), size));
  for (const auto purpose : {integration::v1::PURPOSE_DEALS, integration::v1::PURPOSE_REQUESTS}) {
    const auto decoded = crm::klientiks::Decoder().Decode(notice, purpose);
    // Everything is a visit, an ignored part or a refusal.
    if (decoded.ok() ? decoded->objects.empty() && decoded->ignored.empty()
                     : !absl::IsInvalidArgument(decoded.status())) {
      std::abort();
    }
    if (!decoded.ok()) {
      continue;
    }
    for (const auto& ref : decoded->objects) {
      if (!crm::klientiks::IsId(ref.external_id)) {
        std::abort();
      }
    }
  }
  return 0;
}
