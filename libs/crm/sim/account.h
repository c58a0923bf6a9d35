#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/crm/sim/random.h"
#include "libs/crm/sim/rate_meter.h"
#include "libs/crm/sim/web.h"
#include "libs/crm/sim/webhooks.h"

namespace dealstream::crm::simkit {

// A deal as it stands at the CRM: what a test compares events with.
struct DealTruth {
  // The external_id of the adapter's events.
  std::string id;
  std::string title;
  // Name of the stage; empty: none.
  std::string stage;
  // OPEN, WON, LOST.
  std::string stage_kind = "OPEN";
  // Exact decimal text in units of the currency, "1234.50"; absent: the deal has none.
  std::optional<std::string> amount;
  // ISO 4217.
  std::string currency;
  absl::Time updated;
  // Deleted for good.
  bool gone = false;
  // The CRM's own, added to the JSON (see its README).
  Json more = Json::object();

  Json ToJson() const;
};

// What goes wrong on purpose. POST /_sim/faults sets them all anew.
struct Faults {
  // Of the API's answers: they come so much later...
  int latency_ms = 0;
  // ... with this status instead of their own (0: don't), by Account::Fail ...
  int status = 0;
  // ... or by a page of HTML (without `status`: 503) ...
  bool html = false;
  // ... not at all, until the faults are cleared ...
  bool hang = false;
  // ... or the body's second half missing, under a length that fits the first.
  bool cut = false;
  // Only requests whose kind begins so; empty: all.
  std::string kind;
  // How many more requests meet the faults above; negative: all, until cleared. Those that don't
  // meet them meet Account's other faults, if any.
  int64_t requests_left = -1;

  // Of webhooks: probabilities.
  double drop_webhooks = 0;
  double duplicate_webhooks = 0;
  // Each delivery waits a random time of up to a second.
  bool reorder = false;
  int delay_webhooks_ms = 0;

  // Whether an answer to a request of this kind is to go wrong.
  bool Meet(std::string_view request) const;
};

struct Counters {
  // By kind, refused ones included.
  std::map<std::string, int64_t> requests;
  std::map<std::string, int64_t> answers;
  // Breaches of the limits and of the protocol, by what it was ("rate", "parallel", "no_gzip").
  std::map<std::string, int64_t> violations;
  // Changes that life and the control interface made; each may give no webhook, one or several.
  int64_t events = 0;
  // Deliveries that are over: sent = acked + lost.
  int64_t webhooks_sent = 0;
  int64_t webhooks_attempts = 0;
  int64_t webhooks_acked = 0;
  int64_t webhooks_lost = 0;
  int64_t webhooks_dropped = 0;
  int64_t webhooks_pending = 0;
};

// What the CRM allows. `requests` 0: no rate limit; `parallel` 0: any number at once.
struct Limits {
  int requests = 0;
  absl::Duration window = absl::Seconds(1);
  int parallel = 0;
};

// An account of a simulated CRM: a CRM's simulator derives its own from this, with the deals it
// holds. One mutex guards all of an account, what the CRM adds included. Every virtual method is
// called with the mutex held, Credential and MoreStats too.
class Account {
 public:
  // `number` counts from 1. `name` is what tests call the account ("company3"), unique within the
  // simulator; `id` its id at the CRM. `seed`: of this simulator; each account draws its own life.
  Account(int number, std::string name, std::string id, uint64_t seed);
  virtual ~Account() = default;
  Account(const Account&) = delete;
  Account& operator=(const Account&) = delete;

  int number() const { return number_; }
  const std::string& name() const { return name_; }
  const std::string& id() const { return id_; }
  std::mutex& mutex() const { return mutex_; }

  // ---- For the CRM's API, whose handlers find the account and then call Pass

  // Everything that stands around a call of the API: counts the request under `kind`
  // ("deal.get"), asks Admit, plays the faults, calls `answer` with the mutex held and counts the
  // answer's status. The mutex is not held. An exception out of `answer` (wrong types in a body)
  // becomes Fail(400).
  http::ServerResponse Pass(const std::string& kind,
                            const std::function<http::ServerResponse()>& answer);

  // These want the mutex held.

  // Remembers a token that the CRM has just given, for those who look for leaks.
  void Issued(const std::string& token) { issued_.push_back(token); }
  // Counts a breach of the CRM's rules.
  void Violation(const std::string& what) { ++counters_.violations[what]; }
  // Sends, faults applied. `webhook.url` empty: nothing to do, nothing counted.
  void Send(Webhook webhook);
  // Where webhooks of this purpose go ("deals", "requests"); empty: nowhere.
  std::string WebhookUrl(const std::string& purpose = "deals") const;
  // Of the account's life and data. The same seed plays the same life, so nothing else may draw
  // from it.
  Random& random() { return random_; }
  // For all that isn't life: faults, ids of deliveries, tokens.
  Random& side_random() { return side_random_; }
  // Counts a change, see Counters::events. The kit counts none by itself.
  void Happened(int64_t changes = 1) { counters_.events += changes; }

  const Faults& faults() const { return faults_; }
  const Counters& counters() const { return counters_; }
  // Requests under way.
  int running() const { return running_; }

  // ---- What every CRM has to say

  // The fields for the vault by name, "base_url" among them where the adapter has it.
  virtual Json Credential() const = 0;
  // The CRM's own answer for a failure with this status (400, 401, 403, 404, 429, 500…), with the
  // headers it has then.
  virtual http::ServerResponse Fail(int status) = 0;

  // All deals, those gone included.
  virtual std::vector<DealTruth> Deals() const = 0;
  // NotFound: no such deal; InvalidArgument says what is wrong with the fields: then nothing has
  // changed. Each of these steps sends its webhooks itself. `fields` is an object without "account"
  // and "silent"; the common names "title", "stage", "amount" and "currency" mean what they say
  // where the CRM has such things and are ignored where not. What is absent is invented.
  virtual Result<DealTruth> FindDeal(const std::string& deal) const = 0;
  virtual Result<DealTruth> CreateDeal(const Json& fields) = 0;
  virtual Result<DealTruth> EditDeal(const std::string& deal, const Json& fields) = 0;
  // One step of a life of its own: something random changes. Draws from random() alone.
  virtual void LiveOneChange() = 0;
  // A new deal as life makes them; returns its id.
  virtual std::string LiveNewDeal() = 0;

  // ---- What a CRM may have. Without it: Unimplemented, which a test sees as 400 with a sentence

  // {"stage": name or id}; without it the next stage.
  virtual Result<DealTruth> MoveDeal(const std::string& deal, const Json& fields);
  // {"amount": units of the currency}; without it what is still to be paid or given back. See
  // TextOf.
  virtual Result<DealTruth> PayDeal(const std::string& deal, const Json& fields);
  virtual Result<DealTruth> RefundDeal(const std::string& deal, const Json& fields);
  virtual Result<DealTruth> DeleteDeal(const std::string& deal, const Json& fields);
  // A webhook though nothing has changed.
  virtual Result<DealTruth> NotifyDeal(const std::string& deal, const Json& fields);
  // POST /_sim/deals/<id>/<step> with a step that isn't one of those above.
  virtual Result<DealTruth> OwnDealStep(const std::string& step,
                                        const std::string& deal,
                                        const Json& fields);
  // Requests (bookings, leads from a site): {id, …} as the CRM's README says.
  virtual Result<Json> CreateRequest(const Json& fields);
  virtual Result<Json> Requests() const;
  // /_sim/<path> that the kit doesn't know, by any method: the CRM's own controls. `fields` is the
  // body, or the query's parameters as texts.
  virtual Result<Json> OwnControl(const std::string& method,
                                  const std::string& path,
                                  const Json& fields);

  // POST /_sim/webhook. By default keeps the URL of each purpose; no URL switches those there are
  // on or off.
  virtual Status SetWebhook(const std::string& purpose, const std::string& url, bool enabled);
  // A fault that isn't one of Faults. They begin anew with ClearOwnFaults.
  virtual Status SetOwnFault(const std::string& name, const Json& value);
  virtual void ClearOwnFaults() {}

  // The CRM's limits at this moment, for Admit.
  virtual Limits limits() const { return {}; }
  // The CRM's refusal over a limit ("rate", "parallel"); Fail(429) by default.
  virtual http::ServerResponse Refuse(const std::string& limit);
  // Nothing: the request may go on. By default limits() by a RateMeter, with violations "rate" and
  // "parallel". Override it where the CRM counts otherwise.
  virtual std::optional<http::ServerResponse> Admit(absl::Time now);
  // Added to the account's statistics.
  virtual Json MoreStats() const { return Json::object(); }

 protected:
  // How long until limits() let the next request through, for Retry-After.
  absl::Duration WaitForLimit(absl::Time now) const;

 private:
  friend class Control;
  friend class Webhooks;
  friend class KitSimulator;

  // The kit's simulator, before the first request. Without it nothing is sent.
  void Attach(Webhooks& webhooks, const std::atomic<bool>& stopping);
  http::ServerResponse PassLocked(std::unique_lock<std::mutex>& lock,
                                  const std::string& kind,
                                  const std::function<http::ServerResponse()>& answer);
  // Latency, hang; returns what is answered instead, if anything. `cut`: see Faults.
  std::optional<http::ServerResponse> PlayFaults(std::unique_lock<std::mutex>& lock,
                                                 const std::string& kind,
                                                 bool& cut);
  // For delivery when the faults say.
  void Enqueue(Webhook webhook);
  // Without the lock, until `done` or the simulator stops.
  void SleepUntil(std::unique_lock<std::mutex>& lock, const std::function<bool()>& done) const;

  const int number_;
  const std::string name_;
  const std::string id_;
  mutable std::mutex mutex_;
  Random random_;
  Random side_random_;
  Faults faults_;
  // Of answers: what requests meet that don't meet faults_.
  Faults other_faults_;
  Counters counters_;
  std::vector<std::string> issued_;
  RateMeter meter_;
  int running_ = 0;
  // A step that is to send nothing is under way.
  bool silent_ = false;
  std::map<std::string, std::string> webhook_urls_;
  bool webhooks_enabled_ = true;
  Webhooks* webhooks_ = nullptr;
  const std::atomic<bool>* stopping_ = nullptr;
};

}  // namespace dealstream::crm::simkit
