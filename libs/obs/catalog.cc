#include "libs/obs/catalog.h"

#include <fmt/format.h>

namespace dealstream::obs {
namespace {

using enum MetricType;

std::string_view TypeName(MetricType type) {
  switch (type) {
    case kCounter:
      return "counter";
    case kGauge:
      return "gauge";
    case kHistogram:
      return "histogram";
  }
  return "";
}

// NOLINTNEXTLINE(readability-function-size): one flat table
std::vector<MetricSpec> MakeCatalog() {
  return {
      // ---- All services ----------------------------------------------------------------------
      {"build_info", kGauge, "Always 1; the labels say what runs.", {{"version"}, {"revision"}}},
      {"start_time_seconds", kGauge, "When the process started, Unix time."},
      {"ready", kGauge, "1 while the condition of readiness holds.", {{"condition"}}},
      {"log_messages_total",
       kCounter,
       "Log lines asked for, written or folded.",
       {{"level", {"debug", "info", "warn", "error"}}}},
      {"queue_depth", kGauge, "Items that wait in a bounded queue.", {{"queue"}}},
      {"queue_wait_seconds",
       kHistogram,
       "How long an item waited in a bounded queue.",
       {{"queue"}},
       Buckets::kDelay},

      // ---- HTTP in ---------------------------------------------------------------------------
      {"http_requests_total",
       kCounter,
       "Requests answered.",
       {{"route"}, {"method"}, {"code", {"1xx", "2xx", "3xx", "4xx", "5xx"}}}},
      {"http_request_duration_seconds",
       kHistogram,
       "From the head of a request to its answer.",
       {{"route"}},
       Buckets::kRequest},
      {"http_requests_in_flight", kGauge, "Requests not answered yet."},
      {"http_connections", kGauge, "Open connections."},
      {"http_connections_refused_total",
       kCounter,
       "Connections closed without an answer, or at once.",
       {{"reason"}}},

      // ---- gRPC ------------------------------------------------------------------------------
      {"grpc_server_handled_total", kCounter, "Calls answered.", {{"method"}, {"code"}}},
      {"grpc_server_handling_seconds",
       kHistogram,
       "How long a call took here.",
       {{"method"}},
       Buckets::kRequest},
      {"grpc_client_handled_total", kCounter, "Calls made.", {{"method"}, {"code"}}},
      {"grpc_client_handling_seconds",
       kHistogram,
       "How long a call to a peer took.",
       {{"method"}},
       Buckets::kRequest},

      // ---- webhook-ingest --------------------------------------------------------------------
      {"webhooks_received_total", kCounter, "Requests with a known token.", {{"crm"}}},
      {"webhooks_accepted_total",
       kCounter,
       "Webhooks answered 2xx once durable.",
       {{"crm"}, {"durable", {"kafka", "spool"}}}},
      {"webhooks_refused_total",
       kCounter,
       "Webhooks answered other than 2xx, or accepted and not stored, by reason.",
       {{"crm"}, {"reason"}}},
      {"webhook_ack_seconds",
       kHistogram,
       "From the last byte of a webhook to its answer.",
       {{"crm"}},
       Buckets::kRequest},

      // ---- Kafka -----------------------------------------------------------------------------
      {"kafka_produced_total", kCounter, "Records written, by outcome.", {{"topic"}, {"outcome"}}},
      {"kafka_consumed_total", kCounter, "Records read.", {{"topic"}}},
      {"kafka_consumer_lag_messages",
       kGauge,
       "High watermark less own position. A topic written in transactions shows about 1 at rest.",
       {{"topic"}, {"partition"}}},
      {"kafka_rebalances_total", kCounter, "Times partitions were assigned or revoked."},
      {"kafka_topics_missing",
       kGauge,
       "1 while a topic that the service began with isn't there; the log names it."},
      {"kafka_broker_rtt_seconds", kGauge, "Mean round trip to the brokers.", {{"client"}}},
      {"kafka_transactions_total", kCounter, "Transactions ended, by outcome.", {{"outcome"}}},
      {"kafka_transaction_seconds", kHistogram, "From begin to commit.", {}, Buckets::kRequest},
      {"kafka_client_restarts_total",
       kCounter,
       "Clients made anew after a fatal error.",
       {{"reason"}}},

      // ---- The pipeline ----------------------------------------------------------------------
      {"events_in_total",
       kCounter,
       "Items taken in: notices and ticks, or records.",
       {{"crm"}, {"kind"}}},
      {"events_done_total",
       kCounter,
       "Items that ended, by outcome.",
       {{"crm"}, {"outcome", {"emitted", "repeat", "ignored", "dead", "handed_over"}}, {"reason"}}},
      {"events_in_progress", kGauge, "Items under way.", {{"crm"}}},
      {"events_parked", kGauge, "Items that wait in the retry topics.", {{"crm"}, {"reason"}}},
      {"event_age_seconds",
       kHistogram,
       "From an item's source time to its commit.",
       {{"crm"}},
       Buckets::kDelay},
      {"last_event_timestamp_seconds",
       kGauge,
       "When the last item was done, Unix time.",
       {{"crm"}}},
      {"state_restore_seconds", kGauge, "How long the last restore of state took."},
      {"state_keys", kGauge, "Keys in the local state (an estimate)."},

      // ---- Calls to CRMs ---------------------------------------------------------------------
      {"crm_requests_total",
       kCounter,
       "Calls to a CRM, by outcome.",
       {{"crm"}, {"operation"}, {"outcome"}}},
      {"crm_request_seconds",
       kHistogram,
       "How long a call to a CRM took.",
       {{"crm"}, {"operation"}},
       Buckets::kRequest},
      {"crm_rate_limited_total", kCounter, "Calls that the CRM's limit put off.", {{"crm"}}},
      {"crm_circuit_open", kGauge, "CRM accounts whose circuit breaker is open.", {{"crm"}}},
      {"crm_coalesced_total", kCounter, "Reads spared: the object was read anyway.", {{"crm"}}},
      {"crm_auth_failures_total", kCounter, "Calls refused for the credential.", {{"crm"}}},

      // ---- Dead letters ----------------------------------------------------------------------
      {"dead_letters_total", kCounter, "Items given up.", {{"crm"}, {"stage"}, {"reason"}}},
      {"dead_letters_replayed_total", kCounter, "Dead letters put back.", {{"crm"}, {"outcome"}}},

      // ---- credential-vault ------------------------------------------------------------------
      {"credential_reads_total",
       kCounter,
       "Times a credential was opened.",
       {{"crm"}, {"outcome"}}},
      {"token_mints_total",
       kCounter,
       "Times access was made from a credential.",
       {{"crm"}, {"outcome"}}},
      {"kms_seconds",
       kHistogram,
       "How long wrapping or unwrapping a data key took.",
       {},
       Buckets::kRequest},
      {"credentials_failing", kGauge, "Credentials that the CRM refused last time.", {{"crm"}}},

      // ---- Polls and the cabinet -------------------------------------------------------------
      {"polls_total", kCounter, "Passes ordered or ended, by outcome.", {{"crm"}, {"outcome"}}},
      {"poll_last_success_timestamp_seconds",
       kGauge,
       "When the last pass ended well, Unix time.",
       {{"crm"}}},
      {"poll_behind",
       kGauge,
       "Integrations whose last good pass is older than twice the interval.",
       {{"crm"}}},
      {"outbox_records", kGauge, "Records stored and not yet acknowledged by Kafka."},
      {"outbox_refused_records",
       kGauge,
       "Records that Kafka refuses for good; each holds up what follows it under its key."},
      {"outbox_oldest_age_seconds",
       kGauge,
       "Age of the oldest record in the outbox; 0 when empty."},
      {"integrations", kGauge, "Integrations kept.", {{"crm"}, {"active", {"true", "false"}}}},
  };
}

}  // namespace

const std::vector<MetricSpec>& Catalog() {
  static const std::vector<MetricSpec> catalog = MakeCatalog();
  return catalog;
}

const std::vector<double>& BucketBounds(Buckets buckets) {
  // Steps of about 2, with the bounds of the service levels (0.25, 0.3 and 60 s) among them.
  static const std::vector<double> request = {
      0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.25, 0.3, 0.5, 1, 2, 4, 8, 15, 30, 60};
  static const std::vector<double> delay = {
      0.1, 0.2, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1200, 2400, 3600, 7200, 14400, 21600};
  static const std::vector<double> none;
  switch (buckets) {
    case Buckets::kRequest:
      return request;
    case Buckets::kDelay:
      return delay;
    case Buckets::kNone:
      break;
  }
  return none;
}

std::string DescribeCatalog() {
  std::string text = "| metric | type | labels | meaning |\n|---|---|---|---|\n";
  for (const MetricSpec& spec : Catalog()) {
    std::string labels;
    for (const LabelSpec& label : spec.labels) {
      labels += fmt::format("{}`{}`", labels.empty() ? "" : ", ", label.name);
      if (!label.values.empty()) {
        labels += fmt::format(" ({})", fmt::join(label.values, ", "));
      }
    }
    text += fmt::format("| `{}{}` | {} | {} | {} |\n",
                        kMetricPrefix,
                        spec.name,
                        TypeName(spec.type),
                        labels,
                        spec.help);
  }
  return text;
}

}  // namespace dealstream::obs
