#include <fmt/format.h>

#include "services/crm-reader/service.h"

namespace dealstream::reader {

void Config::AddTo(config::Schema& schema) {
  schema.Add("crm", &crm, "Id of the CRM that this process reads.", true);
  schema.Add("instance",
             &instance,
             "A name that this replica keeps over restarts: it gets its partitions back at once, "
             "even after a crash. Empty: no static membership.");
  kafka::AddConfig(schema, &kafka);
  schema.Add("kafka.linger_ms",
             &linger_ms,
             0,
             1000,
             "How long a record may wait for others to go with, in ms.");
  schema.Add("vault.address", &vault_address, "credential-vault, host:port.", true);
  schema.Add("vault.server_name", &vault_name, "Name that the vault's certificate bears.");
  rpc::AddTlsConfig(schema, &tls);
  schema.Add("development.allow_loopback",
             &allow_loopback,
             "Development only: CRM hosts may be http:// and loopback addresses.");
  schema.Add("workers", &workers, 1, 1000, "Conversations with the CRM at once.");
  schema.Add("limits.items",
             &most_items,
             1,
             10'000'000,
             "Items under way beyond which partitions are paused.");
  schema.Add("limits.items_per_account",
             &most_items_of_lane,
             1,
             1'000'000,
             "Items of one CRM account under way; more are parked at once.");
  schema.Add("limits.bytes",
             &most_bytes,
             config::Bytes{1 << 20},
             config::Bytes{int64_t{1} << 40},
             "Bytes of items under way beyond which partitions are paused.");
  schema.Add("park.after",
             &reader.park_after,
             absl::Milliseconds(50),
             absl::Minutes(1),
             "What isn't done so long after it was read is parked; position lag stays below 2 s "
             "with 1.2s.");
  schema.Add("retry.attempts",
             &max_attempts,
             1,
             1000,
             "Failures of one item after which it is a dead letter.");
  schema.Add("retry.give_up_after",
             &reader.retry.give_up_after,
             absl::Minutes(1),
             absl::Hours(24 * 6),
             "Whatever it waits for, an item older than this is a dead letter; below the retry "
             "topics' retention.");
  schema.Add("breaker.failures",
             &breaker_failures,
             1,
             1000,
             "Failed calls in a row after which an account's calls are suspended.");
  schema.Add("breaker.first_open",
             &reader.breaker.first_open,
             absl::Milliseconds(100),
             absl::Hours(1),
             "How long the first time; doubles with each failed trial.");
  schema.Add("breaker.longest_open",
             &reader.breaker.longest_open,
             absl::Milliseconds(100),
             absl::Hours(1),
             "How long at most.");
  schema.Add("call.timeout",
             &reader.session.longest_call,
             absl::Milliseconds(100),
             absl::Minutes(5),
             "Longest time for one call to the CRM.");
  schema.Add("access.keep",
             &access.keep,
             absl::Seconds(1),
             absl::Minutes(5),
             "How long access from the vault is used before it is asked for again.");
}

Status Config::Check(const crm::Registry& registry) const {
  if (registry.Find(crm) == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("crm: \"{}\" is no CRM of this build; see libs/crm", crm));
  }
  return absl::OkStatus();
}

}  // namespace dealstream::reader
