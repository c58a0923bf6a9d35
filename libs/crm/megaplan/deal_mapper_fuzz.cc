#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/megaplan/deal_mapper.h"
#include "libs/crm/megaplan/wire.h"

// Any bytes as each part of a record, into a message that is used again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  static const crm::megaplan::Mapper mapper;
  static deal::v1::Deal used;
  const std::string body(reinterpret_cast<const char*>(data), size);
  raw::v1::Record record;
  const auto add = [&record](std::string_view name, const std::string& bytes) {
    auto& part = *record.add_parts();
    part.set_name(std::string(name));
    part.set_body(bytes);
  };
  const auto check = [&record] {
    deal::v1::Deal fresh;
    const Status status = mapper.Map(record, fresh);
    if (!status.ok() && !absl::IsDataLoss(status) && !absl::IsInvalidArgument(status)) {
      std::abort();
    }
    if (mapper.Map(record, used) != status ||
        (status.ok() && used.SerializeAsString() != fresh.SerializeAsString())) {
      std::abort();
    }
  };
  add(crm::megaplan::kDealPart, body);
  check();
  record.mutable_parts(0)->set_body(
      R"({"data":{"id":"1","manager":{"contentType":"Employee","id":"2"},)"
      R"("state":{"contentType":"ProgramState","id":"3"}}})");
  add(crm::megaplan::kEntityPart, body);
  check();
  return 0;
}
