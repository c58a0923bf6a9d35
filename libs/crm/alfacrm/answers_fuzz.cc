#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/alfacrm/client.h"
#include "libs/crm/alfacrm/record_source.h"
#include "libs/crm/alfacrm/wire.h"

namespace {

using namespace dealstream;

// The same answer to every call.
class Parrot final : public crm::Session {
 public:
  explicit Parrot(http::Response response) : response_(std::move(response)) {}
  Result<http::Response> Send(const Call&) override {
    // A conversation that doesn't end is a finding. A list of branches may be long.
    if (++calls_ > 100'000) {
      std::abort();
    }
    return response_;
  }
  absl::Time Now() const override { return absl::FromUnixSeconds(1'760'000'000); }

 private:
  http::Response response_;
  int calls_ = 0;
};

void Check(const Status& status) {
  if (DispositionOf(status) == Disposition::kBug && !absl::IsInternal(status)) {
    std::abort();
  }
}

}  // namespace

// Any bytes as the CRM's answer: the first two are the status, a line is the header that says when
// to come back, what follows is the body.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  http::Response response;
  response.status = 200;
  if (size > 2 && data[0] < 6) {
    response.status = data[0] * 100 + data[1] % 100;
    bytes.erase(0, 2);
    const size_t end = bytes.find('\n');
    if (end != std::string::npos) {
      response.headers = {{"retry-after", bytes.substr(0, end)}};
      bytes.erase(0, end + 1);
    }
  }
  response.body = bytes;
  const crm::alfacrm::Source source;
  for (const crm::ObjectRef& ref : {crm::ObjectRef{"lead", "lead:4101"},
                                    crm::ObjectRef{"pay", "pay:9001"},
                                    crm::ObjectRef{"payer", "pay:9001"}}) {
    Parrot session(response);
    Check(source.Read(ref, {}, session).status());
  }
  {
    Parrot session(response);
    const auto page = source.List({}, integration::v1::PURPOSE_DEALS, {}, session);
    Check(page.status());
    if (page.ok() && !page->next_page_token.empty()) {
      crm::ListRequest next;
      next.page_token = page->next_page_token;
      Parrot again(response);
      Check(source.List(next, integration::v1::PURPOSE_DEALS, {}, again).status());
    }
  }
  {
    // A page token comes back from a topic.
    Parrot session(response);
    crm::ListRequest request;
    request.page_token = bytes;
    Check(source.List(request, integration::v1::PURPOSE_DEALS, {}, session).status());
  }
  return 0;
}
