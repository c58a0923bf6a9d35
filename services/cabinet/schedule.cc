#include "services/cabinet/schedule.h"

#include <cstdint>

#include <fmt/format.h>

#include "libs/base/ids.h"
#include "libs/kafka/cloudevents.h"
#include "services/cabinet/times.h"

namespace dealstream::cabinet {
namespace {

std::string Source(const integration::v1::Integration& integration) {
  return fmt::format("/crm/{}/integrations/{}", integration.crm(), integration.id());
}

}  // namespace

absl::Duration IntervalOf(const crm::Adapter& adapter,
                          crm::Purpose purpose,
                          absl::Duration override) {
  const crm::RecordSource* source = adapter.record_source();
  if (source == nullptr || !source->Lists(purpose) ||
      adapter.SweepInterval() <= absl::ZeroDuration()) {
    return absl::ZeroDuration();
  }
  if (override > absl::ZeroDuration()) {
    return override;
  }
  return adapter.SweepsDaily() ? absl::Hours(24) : adapter.SweepInterval();
}

deal::v1::Cause SweepCauseOf(const crm::Adapter& adapter) {
  return adapter.notice_decoder() != nullptr ? deal::v1::CAUSE_RECONCILIATION
                                             : deal::v1::CAUSE_POLL;
}

absl::Time NextDue(std::string_view integration_id, absl::Time now, absl::Duration interval) {
  uint64_t hash = 0;
  for (const char byte : Sha256(integration_id).substr(0, 8)) {
    hash = hash << 8U | static_cast<unsigned char>(byte);
  }
  const int64_t step = absl::ToInt64Microseconds(interval);
  const auto phase = static_cast<int64_t>(hash % static_cast<uint64_t>(step));
  const int64_t now_us = absl::ToUnixMicros(now);
  return absl::FromUnixMicros(now_us + step - (now_us - phase) % step);
}

kafka::OutRecord TickRecord(const integration::v1::Integration& integration,
                            const Tick& tick,
                            absl::Time now) {
  raw::v1::PollTick message;
  message.set_poll_id(tick.poll_id);
  message.set_crm(integration.crm());
  message.set_crm_account_id(integration.crm_account_id());
  message.set_integration_id(integration.id());
  message.set_cause(tick.cause);
  if (tick.from) {
    *message.mutable_from() = ToProto(*tick.from);
  }
  if (tick.to) {
    *message.mutable_to() = ToProto(*tick.to);
  }
  *message.mutable_created_at() = ToProto(now);
  return {.topic = PollTopic(integration.crm()),
          .partition = -1,
          .key = integration.crm_account_id(),
          .value = message.SerializeAsString(),
          .headers = kafka::ToHeaders({.id = tick.poll_id,
                                       .source = Source(integration),
                                       .type = "dealstream.poll.ordered.v1",
                                       .subject = integration.id(),
                                       .time = now,
                                       .data_schema = "dealstream.raw.v1.PollTick",
                                       .traceparent = ""})};
}

kafka::OutRecord IntegrationRecord(const integration::v1::Integration& integration) {
  return {.topic = std::string(kIntegrationsTopic),
          .partition = -1,
          .key = integration.id(),
          .value = integration.SerializeAsString(),
          .headers =
              kafka::ToHeaders({.id = fmt::format("{}-{}", integration.id(), integration.version()),
                                .source = Source(integration),
                                .type = "dealstream.integration.changed.v1",
                                .subject = integration.id(),
                                .time = FromProto(integration.updated_at()),
                                .data_schema = "dealstream.integration.v1.Integration",
                                .traceparent = ""})};
}

std::string PollTopic(std::string_view crm) { return fmt::format("crm.poll.{}", crm); }

std::string CursorTopic(std::string_view crm) { return fmt::format("crm.cursor.{}", crm); }

}  // namespace dealstream::cabinet
