#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "libs/crm/moysklad/sim/account.h"
#include "libs/crm/moysklad/sim/limits.h"

namespace dealstream::crm::moysklad::sim {

// What goes wrong on purpose, ordered through the control interface.
struct Faults {
  // Of the API's answers.
  int latency_ms = 0;
  // Answer with this status instead; 0: don't.
  int status = 0;
  // The body of `status` is a page of HTML instead of JSON.
  bool html = false;
  // Say nothing until the fault is cleared.
  bool hang = false;
  // Send half of the packed body, under a length that fits it.
  bool cut = false;
  // Orders are read one by one as they were at the last snapshot: what a replica behind does.
  bool stale = false;
  // How many more requests meet the faults above; negative: all, until cleared.
  int64_t requests_left = -1;

  // Of webhooks: probabilities.
  double drop_webhooks = 0;
  double duplicate_webhooks = 0;
  // Each delivery waits a random time of up to a second.
  bool reorder_webhooks = false;
  int delay_webhooks_ms = 0;
  // Events of several actions and types share a body.
  bool mix_webhooks = false;
};

struct Counters {
  // By kind ("customerorder.get"), refused ones included.
  std::map<std::string, int64_t> requests;
  std::map<std::string, int64_t> answers;
  // Breaches of the limits and of the protocol, by what it was ("rate", "parallel", "no_gzip").
  std::map<std::string, int64_t> violations;
  int64_t events = 0;
  int64_t webhooks_sent = 0;
  int64_t webhooks_attempts = 0;
  int64_t webhooks_acked = 0;
  int64_t webhooks_lost = 0;
  int64_t webhooks_dropped = 0;
  int64_t webhooks_pending = 0;
};

// An account with what the API keeps about its user. All of it is guarded by `account.mutex`.
struct Customer {
  Customer(int number, uint64_t seed, int orders, absl::Time now)
      : account(number, seed, orders, now), rng(seed + static_cast<uint64_t>(number) * 7919) {}

  Account account;
  Faults faults;
  Counters counters;
  // By id; see Faults::stale.
  std::unordered_map<std::string, Order> snapshot;
  Basket basket;
  int running = 0;
  // The API is switched off for the user, after too many refusals.
  bool blocked = false;
  // Minted by POST /security/token; the last one counts.
  std::string token;
  // For faults, so that they don't change the life.
  Random rng;
};

}  // namespace dealstream::crm::moysklad::sim
