#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/alfacrm/sim/data.h"
#include "libs/crm/sim/account.h"
#include "libs/crm/sim/settings.h"

namespace dealstream::crm::alfacrm::sim {

// What tests may set; see README.md.
struct SimSettings {
  const simkit::Setting& requests_per_second;
  const simkit::Setting& token_lifetime;
  const simkit::Setting& merged_stages;
  const simkit::Setting& old_rows;
  const simkit::Setting& old_webhooks;
  const simkit::Setting& whole_default_scope;
};

// One school's account: its cards, payments and log, its tokens, its API.
class School final : public simkit::Account {
 public:
  School(int number, uint64_t seed, std::string origin, int deals, const SimSettings& settings);

  const std::string& email() const { return email_; }

  // POST /v2api/auth/login.
  http::ServerResponse Login(const http::ServerRequest& request);
  // Everything else below /v2api.
  http::ServerResponse Call(const http::ServerRequest& request, const std::string& token);

  Json Credential() const override;
  http::ServerResponse Fail(int status) override;
  std::optional<http::ServerResponse> Admit(absl::Time now) override;
  std::vector<simkit::DealTruth> Deals() const override;
  Result<simkit::DealTruth> FindDeal(const std::string& deal) const override;
  Result<simkit::DealTruth> CreateDeal(const Json& fields) override;
  Result<simkit::DealTruth> EditDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> MoveDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> PayDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> RefundDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> DeleteDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> NotifyDeal(const std::string& deal, const Json& fields) override;
  Result<simkit::DealTruth> OwnDealStep(const std::string& step,
                                        const std::string& deal,
                                        const Json& fields) override;
  Result<Json> OwnControl(const std::string& method,
                          const std::string& path,
                          const Json& fields) override;
  Status SetOwnFault(const std::string& name, const Json& value) override;
  void ClearOwnFaults() override { own_faults_ = OwnFaults(); }
  void LiveOneChange() override;
  std::string LiveNewDeal() override;

 private:
  struct OwnFaults {
    // The role lost the API: 403.
    bool no_api = false;
    // Logs and directories may not be read.
    bool no_log = false;
    bool no_directories = false;
    // Rows are as they were before a change, for so long after it.
    int stale_ms = 0;
  };
  // A row and what it was before the last change (null: nothing).
  template <typename T>
  struct Kept {
    T now;
    std::unique_ptr<T> before;
    absl::Time touched;
  };

  // ---- The API (api.cc), with the mutex held
  http::ServerResponse Answer(const http::ServerRequest& request);
  http::ServerResponse Index(int64_t branch, const std::string& entity, const Json& filter);
  Json Customers(int64_t branch, const Json& filter) const;
  Json Pays(int64_t branch, const Json& filter) const;
  Json LogRows(int64_t branch, const Json& filter) const;
  // The branch whose rows a path shows; 0: those of all.
  int64_t ScopeOf(int64_t branch) const;
  Json CustomerRow(const Customer& customer) const;
  Json PayRow(const Pay& pay) const;
  template <typename T>
  const T* Visible(const Kept<T>& kept) const;

  // ---- Data (school.cc, truth.cc, steps.cc, life.cc)
  absl::Time Now() const;
  void MakeFirstDeals(int deals);
  Customer& NewCustomer();
  Pay& NewPay(const Customer& customer, int64_t type, Kopecks sum);
  Kept<Customer>* FindCustomer(const std::string& deal);
  Kept<Pay>* FindPay(const std::string& deal);
  // Remembers the row as it is, then lets `change` have it; logs and tells what has changed.
  void ChangeCustomer(Kept<Customer>& kept, const std::function<void(Customer&)>& change);
  void ChangePay(Kept<Pay>& kept, const std::function<void(Pay&)>& change);
  // Payments and turns of one customer never share a second in which their order would be lost.
  void Turn(Customer& customer, bool client) const;
  Status Apply(const Json& fields, Customer& customer);
  Status Apply(const Json& fields, Pay& pay);
  // Of new ones.
  void Announce(const Customer& customer);
  void Announce(const Pay& pay);
  // The entity, its id, when it changed, and the branches whose log shows it.
  void Log(LogEntry entry, Json before, Json after);
  void Log(const Customer& customer, int event, Json before, Json after, absl::Time at);
  void Log(const Pay& pay, int event, Json before, Json after, absl::Time at);
  void Tell(const Customer& customer,
            const std::string& event,
            const Json& before,
            const Json& after);
  void Tell(const Pay& pay, const std::string& event, const Json& before, const Json& after);
  void SendWebhook(int64_t branch,
                   const std::string& entity,
                   int64_t id,
                   const std::string& event,
                   const Json& before,
                   const Json& after);
  bool WasClientAt(const Customer& customer, absl::Time at) const;
  bool IsUpsell(const Pay& pay) const;
  simkit::DealTruth TruthOf(const Customer& customer) const;
  simkit::DealTruth TruthOf(const Pay& pay) const;
  std::vector<int64_t> LiveIds(bool clients, bool leads) const;

  const SimSettings& settings_;
  const std::string origin_;
  const std::string email_;
  std::string key_;
  OwnFaults own_faults_;
  // Token to its end.
  std::map<std::string, absl::Time> tokens_;
  int64_t logins_ = 0;
  // Requests that may come at once, as of then.
  double bucket_ = 0;
  absl::Time bucket_at_ = absl::InfinitePast();
  // Of the school's clock before ours.
  absl::Duration ahead_;

  std::map<int64_t, Kept<Customer>> customers_;
  std::map<int64_t, Kept<Pay>> pays_;
  // By customer.
  std::map<int64_t, absl::Time> last_pays_;
  std::vector<LogEntry> log_;
  int64_t next_customer_;
  int64_t next_pay_;
};

// Of a deal's id, after its prefix ("lead:"); 0 when it is none of those.
int64_t IdOf(const std::string& deal, std::string_view prefix);
Status NoSuchDeal(const std::string& deal);

// Whether a type of payments counts, and a payment's sum with its sign, as a deal counts it.
bool Counts(int64_t type);
std::optional<Kopecks> ValueOf(const Pay& pay);

// The directories of every school.
const std::vector<Named>& Directory(std::string_view entity);
std::string NameIn(std::string_view entity, int64_t id);
// By number or name; 0: there is none.
int64_t FindIn(std::string_view entity, const std::string& id_or_name);

// "2025-09-29 18:05:44" and "2025-09-29" in Moscow.
std::string WallTime(absl::Time time);
std::string Day(absl::Time time);
// "6400.00".
std::string Units(Kopecks kopecks);

// Fields of a row as the log and webhooks name them.
Json FieldsOf(const Customer& customer);
Json FieldsOf(const Pay& pay, bool old_shape);

}  // namespace dealstream::crm::alfacrm::sim
