#include "services/webhook-ingest/config.h"

#include <fmt/format.h>

namespace dealstream::ingest {

void AddConfig(config::Schema& schema, Config* config) {
  using absl::Milliseconds, absl::Seconds, absl::Minutes;
  using config::Bytes;
  kafka::AddConfig(schema, &config->kafka);
  schema.Add("http.address",
             &config->address,
             "The public listener: host:port, port 0 for a free one.",
             true);
  schema.Add("http.threads",
             &config->threads,
             0,
             256,
             "Event loops, each with a listener and a Kafka producer of its own; 0: one for each "
             "core, 16 at most.");
  schema.Add("http.max_connections",
             &config->max_connections,
             1,
             1'000'000,
             "Open connections; one more is closed at once.");
  schema.Add("http.max_head",
             &config->max_head,
             Bytes{1 << 10},
             Bytes{1 << 20},
             "Request line and headers; larger: 431.");
  schema.Add(
      "http.max_headers", &config->max_headers, 1, 10'000, "Headers of a request; more: 431.");
  schema.Add("http.max_body",
             &config->max_body,
             Bytes{1},
             Bytes{1 << 20},
             "Body of a webhook; larger: 413 before it is read.");
  schema.Add("http.max_body_memory",
             &config->max_body_memory,
             Bytes{1 << 20},
             Bytes{int64_t{1} << 36},
             "Bodies that are coming in, over all connections; beyond it: 503.");
  schema.Add("http.idle_timeout",
             &config->idle_timeout,
             Milliseconds(10),
             Minutes(60),
             "A connection without a request is closed after.");
  schema.Add("http.head_timeout",
             &config->head_timeout,
             Milliseconds(10),
             Minutes(10),
             "From the first byte of a request to the end of its headers; longer: 408.");
  schema.Add("http.body_timeout",
             &config->body_timeout,
             Milliseconds(10),
             Minutes(10),
             "From the end of the headers to the end of the body; longer: 408.");
  schema.Add("http.write_timeout",
             &config->write_timeout,
             Milliseconds(10),
             Minutes(10),
             "A connection that doesn't take its answer is closed after.");
  schema.Add("ingest.max_in_flight",
             &config->max_in_flight,
             1,
             10'000'000,
             "Webhooks that await their delivery report; more: 503.");
  schema.Add("ingest.max_queued",
             &config->max_queued,
             Bytes{4 << 20},
             Bytes{int64_t{1} << 36},
             "Records in the producers' queues; beyond it: 503.");
  schema.Add("ingest.linger",
             &config->linger,
             absl::ZeroDuration(),
             Seconds(1),
             "How long a record waits for others to share a request to the broker with.");
  schema.Add("ingest.answer_margin",
             &config->answer_margin,
             absl::ZeroDuration(),
             Seconds(10),
             "503 is answered this long before the CRM would give up (at half its patience at the "
             "earliest).");
  schema.Add(
      "ingest.retry_after", &config->retry_after, Seconds(1), Minutes(10), "Retry-After of a 503.");
  schema.Add(
      "ingest.retry_hold",
      &config->retry_hold,
      absl::ZeroDuration(),
      Seconds(10),
      "How long webhooks of a CRM account wait for the retry of one that the broker refused.");
}

Status CheckConfig(const Config& config) {
  if (config.max_queued.value < 4 * config.max_body.value) {
    return absl::InvalidArgumentError(
        fmt::format("ingest.max_queued: {} bytes, want at least 4 times http.max_body ({})",
                    config.max_queued.value,
                    config.max_body.value));
  }
  return absl::OkStatus();
}

}  // namespace dealstream::ingest
