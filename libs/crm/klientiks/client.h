#pragma once

#include <string>
#include <string_view>

#include "absl/time/civil_time.h"

#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"
#include "libs/crm/klientiks/settings.pb.h"

namespace dealstream::crm::klientiks {

// The calls of Restapi, and what its refusals mean. Thin: gives bodies, reads none of the good
// ones. Lives while the session does.
class Client {
 public:
  Client(Session& session, v1::TokenPlace token_place)
      : session_(session), token_place_(token_place) {}

  // Each: the body of a good answer, without what PHP wrote before it. An error that comes with 200
  // ({"error": text}) is a good answer here.
  Result<std::string> GetAppointment(std::string_view id);
  Result<std::string> GetClient(std::string_view id);
  Result<std::string> ListUsers(int64_t offset);
  // Visits of a day in the CRM's zone, `kPageSize` at most.
  Result<std::string> ListDay(absl::CivilDay day, int64_t offset);
  // Visits changed since.
  Result<std::string> ListChanged(int64_t since_unix_seconds);

  // 50 without asking; 100 was seen with visits.
  static constexpr int64_t kPageSize = 100;

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;
  // `rest`: what follows the account in the path.
  Result<std::string> Get(std::string_view operation,
                          std::string_view action,
                          std::string_view rest,
                          Query query = {});
  Result<std::string> GetOnce(std::string_view operation, std::string path, const Query& query);

  Session& session_;
  const v1::TokenPlace token_place_;
};

// Ok for a good answer with a JSON body. `operation` begins the message.
Status StatusOfAnswer(std::string_view operation, const http::Response& response);

}  // namespace dealstream::crm::klientiks
