#include "services/webhook-ingest/crms.h"

#include <algorithm>

#include <fmt/format.h>

namespace dealstream::ingest {
namespace {

constexpr std::string_view kUnknown = "unknown";

void TakeHandles(Crm& crm, obs::Metrics& metrics) {
  crm.received = &metrics.GetCounter("webhooks_received_total", {{"crm", crm.id}});
  crm.accepted =
      &metrics.GetCounter("webhooks_accepted_total", {{"crm", crm.id}, {"durable", "kafka"}});
  crm.ack_seconds = &metrics.GetHistogram("webhook_ack_seconds", {{"crm", crm.id}});
  for (size_t i = 0; i < kRefusalNames.size(); ++i) {
    crm.refused[i] = &metrics.GetCounter("webhooks_refused_total",
                                         {{"crm", crm.id}, {"reason", kRefusalNames[i]}});
  }
}

}  // namespace

Crms::Crms(const crm::Registry& registry, absl::Duration answer_margin, obs::Metrics& metrics) {
  for (const auto& adapter : registry.adapters()) {
    Crm crm;
    crm.id = adapter->id();
    if (const auto* decoder = adapter->notice_decoder()) {
      crm.reply = decoder->Reply();
    }
    crms_.push_back(std::move(crm));
  }
  crms_.emplace_back().id = kUnknown;
  for (Crm& crm : crms_) {
    crm.topic = fmt::format("crm.notice.{}", crm.id);
    crm.answer_within = std::max(crm.reply.patience - answer_margin, crm.reply.patience / 2);
    crm.kept_headers = {"content-type", "content-encoding", "user-agent"};
    crm.kept_headers.insert(
        crm.kept_headers.end(), crm.reply.headers.begin(), crm.reply.headers.end());
    TakeHandles(crm, metrics);
  }
}

uint32_t Crms::IndexOf(std::string_view id) const {
  for (uint32_t i = 0; i + 1 < crms_.size(); ++i) {
    if (crms_[i].id == id) {
      return i;
    }
  }
  return static_cast<uint32_t>(crms_.size() - 1);
}

absl::Duration Crms::LongestAnswer() const {
  absl::Duration longest;
  for (size_t i = 0; i < crms_.size(); ++i) {
    // The unknown one's default counts only where there is no other.
    if (IsKnown(static_cast<uint32_t>(i)) || crms_.size() == 1) {
      longest = std::max(longest, crms_[i].answer_within);
    }
  }
  return longest;
}

}  // namespace dealstream::ingest
