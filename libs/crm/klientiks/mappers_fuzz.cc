#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/klientiks/deal_mapper.h"
#include "libs/crm/klientiks/request_mapper.h"
#include "libs/crm/klientiks/wire.h"

// Any bytes as each part of a record, into messages that are used again.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dealstream;
  static const crm::klientiks::Mapper deals;
  static const crm::klientiks::BookingMapper requests;
  static deal::v1::Deal used;
  static request::v1::Request used_request;
  const std::string body(reinterpret_cast<const char*>(data), size);
  raw::v1::Record record;
  const auto add = [&record](std::string_view name, const std::string& bytes) {
    auto& part = *record.add_parts();
    part.set_name(std::string(name));
    part.set_body(bytes);
  };
  const auto is_bad = [](const Status& status) {
    return !status.ok() && !absl::IsDataLoss(status) && !absl::IsInvalidArgument(status);
  };
  const auto check = [&] {
    deal::v1::Deal fresh;
    const Status status = deals.Map(record, fresh);
    if (is_bad(status) || deals.Map(record, used) != status ||
        (status.ok() && used.SerializeAsString() != fresh.SerializeAsString())) {
      std::abort();
    }
    request::v1::Request fresh_request;
    const auto mapped = requests.Map(record, fresh_request);
    if (is_bad(mapped.status()) || requests.Map(record, used_request).status() != mapped.status() ||
        (mapped.ok() && used_request.SerializeAsString() != fresh_request.SerializeAsString())) {
      std::abort();
    }
  };
  add(crm::klientiks::kAppointmentPart, body);
  check();
  record.mutable_parts(0)->set_body(
      R"({"items":{"id":1,"client_id":2,"executor_id":3,"modified":"2026-03-03 09:02:11"}})");
  add(crm::klientiks::kClientPart, body);
  check();
  record.mutable_parts(1)->set_name(std::string(crm::klientiks::kUserPart));
  check();
  return 0;
}
