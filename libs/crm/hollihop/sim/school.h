#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/hollihop/sim/lead.h"
#include "libs/crm/sim/account.h"
#include "libs/crm/sim/settings.h"

namespace dealstream::crm::hollihop::sim {

using simkit::DealTruth;
using simkit::Json;

// Numbers that tests may set; README.md says what they are.
struct Rules {
  explicit Rules(simkit::Settings& settings)
      : requests(settings.Add("requests", 600, 0, 1'000'000)),
        interval_ms(settings.Add("interval_ms", 30'000, 1, 3'600'000)),
        default_take(settings.Add("default_take", 1000, 1, 10'000)),
        most_take(settings.Add("most_take", 10'000, 1, 10'000)),
        zone_minutes(settings.Add("zone_minutes", 180, -720, 840)),
        order(settings.Add("order", 0, 0, 3)),
        status_types(settings.Add("status_types", 1, 0, 1)) {}

  const simkit::Setting& requests;
  const simkit::Setting& interval_ms;
  const simkit::Setting& default_take;
  const simkit::Setting& most_take;
  const simkit::Setting& zone_minutes;
  const simkit::Setting& order;
  const simkit::Setting& status_types;
};

// One school: its leads, what can happen to them, and the API as it answers for them.
class School final : public simkit::Account {
 public:
  School(int number, uint64_t seed, const std::string& origin, const Rules& rules);

  // A call of the API: `function` as it stands in the path.
  http::ServerResponse Serve(const std::string& function, const http::ServerRequest& request);

  Json Credential() const override;
  http::ServerResponse Fail(int status) override;
  http::ServerResponse Refuse(const std::string& limit) override;
  simkit::Limits limits() const override;

  std::vector<DealTruth> Deals() const override;
  Result<DealTruth> FindDeal(const std::string& deal) const override;
  Result<DealTruth> CreateDeal(const Json& fields) override;
  Result<DealTruth> EditDeal(const std::string& deal, const Json& fields) override;
  Result<DealTruth> MoveDeal(const std::string& deal, const Json& fields) override;
  Result<DealTruth> PayDeal(const std::string& deal, const Json& fields) override;
  Result<DealTruth> DeleteDeal(const std::string& deal, const Json& fields) override;
  void LiveOneChange() override;
  std::string LiveNewDeal() override;

  Status SetOwnFault(const std::string& name, const Json& value) override;
  void ClearOwnFaults() override { odd_ = {}; }
  Result<Json> OwnControl(const std::string& method,
                          const std::string& path,
                          const Json& fields) override;

 private:
  struct OddFaults {
    // 200 with this text as Error; empty: none.
    std::string error;
    // `skip` isn't heard.
    bool repeat_page = false;
    // Rows come in another order with each call.
    bool shuffle = false;
    // Changes get an `Updated` of an hour before.
    bool backwards = false;
    // No `Now`.
    bool no_now = false;
  };

  // The server's clock, to the second.
  absl::Time Now() const;
  std::string Local(absl::Time time) const;
  Lead* FindLead(const std::string& id);

  // All want the mutex held.
  void Changed(Lead& lead);
  void SetStatus(Lead& lead, const LeadStatus* status);
  // Reads all of the fields, or says what is wrong with one.
  Result<Lead> WithFields(Lead lead, const Json& fields) const;
  Lead MakeLead();
  DealTruth TruthOf(const Lead& lead) const;

  // The functions of the API; arguments by their names in lower case.
  using Arguments = std::map<std::string, std::string>;
  http::ServerResponse Answer(const std::string& function,
                              const std::string& method,
                              const Arguments& arguments);
  http::ServerResponse GetLeads(const Arguments& arguments);
  http::ServerResponse GetStudents(const Arguments& arguments);
  http::ServerResponse GetHistory(const Arguments& arguments);
  http::ServerResponse GetPayments(const Arguments& arguments);
  http::ServerResponse AddLead(const Arguments& arguments);
  http::ServerResponse EditContacts(const Arguments& arguments);
  std::vector<const Lead*> Select(const Arguments& arguments) const;
  void Sort(std::vector<const Lead*>& leads);
  // Applies skip and take.
  Json Page(Json rows, const Arguments& arguments) const;
  Json WithNow(Json answer) const;
  Json LeadJson(const Lead& lead) const;
  void AddBudget(const Lead& lead, Json& json, Json& extra_fields) const;
  Json Directory(const std::string& function) const;

  const Rules& rules_;
  const std::string origin_;
  const std::string key_;
  std::vector<Lead> leads_;
  std::vector<StatusChange> history_;
  std::vector<Payment> payments_;
  int64_t next_id_;
  absl::Duration clock_shift_;
  OddFaults odd_;
};

}  // namespace dealstream::crm::hollihop::sim
