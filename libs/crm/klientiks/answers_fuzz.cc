#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/klientiks/record_source.h"
#include "libs/crm/klientiks/wire.h"

namespace {

using namespace dealstream;

// The same answer to every call.
class Parrot final : public crm::Session {
 public:
  explicit Parrot(http::Response response) : response_(std::move(response)) {}
  Result<http::Response> Send(const Call&) override {
    // A conversation that doesn't end is a finding.
    if (++calls_ > 250) {
      std::abort();
    }
    return response_;
  }
  absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }

 private:
  http::Response response_;
  int calls_ = 0;
};

void Check(const Status& status) {
  if (DispositionOf(status) == Disposition::kBug) {
    std::abort();
  }
}

}  // namespace

// Any bytes as the CRM's answer: the first two are the status, what follows is the body.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  http::Response response;
  response.status = 200;
  if (size > 2 && data[0] < 6) {
    response.status = data[0] * 100 + data[1] % 100;
    bytes.erase(0, 2);
  }
  response.body = bytes;
  const crm::klientiks::Source source;
  for (const std::string_view kind : {crm::klientiks::kAppointment, crm::klientiks::kBooking}) {
    Parrot session(response);
    Check(source.Read({std::string(kind), "610042"}, {}, session).status());
  }
  for (const char* token : {"", "days,0,0,2026-02-24,2026-02-26,0", bytes.c_str()}) {
    Parrot session(response);
    crm::ListRequest request;
    request.page_token = token;
    const auto page = source.List(request, integration::v1::PURPOSE_DEALS, {}, session);
    Check(page.status());
    if (page.ok() && !page->next_page_token.empty()) {
      crm::ListRequest next;
      next.page_token = page->next_page_token;
      Parrot again(response);
      Check(source.List(next, integration::v1::PURPOSE_DEALS, {}, again).status());
    }
  }
  return 0;
}
