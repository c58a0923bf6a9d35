#include "libs/crm/klientiks/adapter.h"

#include "libs/crm/api/settings.h"
#include "libs/crm/klientiks/credential.h"
#include "libs/crm/klientiks/deal_mapper.h"
#include "libs/crm/klientiks/notice_decoder.h"
#include "libs/crm/klientiks/record_source.h"
#include "libs/crm/klientiks/request_mapper.h"
#include "libs/crm/klientiks/settings.h"

namespace dealstream::crm::klientiks {
namespace {

class Klientiks final : public Adapter {
 public:
  std::string_view id() const override { return "klientiks"; }
  std::string_view display_name() const override { return "Клиентикс CRM"; }
  std::vector<Purpose> Purposes() const override {
    return {Purpose::PURPOSE_DEALS, Purpose::PURPOSE_REQUESTS};
  }

  const google::protobuf::Message& SettingsPrototype() const override {
    return v1::Settings::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& packed, Purpose purpose) const override {
    return klientiks::CheckSettings(packed, purpose);
  }
  RateLimit Limit(const google::protobuf::Any& packed) const override {
    return LimitOf(SettingsOrDefaults<v1::Settings>(packed));
  }
  std::vector<std::string> AllowedHostSuffixes() const override { return {"klientiks.ru"}; }
  // Each night. A list is a call or more of the one a second that an account has.
  absl::Duration SweepInterval() const override { return absl::Hours(24); }
  bool SweepsDaily() const override { return true; }

  const CredentialType& credential() const override { return credential_; }
  const NoticeDecoder* notice_decoder() const override { return &decoder_; }
  const RecordSource* record_source() const override { return &source_; }
  const DealMapper* deal_mapper() const override { return &deal_mapper_; }
  const RequestMapper* request_mapper() const override { return &request_mapper_; }

 private:
  Credential credential_;
  Decoder decoder_;
  Source source_;
  Mapper deal_mapper_;
  BookingMapper request_mapper_;
};

}  // namespace

std::unique_ptr<Adapter> MakeAdapter() { return std::make_unique<Klientiks>(); }

}  // namespace dealstream::crm::klientiks
