#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/crm/moysklad/sim/customer.h"
#include "libs/http/transport.h"

namespace dealstream::crm::moysklad::sim {

// Delivers webhooks as MoySklad does: 1500 ms for an answer of 200 or 204, three more attempts at
// once with the same requestId, then never again. Several threads deliver, so one slow receiver
// doesn't hold up the others. Thread-safe.
class Webhooks {
 public:
  // `transport` outlives this object.
  Webhooks(http::Transport& transport, std::string base_url, int threads);
  // What is not delivered yet is lost.
  ~Webhooks();
  Webhooks(const Webhooks&) = delete;
  Webhooks& operator=(const Webhooks&) = delete;

  // Makes deliveries for whoever subscribed to these changes. The customer's mutex is held. URLs
  // that begin with one of `muted` get nothing (X-Lognex-WebHook-DisableByPrefix).
  void Notify(Customer& customer,
              const std::vector<Change>& changes,
              const std::vector<std::string>& muted = {});

 private:
  struct Delivery {
    absl::Time due;
    uint64_t number = 0;
    Customer* customer = nullptr;
    std::string url;
    std::string body;
  };
  struct Later {
    bool operator()(const Delivery& a, const Delivery& b) const {
      return a.due != b.due ? a.due > b.due : a.number > b.number;
    }
  };

  void Enqueue(Customer& customer, const std::string& url, std::string body);
  void Run();
  void Deliver(const Delivery& delivery);

  http::Transport& transport_;
  const std::string base_url_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::priority_queue<Delivery, std::vector<Delivery>, Later> queue_;
  uint64_t next_number_ = 0;
  std::atomic<bool> stopping_ = false;
  // Last: they stop first.
  std::vector<std::thread> threads_;
};

}  // namespace dealstream::crm::moysklad::sim
