#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "libs/crm/moysklad/sim/account.h"
#include "libs/crm/moysklad/sim/limits.h"
#include "libs/crm/moysklad/sim/settings.h"
#include "libs/crm/sim/account.h"

namespace dealstream::crm::moysklad::sim {

// An answer before it is packed.
struct Answer {
  int status = 200;
  // Null: no body.
  Json body;
};

Answer RefuseCall(int status, int code, const std::string& text, const std::string& parameter = {});
// Every answer with a body is packed.
http::ServerResponse Pack(const Answer& answer, http::Headers headers);

// A customer's account: what it holds, what the API keeps about its user, what scenarios do to it.
class Customer final : public simkit::Account {
 public:
  // `settings` outlive this object. `base_url`: "http://127.0.0.1:8085/api/remap/1.2".
  Customer(
      int number, uint64_t seed, int orders, std::string base_url, const SimSettings& settings);

  // These don't change and are read without the mutex.
  const std::string& login() const { return login_; }
  const std::string& password() const { return password_; }

  // The rest is guarded by the mutex.

  AccountData& data() { return data_; }
  const SimSettings& settings() const { return settings_; }
  const std::string& base_url() const { return base_url_; }
  // The last one that POST /security/token minted counts; it revokes the former one.
  const std::string& token() const { return token_; }
  const std::string& MintToken();
  // X-RateLimit-… and X-Lognex-… of an answer to a request that was let through.
  http::Headers RateHeaders() const;
  // The order as it was at the snapshot, while the fault `stale` is on.
  const Order& AsRead(const Order& order) const;
  // Sends webhooks to whoever subscribed to these changes. URLs that begin with one of `muted` get
  // nothing (X-Lognex-WebHook-DisableByPrefix).
  void Notify(const std::vector<Change>& changes, const std::vector<std::string>& muted = {});

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
  // trash, restore.
  Result<simkit::DealTruth> OwnDealStep(const std::string& step,
                                        const std::string& deal,
                                        const Json& fields) override;
  // counterparties/<id>, snapshot.
  Result<Json> OwnControl(const std::string& method,
                          const std::string& path,
                          const Json& fields) override;
  Status SetWebhook(const std::string& purpose, const std::string& url, bool enabled) override;
  Status SetOwnFault(const std::string& name, const Json& value) override;
  // Switches the user on again, too.
  void ClearOwnFaults() override;
  void LiveOneChange() override;
  std::string LiveNewDeal() override;
  Json MoreStats() const override;

 private:
  // The order, or NotFound.
  Result<Order*> Find(const std::string& deal);
  http::ServerResponse Refusal(int code, http::Headers headers);
  // Pays so much more, or less.
  Result<simkit::DealTruth> Pay(Order& order, Amount amount);
  Result<Json> EditCounterparty(const std::string& id, const Json& fields);

  const std::string login_;
  const std::string password_;
  const std::string base_url_;
  const SimSettings& settings_;
  AccountData data_;
  Basket basket_;
  // The API is switched off for the user, after too many refusals.
  bool blocked_ = false;
  std::string token_;
  // By id.
  std::unordered_map<std::string, Order> snapshot_;
  // Faults: orders are read one by one as they were at the last snapshot, which is what a replica
  // behind does; events of several actions and types share a body.
  bool stale_ = false;
  bool mix_webhooks_ = false;
};

}  // namespace dealstream::crm::moysklad::sim
