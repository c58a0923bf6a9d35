#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/newcrm/deal_mapper.h"
#include "libs/crm/newcrm/wire.h"

// Any bytes as the part of a record, into a message that is used again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  static const crm::newcrm::Mapper mapper;
  static deal::v1::Deal used;
  raw::v1::Record record;
  auto& part = *record.add_parts();
  part.set_name(std::string(crm::newcrm::kDeal));
  part.set_body(std::string(reinterpret_cast<const char*>(data), size));
  deal::v1::Deal fresh;
  const Status status = mapper.Map(record, fresh);
  if (!status.ok() && DispositionOf(status) != Disposition::kDeadLetter) {
    std::abort();
  }
  if (mapper.Map(record, used) != status ||
      (status.ok() && used.SerializeAsString() != fresh.SerializeAsString())) {
    std::abort();
  }
  return 0;
}
