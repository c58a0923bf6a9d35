#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/megaplan/sim/data.h"
#include "libs/crm/sim/account.h"
#include "libs/crm/sim/settings.h"

namespace dealstream::crm::megaplan::sim {

// The CRM keeps seconds.
absl::Time Now();

// What tests may set; see README.md.
struct SimSettings {
  const simkit::Setting& requests_per_second;
  const simkit::Setting& parallel;
  const simkit::Setting& token_lifetime;
  const simkit::Setting& refresh;
  const simkit::Setting& refused_refresh_status;
  const simkit::Setting& gone_place_status;
  const simkit::Setting& page_rows;
};

// One account: its deals and directories, its tokens, its API.
class MegaplanAccount final : public simkit::Account {
 public:
  MegaplanAccount(
      int number, uint64_t seed, std::string origin, int deals, const SimSettings& settings);

  const std::string& username() const { return username_; }

  // POST /api/v3/auth/access_token; `form`: its fields.
  http::ServerResponse Login(const simkit::Parameters& form);
  // Everything else below /api/v3, with the token of its Authorization.
  http::ServerResponse Call(const http::ServerRequest& request, const std::string& token);

  Json Credential() const override;
  http::ServerResponse Fail(int status) override;
  http::ServerResponse Refuse(const std::string& limit) override;
  simkit::Limits limits() const override;
  std::vector<simkit::DealTruth> Deals() const override;
  Result<simkit::DealTruth> FindDeal(const std::string& deal) const override;
  Result<simkit::DealTruth> CreateDeal(const Json& fields) override;
  Result<simkit::DealTruth> EditDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> MoveDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> PayDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> RefundDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> DeleteDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> NotifyDeal(const std::string& deal, const Json& fields) override;
  Result<Json> OwnControl(const std::string& method,
                          const std::string& path,
                          const Json& fields) override;
  Status SetOwnFault(const std::string& name, const Json& value) override;
  void ClearOwnFaults() override { own_faults_ = OwnFaults(); }
  void LiveOneChange() override;
  std::string LiveNewDeal() override;

 private:
  friend class View;

  struct OwnFaults {
    // Refusals come with HTTP's status 200 and say what they are in meta.status only.
    bool within_200 = false;
    // Deals are read with links in place of all entities.
    bool links_only = false;
    // Clients may not be seen.
    bool hide_clients = false;
    // A deleted deal can still be read for so long.
    int late_drop_ms = 0;
    // Webhooks are those of a scenario.
    bool scenario = false;
  };
  struct Token {
    absl::Time expires;
  };

  // ---- The API, with the mutex held
  http::ServerResponse Answer(const http::ServerRequest& request,
                              const std::vector<std::string>& path);
  http::ServerResponse Entity(const std::vector<std::string>& path);
  http::ServerResponse OneDeal(const std::string& method, const std::string& id);
  http::ServerResponse ListDeals(const Json& query);
  http::ServerResponse Refused(int status,
                               const std::string& message,
                               const std::string& field = "");
  http::ServerResponse NewTokens();
  http::ServerResponse RefuseRefresh();

  // ---- Data
  std::string NewId() { return std::to_string(next_id_++); }
  Deal* Find(const std::string& id);
  const Deal* Find(const std::string& id) const;
  const Employee* FindEmployee(const std::string& id) const;
  const Client* FindClient(const std::string& id) const;
  simkit::DealTruth TruthOf(const Deal& deal) const;
  void MakeDirectories();
  std::string MakeClient(bool is_company);
  Deal& MakeDeal(absl::Time now);
  // Draws a new sum, in positions or without.
  void DrawSum(Deal& deal);
  void DrawCustomField(Deal& deal);
  void DrawMove(Deal& deal, absl::Time now);
  void DrawDetail(Deal& deal);
  // Applies the fields of the control interface to a deal; on failure the deal is half changed.
  Status Apply(const Json& fields, Deal& deal, absl::Time now);
  Status ApplySum(const std::string& key, const Json& value, Deal& deal);
  Status ApplyClient(const Json& value, bool is_contractor, Deal& deal);
  Status ApplyPlace(const std::string& key, const std::string& value, Deal& deal, absl::Time now);
  Status ApplyPositions(const Json& value, Deal& deal);
  void Changed(Deal& deal, absl::Time now);
  void Tell(const Deal& deal, const std::string& event);

  const SimSettings settings_;
  const std::string origin_;
  const std::string username_;
  const std::string password_;
  OwnFaults own_faults_;
  std::map<std::string, Token> tokens_;
  std::string refresh_token_;
  int64_t logins_ = 0;
  int64_t refreshes_ = 0;

  int64_t next_id_;
  std::vector<Employee> employees_;
  std::vector<Client> clients_;
  std::vector<Program> programs_;
  std::vector<Currency> currencies_;
  std::map<std::string, Deal> deals_;
};

}  // namespace dealstream::crm::megaplan::sim
