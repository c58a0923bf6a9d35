#include "services/crm-reader/metrics.h"

#include <algorithm>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

namespace dealstream::reader {
namespace {

// Why something ended or waits; sorted.
constexpr std::string_view kReasons[] = {
    "already_read",
    "answer_too_large",
    "api_version_gone",
    "busy",
    "cannot_list",
    "changed_while_reading",
    "circuit_open",
    "credential_missing",
    "credential_refused",
    "crm_unavailable",
    "data_loss",
    "empty_body",
    "empty_template",
    "failed_precondition",
    "folded",
    "forbidden",
    "gave_up",
    "host_not_allowed",
    "html_answer",
    "inactive",
    "internal",
    "invalid_argument",
    "malformed_json",
    "no_events",
    "no_json",
    "no_json_answer",
    "no_objects",
    "not_found",
    "not_there_yet",
    "other_entity",
    "other_purpose",
    "out_of_range",
    "page",
    "page_unfinished",
    "pass_running",
    "permission_denied",
    "rate_limited",
    "read",
    "rebalanced",
    "record_too_large",
    "refused",
    "retries_exhausted",
    "same_delivery",
    "same_page",
    "slow",
    "stock_report",
    "superseded",
    "timeout",
    "unauthenticated",
    "unexpected_not_found",
    "unfilled_template",
    "unimplemented",
    "unknown_entity",
    "unknown_integration",
    "unknown_path",
    "unreadable",
    "vault_unavailable",
    "wrong_address",
    "wrong_shape",
};

}  // namespace

std::string_view ReasonLabel(std::string_view reason) {
  const auto* found = std::lower_bound(std::begin(kReasons), std::end(kReasons), reason);
  return found != std::end(kReasons) && *found == reason ? *found : "other";
}

ReaderMetrics::ReaderMetrics(obs::Metrics& metrics, std::string_view crm)
    : metrics_(metrics), crm_(crm) {
  // Rates must see the first event.
  for (std::string_view kind : {"notice", "tick", "object", "retry"}) {
    Counter("events_in_total", {{"crm", crm_}, {"kind", kind}});
  }
  Counter("events_done_total", {{"crm", crm_}, {"outcome", "emitted"}, {"reason", "read"}});
  Counter("events_done_total", {{"crm", crm_}, {"outcome", "emitted"}, {"reason", "page"}});
  Counter("events_done_total", {{"crm", crm_}, {"outcome", "repeat"}, {"reason", "folded"}});
  Counter("events_done_total", {{"crm", crm_}, {"outcome", "repeat"}, {"reason", "same_delivery"}});
  Counter("events_done_total", {{"crm", crm_}, {"outcome", "ignored"}, {"reason", "inactive"}});
  Counter("events_done_total", {{"crm", crm_}, {"outcome", "dead"}, {"reason", "unreadable"}});
  Gauge("events_in_progress", {{"crm", crm_}});
  for (std::string_view reason : {"rate_limited", "crm_unavailable", "circuit_open", "slow"}) {
    Gauge("events_parked", {{"crm", crm_}, {"reason", reason}});
  }
  Counter("crm_rate_limited_total", {{"crm", crm_}});
  Counter("crm_coalesced_total", {{"crm", crm_}});
  Counter("crm_auth_failures_total", {{"crm", crm_}});
  Gauge("crm_circuit_open", {{"crm", crm_}});
  for (std::string_view stage : {"decode", "read", "list"}) {
    Counter("dead_letters_total", {{"crm", crm_}, {"stage", stage}, {"reason", "other"}});
  }
  for (std::string_view outcome : {"done", "failed", "skipped"}) {
    Counter("polls_total", {{"crm", crm_}, {"outcome", outcome}});
  }
  Gauge("queue_depth", {{"queue", "lanes"}});
}

prometheus::Counter& ReaderMetrics::Counter(std::string_view name,
                                            std::initializer_list<obs::Label> labels) {
  std::string key(name);
  for (const obs::Label& label : labels) {
    key += '\x1f';
    key += label.second;
  }
  std::lock_guard lock(mutex_);
  auto [at, is_new] = counters_.try_emplace(std::move(key), nullptr);
  if (is_new) {
    at->second = &metrics_.GetCounter(name, labels);
  }
  return *at->second;
}

prometheus::Gauge& ReaderMetrics::Gauge(std::string_view name,
                                        std::initializer_list<obs::Label> labels) {
  std::string key(name);
  for (const obs::Label& label : labels) {
    key += '\x1f';
    key += label.second;
  }
  std::lock_guard lock(mutex_);
  auto [at, is_new] = gauges_.try_emplace(std::move(key), nullptr);
  if (is_new) {
    at->second = &metrics_.GetGauge(name, labels);
  }
  return *at->second;
}

void ReaderMetrics::In(std::string_view kind) {
  Counter("events_in_total", {{"crm", crm_}, {"kind", kind}}).Increment();
}

void ReaderMetrics::Done(std::string_view outcome, std::string_view reason, int64_t count) {
  Counter("events_done_total",
          {{"crm", crm_}, {"outcome", outcome}, {"reason", ReasonLabel(reason)}})
      .Increment(static_cast<double>(count));
}

void ReaderMetrics::InProgress(int64_t by) {
  Gauge("events_in_progress", {{"crm", crm_}}).Increment(static_cast<double>(by));
}

void ReaderMetrics::Parked(std::string_view reason, int64_t by) {
  Gauge("events_parked", {{"crm", crm_}, {"reason", ReasonLabel(reason)}})
      .Increment(static_cast<double>(by));
}

void ReaderMetrics::Request(std::string_view operation,
                            std::string_view outcome,
                            absl::Duration took) {
  Counter("crm_requests_total", {{"crm", crm_}, {"operation", operation}, {"outcome", outcome}})
      .Increment();
  metrics_.GetHistogram("crm_request_seconds", {{"crm", crm_}, {"operation", operation}})
      .Observe(absl::ToDoubleSeconds(took));
}

void ReaderMetrics::RateLimited() {
  Counter("crm_rate_limited_total", {{"crm", crm_}}).Increment();
}

void ReaderMetrics::Coalesced() { Counter("crm_coalesced_total", {{"crm", crm_}}).Increment(); }

void ReaderMetrics::AuthFailure() {
  Counter("crm_auth_failures_total", {{"crm", crm_}}).Increment();
}

void ReaderMetrics::CircuitsOpen(int64_t accounts) {
  Gauge("crm_circuit_open", {{"crm", crm_}}).Set(static_cast<double>(accounts));
}

void ReaderMetrics::DeadLetter(std::string_view stage, std::string_view reason) {
  Counter("dead_letters_total", {{"crm", crm_}, {"stage", stage}, {"reason", ReasonLabel(reason)}})
      .Increment();
}

void ReaderMetrics::PollEnded(std::string_view outcome) {
  Counter("polls_total", {{"crm", crm_}, {"outcome", outcome}}).Increment();
}

void ReaderMetrics::PollSucceeded(absl::Time at) {
  Gauge("poll_last_success_timestamp_seconds", {{"crm", crm_}})
      .Set(absl::ToDoubleSeconds(at - absl::UnixEpoch()));
}

void ReaderMetrics::Queue(int64_t depth) {
  Gauge("queue_depth", {{"queue", "lanes"}}).Set(static_cast<double>(depth));
}

void ReaderMetrics::Waited(absl::Duration in_queue) {
  metrics_.GetHistogram("queue_wait_seconds", {{"queue", "lanes"}})
      .Observe(absl::ToDoubleSeconds(in_queue));
}

void ReaderMetrics::Event(absl::Time at) {
  Gauge("last_event_timestamp_seconds", {{"crm", crm_}})
      .Set(absl::ToDoubleSeconds(at - absl::UnixEpoch()));
}

}  // namespace dealstream::reader
