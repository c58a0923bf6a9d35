#include "services/crm-reader/messages.h"

#include <utility>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/ids.h"
#include "libs/domain/change.h"
#include "libs/kafka/cloudevents.h"
#include "services/crm-reader/proto_time.h"
#include "services/crm-reader/retry_policy.h"

namespace dealstream::reader {
namespace {

// A retry's headers that say where the item first lay.
constexpr std::string_view kOriginTopic = "origin_topic";
constexpr std::string_view kOriginPartition = "origin_partition";
constexpr std::string_view kOriginOffset = "origin_offset";

std::string Source(std::string_view crm, std::string_view integration_id) {
  return fmt::format("/crm/{}/integrations/{}", crm, integration_id);
}

// Short, stable, and of nothing but the text.
std::string HashId(std::string_view text) { return ToHex(Sha256(text)).substr(0, 32); }

}  // namespace

Origin OriginOf(const kafka::InRecord& record) {
  Origin origin{record.topic, record.partition, record.offset};
  std::string_view topic = kafka::FindHeader(record.headers, kOriginTopic);
  if (!topic.empty()) {
    origin.topic = std::string(topic);
    origin.partition = -1;
    origin.offset = -1;
    (void)absl::SimpleAtoi(std::string(kafka::FindHeader(record.headers, kOriginPartition)),
                           &origin.partition);
    (void)absl::SimpleAtoi(std::string(kafka::FindHeader(record.headers, kOriginOffset)),
                           &origin.offset);
  }
  return origin;
}

kafka::OutRecord MakeRecord(std::string_view crm,
                            const Integration& integration,
                            const crm::ObjectRef& ref,
                            crm::ReadObject object,
                            ReadContext context) {
  raw::v1::Record record;
  record.set_crm(std::string(crm));
  record.set_crm_account_id(integration.crm_account_id);
  record.set_integration_id(integration.id);
  record.set_account_id(integration.account_id);
  record.set_purpose(integration.purpose);
  *record.mutable_settings() = integration.settings;
  record.set_integration_version(integration.version);
  record.set_kind(ref.kind);
  record.set_external_id(ref.external_id);
  record.set_version(object.gone ? 0 : object.version);
  record.set_gone(object.gone);
  if (!object.gone) {
    for (auto& [name, body] : object.parts) {
      raw::v1::BodyPart& part = *record.add_parts();
      part.set_name(std::move(name));
      part.set_body(std::move(body));
    }
  }
  record.set_cause(context.cause);
  *record.mutable_observed_at() = ToProto(context.observed_at);
  for (std::string& id : context.notice_ids) {
    record.add_notice_ids(std::move(id));
  }
  if (context.oldest_notice_at != absl::InfiniteFuture()) {
    *record.mutable_oldest_notice_at() = ToProto(context.oldest_notice_at);
  }

  kafka::OutRecord out;
  out.topic = fmt::format("crm.record.{}", crm);
  out.key = integration.crm_account_id;
  out.value = record.SerializeAsString();
  // A read that finds the same version under the same settings is the same record.
  std::string id = HashId(fmt::format("{}\n{}\n{}\n{}\n{}\n{}",
                                      integration.id,
                                      integration.version,
                                      ref.kind,
                                      ref.external_id,
                                      record.version(),
                                      record.gone()));
  out.headers = kafka::ToHeaders({.id = std::move(id),
                                  .source = Source(crm, integration.id),
                                  .type = "dealstream.record.read.v1",
                                  .subject = domain::EntityId(integration.id, ref.external_id),
                                  .time = context.observed_at,
                                  .data_schema = "dealstream.raw.v1.Record",
                                  .traceparent = kafka::NewTraceparent(context.traceparent)});
  return out;
}

kafka::OutRecord MakeRetry(std::string_view crm,
                           raw::v1::Retry retry,
                           const std::string& key,
                           const Origin& origin,
                           const kafka::Headers& headers,
                           absl::Duration delay,
                           absl::Time now) {
  *retry.mutable_due_at() = ToProto(now + delay);
  const std::string& id = retry.has_notice() ? retry.notice().id() : retry.tick().poll_id();
  const std::string& integration_id =
      retry.has_notice() ? retry.notice().integration_id() : retry.tick().integration_id();
  kafka::OutRecord out;
  out.topic = RetryPolicy::Topic(crm, delay);
  out.key = key;
  out.value = retry.SerializeAsString();
  out.headers = kafka::ToHeaders(
      {.id = HashId(fmt::format("{}\n{}", id, absl::ToUnixMicros(now))),
       .source = Source(crm, integration_id),
       .type = "dealstream.retry.parked.v1",
       .subject = id,
       .time = now,
       .data_schema = "dealstream.raw.v1.Retry",
       .traceparent = kafka::NewTraceparent(kafka::FindHeader(headers, "traceparent"))});
  out.headers.emplace_back(kOriginTopic, origin.topic);
  out.headers.emplace_back(kOriginPartition, fmt::to_string(origin.partition));
  out.headers.emplace_back(kOriginOffset, fmt::to_string(origin.offset));
  std::string_view redriven_from = kafka::FindHeader(headers, kRedrivenFrom);
  if (!redriven_from.empty()) {
    out.headers.emplace_back(kRedrivenFrom, redriven_from);
  }
  return out;
}

kafka::OutRecord MakeDeadLetter(std::string_view crm, DeadLetterFacts facts) {
  raw::v1::DeadLetter letter;
  letter.set_topic(facts.origin.topic);
  letter.set_partition(facts.origin.partition);
  letter.set_offset(facts.origin.offset);
  letter.set_key(facts.key);
  letter.set_value(std::move(facts.value));
  for (auto& [name, value] : facts.headers) {
    if (name == kOriginTopic || name == kOriginPartition || name == kOriginOffset) {
      continue;
    }
    raw::v1::RecordHeader& header = *letter.add_headers();
    header.set_key(std::move(name));
    header.set_value(std::move(value));
  }
  letter.set_stage(std::string(facts.stage));
  letter.set_reason(facts.reason);
  letter.set_message(std::move(facts.message));
  letter.set_attempts(facts.attempts);
  *letter.mutable_first_failed_at() = ToProto(facts.first_failed_at);
  *letter.mutable_last_failed_at() = ToProto(facts.now);
  letter.mutable_tried_for()->set_seconds(absl::ToInt64Seconds(facts.now - facts.first_failed_at));
  letter.set_service("crm-reader");
  letter.set_crm(std::string(crm));
  letter.set_integration_id(facts.integration_id);

  kafka::OutRecord out;
  out.topic = fmt::format("dlq.crm-reader.{}", crm);
  out.key = std::move(facts.key);
  std::string id = HashId(fmt::format("{}\n{}\n{}\n{}",
                                      letter.topic(),
                                      letter.partition(),
                                      letter.offset(),
                                      ToHex(Sha256(letter.value()))));
  out.value = letter.SerializeAsString();
  out.headers = kafka::ToHeaders({.id = std::move(id),
                                  .source = Source(crm, facts.integration_id),
                                  .type = "dealstream.deadletter.written.v1",
                                  .subject = facts.integration_id,
                                  .time = facts.now,
                                  .data_schema = "dealstream.raw.v1.DeadLetter",
                                  .traceparent = kafka::NewTraceparent()});
  return out;
}

kafka::OutRecord MakeTick(std::string_view crm, const raw::v1::PollTick& tick, absl::Time now) {
  kafka::OutRecord out;
  out.topic = fmt::format("crm.poll.{}", crm);
  out.key = tick.crm_account_id();
  out.value = tick.SerializeAsString();
  out.headers =
      kafka::ToHeaders({.id = HashId(fmt::format("{}\n{}", tick.poll_id(), tick.page_token())),
                        .source = Source(crm, tick.integration_id()),
                        .type = "dealstream.poll.ordered.v1",
                        .subject = tick.poll_id(),
                        .time = now,
                        .data_schema = "dealstream.raw.v1.PollTick",
                        .traceparent = kafka::NewTraceparent()});
  return out;
}

kafka::OutRecord MakeProgress(std::string_view crm,
                              const std::string& key,
                              const raw::v1::PollProgress& progress,
                              absl::Time now) {
  kafka::OutRecord out;
  out.topic = fmt::format("crm.cursor.{}", crm);
  out.key = key;
  out.value = progress.SerializeAsString();
  out.headers = kafka::ToHeaders(
      {.id = HashId(fmt::format("{}\n{}\n{}", key, progress.poll_id(), absl::ToUnixMicros(now))),
       .source = Source(crm, progress.integration_id()),
       .type = "dealstream.poll.progressed.v1",
       .subject = key,
       .time = now,
       .data_schema = "dealstream.raw.v1.PollProgress",
       .traceparent = kafka::NewTraceparent()});
  return out;
}

}  // namespace dealstream::reader
