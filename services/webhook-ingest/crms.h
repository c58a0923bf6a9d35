#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/api/adapter.h"
#include "libs/crm/api/registry.h"
#include "libs/obs/metrics.h"

namespace dealstream::ingest {

// How a webhook with a known token ended, when not stored and accepted. `kReasons` has the names.
enum class Refusal {
  kInactive,       // Answered as accepted, not stored: the integration is switched off.
  kTooLarge,       // 413
  kSlow,           // 408
  kBadRequest,     // 400 in the midst of a body.
  kAborted,        // The sender went away before its request was whole.
  kBusy,           // 503: too many are under way, or no memory for bodies.
  kQueueFull,      // 503: the producer's queue is full.
  kBrokerAway,     // 503: no delivery report within the CRM's patience.
  kBrokerRefused,  // 503: the broker (or the client for it) refused the record.
  kOvertook,       // 503: stored, but it passed by a refused one of its CRM account.
  kUnknownCrm,     // 503: this build has no adapter of that name.
};
inline constexpr std::array<std::string_view, 11> kRefusalNames = {
    "inactive",
    "too_large",
    "slow",
    "bad_request",
    "aborted",
    "busy",
    "queue_full",
    "broker_away",
    "broker_refused",
    "overtook",
    "unknown_crm",
};

// What the door must know of a CRM. Immutable but for the metrics.
struct Crm {
  std::string id;
  std::string topic;
  crm::NoticeReply reply;
  // 503 is answered when there is no delivery report by then.
  absl::Duration answer_within;
  // Lower case.
  std::vector<std::string_view> kept_headers;

  prometheus::Counter* received = nullptr;
  prometheus::Counter* accepted = nullptr;
  prometheus::Histogram* ack_seconds = nullptr;
  std::array<prometheus::Counter*, kRefusalNames.size()> refused{};
};

// The CRMs of this build, numbered. The last number stands for integrations of a CRM that this
// build doesn't know (the cabinet may be newer).
class Crms {
 public:
  // The registry outlives this.
  Crms(const crm::Registry& registry, absl::Duration answer_margin, obs::Metrics& metrics);

  uint32_t IndexOf(std::string_view id) const;
  bool IsKnown(uint32_t index) const { return index + 1 < crms_.size(); }
  const Crm& at(uint32_t index) const { return crms_[index]; }
  size_t size() const { return crms_.size(); }
  // The longest time any CRM is let wait.
  absl::Duration LongestAnswer() const;

 private:
  std::vector<Crm> crms_;
};

}  // namespace dealstream::ingest
