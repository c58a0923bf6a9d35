#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/alfacrm/deal_mapper.h"
#include "libs/crm/alfacrm/wire.h"

// Any bytes as each part of a record, into a message that is used again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  static const crm::alfacrm::Mapper mapper;
  static deal::v1::Deal used;
  const std::string body(reinterpret_cast<const char*>(data), size);
  constexpr std::string_view kCustomer =
      R"({"items":[{"id":7,"name":"x","is_study":1,"branch_ids":[1],"lead_status_id":2}]})";
  constexpr std::string_view kPay =
      R"({"items":[{"id":9,"customer_id":7,"pay_type_id":1,"income":"5.00"}]})";
  const auto check = [&](std::string_view first,
                         std::string_view first_body,
                         std::string_view second,
                         std::string_view second_body) {
    raw::v1::Record record;
    auto& one = *record.add_parts();
    one.set_name(std::string(first));
    one.set_body(std::string(first_body));
    auto& other = *record.add_parts();
    other.set_name(std::string(second));
    other.set_body(std::string(second_body));
    deal::v1::Deal fresh;
    const Status status = mapper.Map(record, fresh);
    if (!status.ok() && !absl::IsDataLoss(status) && !absl::IsInvalidArgument(status) &&
        !absl::IsOutOfRange(status)) {
      std::abort();
    }
    if (mapper.Map(record, used) != status ||
        (status.ok() && used.SerializeAsString() != fresh.SerializeAsString())) {
      std::abort();
    }
  };
  check(crm::alfacrm::kCustomerPart, body, crm::alfacrm::kPaysPart, kPay);
  check(crm::alfacrm::kCustomerPart, kCustomer, crm::alfacrm::kPaysPart, body);
  check(crm::alfacrm::kCustomerPart, kCustomer, crm::alfacrm::kHistoryPart, body);
  check(crm::alfacrm::kCustomerPart, kCustomer, crm::alfacrm::kNamesPart, body);
  check(crm::alfacrm::kPayPart, body, crm::alfacrm::kCustomerPart, kCustomer);
  check(crm::alfacrm::kPayPart, kPay, crm::alfacrm::kCustomerPart, body);
  return 0;
}
