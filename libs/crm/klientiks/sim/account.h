#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/klientiks/sim/data.h"
#include "libs/crm/sim/account.h"
#include "libs/crm/sim/settings.h"

namespace dealstream::crm::klientiks::sim {

// The CRM keeps microseconds.
absl::Time Now();

// What tests may set; see README.md.
struct SimSettings {
  const simkit::Setting& requests_per_minute;
  const simkit::Setting& header_token;
  const simkit::Setting& envelope;
  const simkit::Setting& flatten;
  const simkit::Setting& nested_client;
  const simkit::Setting& removal_webhook;
  const simkit::Setting& refuse_with_200;
  const simkit::Setting& most_rows;
  const simkit::Setting& newest_first;
  const simkit::Setting& show_removed;
};

// Pairs of a call's path and arguments of its query, which are equal to the CRM.
using Arguments = std::map<std::string, std::string>;

// One account: its visits and directories, its API, its webhooks.
class KlientiksAccount final : public simkit::Account {
 public:
  KlientiksAccount(
      int number, uint64_t seed, std::string origin, int deals, const SimSettings& settings);

  // Everything below Restapi, with this account's id. `bearer`: the token of the header.
  http::ServerResponse Call(const http::ServerRequest& request,
                            const std::string& action,
                            const Arguments& arguments,
                            const std::string& bearer);

  Json Credential() const override;
  http::ServerResponse Fail(int status) override;
  http::ServerResponse Refuse(const std::string& limit) override;
  simkit::Limits limits() const override;
  std::vector<simkit::DealTruth> Deals() const override;
  Result<simkit::DealTruth> FindDeal(const std::string& deal) const override;
  Result<simkit::DealTruth> CreateDeal(const Json& fields) override;
  Result<simkit::DealTruth> EditDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> MoveDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> DeleteDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> NotifyDeal(const std::string& deal, const Json& fields) override;
  Result<Json> CreateRequest(const Json& fields) override;
  Result<Json> Requests() const override;
  Result<Json> OwnControl(const std::string& method,
                          const std::string& path,
                          const Json& fields) override;
  Status SetOwnFault(const std::string& name, const Json& value) override;
  void ClearOwnFaults() override { own_faults_ = OwnFaults(); }
  void LiveOneChange() override;
  std::string LiveNewDeal() override;

 private:
  struct OwnFaults {
    // A new visit and its new client can't be read before; and the client so much later.
    int late_ms = 0;
    int late_client_ms = 0;
    // PHP writes a notice before every answer.
    bool php_notice = false;
    // Clients and employees may not be seen.
    bool hide_clients = false;
    bool hide_users = false;
    // Webhooks: " ," was pasted behind the template; it comes as it is; its sections are missing.
    bool leftover = false;
    bool unfilled = false;
    bool empty = false;
  };

  // ---- The API, with the mutex held
  http::ServerResponse Answer(const std::string& method,
                              const std::string& action,
                              const Arguments& arguments,
                              const std::string& body);
  http::ServerResponse GetAppointment(int64_t id);
  http::ServerResponse ListModel(const std::string& model, const Arguments& arguments);
  http::ServerResponse Export(const Arguments& arguments);
  http::ServerResponse Write(const std::string& model, const std::string& body);
  http::ServerResponse Rows(Json rows, const Arguments& arguments) const;
  Json Row(const Visit& visit, bool flatten) const;
  Json Row(const Client& client, bool flatten) const;
  Json Row(const Employee& employee) const;
  bool IsReadable(const Visit& visit, absl::Time now) const;
  // Those that are readable, in the order of lists.
  std::vector<const Visit*> Listed() const;

  // ---- Data
  int64_t NewId() { return next_id_ += 1 + static_cast<int64_t>(side_random().Below(7)); }
  Visit* Find(const std::string& id);
  const Visit* Find(const std::string& id) const;
  const Employee* FindEmployee(int64_t id) const;
  const Client* FindClient(int64_t id) const;
  simkit::DealTruth TruthOf(const Visit& visit) const;
  Json RequestOf(const Visit& visit) const;
  void MakeDirectories();
  Client& MakeClient();
  Visit MakeVisit(absl::Time now);
  void DrawLines(Visit& visit);
  void DrawChange(Visit& visit);
  // Applies the fields of the control interface; on failure the visit is half changed.
  Status Apply(const Json& fields, Visit& visit);
  Status ApplyField(const std::string& key, const Json& value, Visit& visit);
  Status ApplyClient(const Json& value, Visit& visit);
  Status ApplyServices(const Json& value, Visit& visit);
  const Visit& Keep(Visit visit);
  void Changed(Visit& visit);
  // The webhooks of the events.
  void TellCreated(const Visit& visit);
  void TellChanged(const Visit& visit);
  void Tell(const std::string& purpose, const std::string& text, const Json& context);

  const SimSettings settings_;
  const std::string origin_;
  const std::string user_id_;
  std::string token_;
  OwnFaults own_faults_;

  int64_t next_id_;
  std::vector<Employee> employees_;
  std::vector<Client> clients_;
  std::vector<Service> services_;
  std::map<int64_t, Visit> visits_;
};

}  // namespace dealstream::crm::klientiks::sim
