#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/moysklad/deal_mapper.h"
#include "libs/crm/moysklad/wire.h"

// Any bytes as each part of a record, into a message that is used again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  static const crm::moysklad::Mapper mapper;
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
  add(crm::moysklad::kOrderPart, body);
  check();
  record.mutable_parts(0)->set_body(R"({"id":"x","positions":{"rows":[{"id":"a"}]}})");
  add(crm::moysklad::kPositionsPart, body);
  check();
  record.mutable_parts(1)->set_name(std::string(crm::moysklad::kContactPersonsPart));
  check();
  return 0;
}
