#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "libs/crm/hollihop/client.h"
#include "libs/crm/hollihop/record_source.h"

namespace {

using namespace dealstream;

// Gives the same body to every call, with the status that the first byte chooses.
class AnySession final : public crm::Session {
 public:
  AnySession(int status, std::string body) {
    response_.status = status;
    response_.body = std::move(body);
  }
  Result<http::Response> Send(const Call&) override { return response_; }
  absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }

 private:
  http::Response response_;
};

// What the loop can't act on would be our bug.
void Check(const Status& status) {
  switch (DispositionOf(status)) {
    case Disposition::kBug:
    case Disposition::kStop:
    case Disposition::kGone:
      std::abort();
    default:
      return;
  }
}

}  // namespace

// Any answer to every call of Read and List.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kStatuses[] = {200, 200, 200, 200, 400, 401, 403, 404, 429, 500, 302, 503};
  if (size == 0) {
    return 0;
  }
  const std::string body(reinterpret_cast<const char*>(data), size);
  const crm::hollihop::Source source;
  for (const int http_status : {200, kStatuses[data[0] % std::size(kStatuses)]}) {
    AnySession session(http_status, body);
    Check(source.Read({"lead", "10241"}, {}, session).status());
    crm::ListRequest request;
    for (int page = 0; page < 3; ++page) {
      const auto listed = source.List(request, {}, {}, session);
      Check(listed.status());
      if (!listed.ok() || listed->next_page_token.empty()) {
        break;
      }
      request.page_token = listed->next_page_token;
    }
  }
  return 0;
}
