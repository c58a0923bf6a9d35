#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/megaplan/credential.h"
#include "libs/crm/megaplan/record_source.h"
#include "libs/crm/megaplan/wire.h"

namespace {

using namespace dealstream;

// The same answer to every call.
class Parrot final : public crm::Session, public http::Transport {
 public:
  explicit Parrot(http::Response response) : response_(std::move(response)) {}
  Result<http::Response> Send(const Call&) override { return Again(); }
  Result<http::Response> Send(const http::Request&) override { return Again(); }
  absl::Time Now() const override { return absl::UnixEpoch(); }

 private:
  Result<http::Response> Again() {
    // A conversation that doesn't end is a finding.
    if (++calls_ > 100) {
      std::abort();
    }
    return response_;
  }

  http::Response response_;
  int calls_ = 0;
};

void Check(const Status& status) {
  if (DispositionOf(status) == Disposition::kBug) {
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
  const crm::megaplan::Source source;
  for (const char* kind : {"deal", "dropped_deal@1"}) {
    Parrot session(response);
    Check(source.Read({kind, "20417"}, {}, session).status());
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
    // A page token and a cursor come back from a topic.
    Parrot session(response);
    crm::ListRequest request;
    request.page_token = bytes;
    Check(source.List(request, integration::v1::PURPOSE_DEALS, {}, session).status());
    request.page_token.clear();
    request.cursor = bytes;
    Check(source.List(request, integration::v1::PURPOSE_DEALS, {}, session).status());
  }
  {
    Parrot login(response);
    crm::CredentialFields fields;
    fields.emplace_back("username", Secret("u"));
    fields.emplace_back("password", Secret("p"));
    fields.emplace_back("domain", Secret("a.megaplan.ru"));
    Check(crm::megaplan::Credential()
              .LogIn(fields, {.state = Secret("r"), .now = absl::UnixEpoch()}, login)
              .status());
  }
  return 0;
}
