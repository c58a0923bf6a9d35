#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "libs/crm/sim/account.h"
#include "libs/crm/sim/crm.h"
#include "libs/http/server.h"

namespace dealstream::crm::simkit {

// The control interface under /_sim/: see README.md. Thread-safe.
class Control {
 public:
  // The accounts and everything else outlive this object; `accounts` doesn't change any more when
  // the first request comes.
  Control(Crm& crm,
          const std::vector<std::unique_ptr<Account>>& accounts,
          std::atomic<double>& changes_per_second)
      : crm_(crm), accounts_(accounts), changes_per_second_(changes_per_second) {}

  http::ServerResponse Handle(const http::ServerRequest& request);
  // GET /_sim/accounts.
  Json Accounts() const;

 private:
  // What a request says: the body's fields, or the query's when there is no body.
  struct Call {
    std::string method;
    // Below /_sim/, decoded.
    std::vector<std::string> path;
    // Without "account" and "silent".
    Json fields;
    // Those meant by "account"; all when it was absent.
    std::vector<Account*> accounts;
    bool silent = false;
  };

  Result<Call> Read(const http::ServerRequest& request) const;
  Result<Json> Route(const Call& call);
  Result<Json> Webhook(const Call& call);
  Result<Json> Faulty(const Call& call);
  Result<Json> Stats(const Call& call) const;
  static Json Issued(const Call& call);
  Result<Json> Set(const Call& call);
  Result<Json> Life(const Call& call);
  Result<Json> Burst(const Call& call);
  Result<Json> Deals(const Call& call);
  Result<Json> OneDeal(const Call& call);
  Result<Json> Requests(const Call& call);
  Result<Json> Own(const Call& call);
  // With the account's mutex held.
  static Result<DealTruth> Act(Account& account, const Call& call);

  Crm& crm_;
  const std::vector<std::unique_ptr<Account>>& accounts_;
  std::atomic<double>& changes_per_second_;
};

}  // namespace dealstream::crm::simkit
