#include "services/crm-reader/integrations.h"

#include "libs/obs/log.h"
#include "services/crm-reader/proto_time.h"

namespace dealstream::reader {

void Integrations::Apply(const kafka::InRecord& record) {
  std::shared_ptr<Integration> snapshot;
  if (record.value.has_value()) {
    integration::v1::Integration message;
    if (!message.ParseFromString(*record.value)) {
      obs::Error("integration_unreadable",
                 "a record of integrations.v1 is no Integration; it is left out",
                 {{"integration_id", record.key}, {"offset", record.offset}});
      return;
    }
    if (message.crm() != crm_) {
      return;
    }
    snapshot = std::make_shared<Integration>();
    snapshot->id = message.id();
    snapshot->account_id = message.account_id();
    snapshot->crm_account_id = message.crm_account_id();
    snapshot->credential_id = message.credential_id();
    snapshot->purpose = message.purpose();
    snapshot->active = message.active();
    snapshot->version = message.version();
    snapshot->settings = std::move(*message.mutable_settings());
    if (message.has_created_at()) {
      snapshot->created_at = FromProto(message.created_at());
    }
  }
  std::lock_guard lock(mutex_);
  if (snapshot == nullptr) {
    by_id_.erase(record.key);
  } else {
    by_id_[record.key] = std::move(snapshot);
  }
}

std::shared_ptr<const Integration> Integrations::Find(const std::string& id) const {
  std::lock_guard lock(mutex_);
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

size_t Integrations::size() const {
  std::lock_guard lock(mutex_);
  return by_id_.size();
}

}  // namespace dealstream::reader
