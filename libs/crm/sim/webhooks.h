#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"

#include "libs/http/transport.h"

namespace dealstream::crm::simkit {

class Account;

// A request that the CRM makes.
struct Webhook {
  std::string method = "POST";
  std::string url;
  http::Headers headers;
  std::string body;
};

// How a CRM delivers.
struct WebhookPolicy {
  // How long it waits for an answer.
  absl::Duration patience = absl::Seconds(5);
  // Attempts in all, `pause` between them; the same request each time.
  int attempts = 1;
  absl::Duration pause = absl::ZeroDuration();
  // What it takes for received. Empty: any 2xx.
  std::vector<int> accepted;
  // An account's webhooks come one after another, in the order of their sending (but for the faults
  // that delay them). false: several at once.
  bool ordered = true;
  int threads = 8;
};

// Delivers webhooks by several threads, so that one slow receiver doesn't hold up the others.
// Thread-safe. CRMs use it through Account::Send.
class Webhooks {
 public:
  // `transport` and every account that sends outlive this object.
  Webhooks(http::Transport& transport, WebhookPolicy policy);
  // What is not delivered yet is lost.
  ~Webhooks();
  Webhooks(const Webhooks&) = delete;
  Webhooks& operator=(const Webhooks&) = delete;

  // Delivers at `due` or a little later. False: too many wait, and this one is lost. The account's
  // mutex is held; what became of it is counted in the account's counters.
  bool Push(Account& account, Webhook webhook, absl::Time due);

 private:
  struct Delivery {
    absl::Time due;
    uint64_t number = 0;
    Account* account = nullptr;
    Webhook webhook;
  };
  struct Later {
    bool operator()(const Delivery& a, const Delivery& b) const {
      return a.due != b.due ? a.due > b.due : a.number > b.number;
    }
  };

  void Run();
  void Deliver(const Delivery& delivery);
  bool Accepts(int status) const;
  // False when stopped meanwhile.
  bool Pause();
  // With mutex_ held: after an account's delivery its next one may go.
  void Release(const Account* account);

  http::Transport& transport_;
  const WebhookPolicy policy_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::priority_queue<Delivery, std::vector<Delivery>, Later> queue_;
  // Accounts with a delivery under way, and those that are due after it. Ordered ones only.
  std::map<const Account*, std::deque<Delivery>> busy_;
  size_t size_ = 0;
  uint64_t next_number_ = 0;
  std::atomic<bool> stopping_ = false;
  // Last: they stop first.
  std::vector<std::thread> threads_;
};

}  // namespace dealstream::crm::simkit
