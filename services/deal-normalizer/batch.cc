#include "services/deal-normalizer/batch.h"

#include <utility>

#include "fmt/format.h"

#include "libs/base/ids.h"
#include "libs/kafka/cloudevents.h"
#include "simdjson.h"

namespace dealstream::normalizer {
namespace {

constexpr std::string_view kService = "deal-normalizer";

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return timestamp;
}

// A protobuf string must be UTF-8, else nobody can read the letter.
std::string ToUtf8(std::string_view text) {
  std::string valid(text);
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    for (char& byte : valid) {
      byte = static_cast<unsigned char>(byte) < 0x80 ? byte : '?';
    }
  }
  return valid;
}

std::string_view KindOf(const raw::v1::Record& record) {
  switch (record.purpose()) {
    case crm::Purpose::PURPOSE_DEALS:
      return "deal";
    case crm::Purpose::PURPOSE_REQUESTS:
      return "request";
    default:
      return "other";
  }
}

}  // namespace

Topics::Topics(std::string_view crm)
    : records(fmt::format("crm.record.{}", crm)),
      state(fmt::format("normalizer.{}.state", crm)),
      dead_letters(fmt::format("dlq.{}.{}", kService, crm)) {}

Batch::Batch(std::string_view crm,
             Normalizer& normalizer,
             const StateStore& store,
             const Clock& clock)
    : crm_(crm), topics_(crm), normalizer_(normalizer), store_(store), clock_(clock) {}

void Batch::Clear() {
  outputs_.clear();
  writes_.clear();
  overlay_.clear();
  next_.clear();
  ended_.clear();
}

Status Batch::Add(const kafka::InRecord& in, std::string_view refused) {
  Decision decision;
  bool parsed = in.value.has_value() && record_.ParseFromString(*in.value);
  if (!parsed) {
    record_.Clear();
    decision.outcome = Outcome::kDead;
    decision.stage = "decode";
    decision.reason = "unreadable_record";
    decision.message = in.value.has_value() ? "the value is no raw.v1.Record" : "there is no value";
  } else if (!refused.empty()) {
    decision.outcome = Outcome::kDead;
    decision.stage = "write";
    decision.reason = "refused";
    decision.message = refused;
  } else {
    entity_key_ = StateStore::EntityKey(in.partition, EntityIdOf(record_));
    std::optional<std::string_view> stored;
    if (const auto found = overlay_.find(entity_key_); found != overlay_.end()) {
      stored = *writes_[found->second.index].value;
    } else {
      DEALSTREAM_ASSIGN_OR_RETURN(const bool known, store_.Get(entity_key_, stored_));
      if (known) {
        stored = stored_;
      }
    }
    decision = normalizer_.Apply(record_, stored);
  }
  source_.assign("/crm/").append(crm_);
  if (!record_.integration_id().empty()) {
    source_.append("/integrations/").append(record_.integration_id());
  }
  traceparent_ = kafka::NewTraceparent(kafka::FindHeader(in.headers, "traceparent"));
  if (decision.outcome == Outcome::kDead) {
    AddDeadLetter(in, decision);
  }
  if (decision.event.has_value()) {
    AddEvent(in, decision);
  }
  if (decision.state.has_value()) {
    KeepState(in, decision);
  }
  next_[in.partition] = in.offset + 1;
  ended_.push_back(
      {decision.outcome,
       KindOf(record_),
       std::move(decision.reason),
       std::move(decision.stage),
       record_.has_oldest_notice_at() ? ToTime(record_.oldest_notice_at()) : absl::InfinitePast()});
  return absl::OkStatus();
}

absl::Time Batch::EventTime(const kafka::InRecord& in) const {
  return record_.has_observed_at() ? ToTime(record_.observed_at()) : in.timestamp;
}

// The trace context of the first hop, where it isn't this one's.
void Batch::AddFirstTraceparent(const kafka::InRecord& in, kafka::Headers& headers) const {
  std::string_view first = kafka::FindHeader(in.headers, "ce_traceparent");
  if (first.empty()) {
    first = kafka::FindHeader(in.headers, "traceparent");
  }
  if (!first.empty()) {
    headers.emplace_back("ce_traceparent", first);
  }
}

void Batch::AddEvent(const kafka::InRecord& in, Decision& decision) {
  Event& event = *decision.event;
  const bool is_deal = decision.entity_kind == EntityKind::kDeal;
  kafka::Headers headers = kafka::ToHeaders({
      .id = event.id,
      .source = source_,
      .type = is_deal ? "dealstream.deal.changed.v1" : "dealstream.request.changed.v1",
      .subject = decision.entity_id,
      .time = EventTime(in),
      .data_schema =
          is_deal ? "dealstream.deal.v1.DealEvent" : "dealstream.request.v1.RequestEvent",
      .traceparent = traceparent_,
  });
  AddFirstTraceparent(in, headers);
  const size_t source = ended_.size();
  if (is_deal) {
    kafka::Headers snapshot_headers = headers;
    for (auto& [name, value] : snapshot_headers) {
      if (name == "ce_dataschema") {
        value = "dealstream.deal.v1.Deal";
        break;
      }
    }
    outputs_.push_back({{.topic = topics_.deals,
                         .key = decision.entity_id,
                         .value = std::move(event.value),
                         .headers = std::move(headers)},
                        source});
    outputs_.push_back({{.topic = topics_.snapshots,
                         .key = decision.entity_id,
                         .value = std::move(event.snapshot),
                         .headers = std::move(snapshot_headers)},
                        source});
  } else {
    outputs_.push_back({{.topic = topics_.requests,
                         .key = decision.entity_id,
                         .value = std::move(event.value),
                         .headers = std::move(headers)},
                        source});
  }
}

void Batch::AddDeadLetter(const kafka::InRecord& in, const Decision& decision) {
  raw::v1::DeadLetter letter;
  letter.set_topic(in.topic);
  letter.set_partition(in.partition);
  letter.set_offset(in.offset);
  letter.set_key(in.key);
  if (in.value.has_value()) {
    letter.set_value(*in.value);
  }
  for (const auto& [name, value] : in.headers) {
    auto* header = letter.add_headers();
    header->set_key(ToUtf8(name));
    header->set_value(value);
  }
  letter.set_stage(decision.stage);
  letter.set_reason(decision.reason);
  letter.set_message(ToUtf8(decision.message));
  letter.set_attempts(1);
  *letter.mutable_first_failed_at() = ToTimestamp(clock_.Now());
  *letter.mutable_last_failed_at() = letter.first_failed_at();
  letter.set_service(std::string(kService));
  letter.set_crm(crm_);
  letter.set_integration_id(record_.integration_id());
  letter.mutable_tried_for();
  kafka::Headers headers = kafka::ToHeaders({
      .id = fmt::format("{}/{}/{}", in.topic, in.partition, in.offset),
      .source = source_,
      .type = "dealstream.deadletter.written.v1",
      .subject = in.key,
      .time = clock_.Now(),
      .data_schema = "dealstream.raw.v1.DeadLetter",
      .traceparent = traceparent_,
  });
  AddFirstTraceparent(in, headers);
  outputs_.push_back({{.topic = topics_.dead_letters,
                       .key = in.key,
                       .value = letter.SerializeAsString(),
                       .headers = std::move(headers)},
                      ended_.size()});
}

void Batch::KeepState(const kafka::InRecord& in, Decision& decision) {
  const auto [found, added] = overlay_.try_emplace(entity_key_);
  Pending& pending = found->second;
  if (added) {
    pending.index = writes_.size();
    pending.partition = in.partition;
    writes_.push_back({entity_key_, std::nullopt});
  }
  writes_[pending.index].value = std::move(decision.state);
  // The topic is private: what CloudEvents requires, and no more.
  pending.headers.clear();
  pending.headers.reserve(5);
  pending.headers.emplace_back("ce_specversion", "1.0");
  pending.headers.emplace_back("ce_id", fmt::format("{}/{}", in.partition, in.offset));
  pending.headers.emplace_back("ce_source", source_);
  pending.headers.emplace_back("ce_type", "dealstream.state.kept.v1");
  pending.headers.emplace_back("traceparent", traceparent_);
}

std::vector<Batch::Output> Batch::TakeOutputs() {
  // In the order of the input, so that the same batch is the same bytes.
  std::vector<Pending*> pendings(writes_.size());
  for (auto& [key, pending] : overlay_) {
    pendings[pending.index] = &pending;
  }
  for (size_t i = 0; i < writes_.size(); ++i) {
    constexpr size_t kPrefix = 5;
    outputs_.push_back({{.topic = topics_.state,
                         .partition = pendings[i]->partition,
                         .key = writes_[i].key.substr(kPrefix),
                         .value = writes_[i].value,
                         .headers = std::move(pendings[i]->headers)}});
  }
  return std::exchange(outputs_, {});
}

kafka::Offsets Batch::NextOffsets() const {
  kafka::Offsets offsets;
  for (const auto& [partition, next] : next_) {
    offsets.emplace_back(kafka::TopicPartition{topics_.records, partition}, next);
  }
  return offsets;
}

std::vector<kv::Write> Batch::TakeWrites() { return std::exchange(writes_, {}); }

}  // namespace dealstream::normalizer
