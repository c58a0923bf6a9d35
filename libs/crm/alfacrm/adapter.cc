#include "libs/crm/alfacrm/adapter.h"

#include "libs/crm/alfacrm/credential.h"
#include "libs/crm/alfacrm/deal_mapper.h"
#include "libs/crm/alfacrm/notice_decoder.h"
#include "libs/crm/alfacrm/record_source.h"
#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/api/settings.h"

namespace dealstream::crm::alfacrm {
namespace {

class AlfaCrm final : public Adapter {
 public:
  std::string_view id() const override { return "alfacrm"; }
  std::string_view display_name() const override { return "AlfaCRM"; }
  std::vector<Purpose> Purposes() const override { return {integration::v1::PURPOSE_DEALS}; }

  const google::protobuf::Message& SettingsPrototype() const override {
    return v1::Settings::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& packed, Purpose) const override {
    v1::Settings settings;
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, settings));
    return alfacrm::CheckSettings(settings);
  }
  RateLimit Limit(const google::protobuf::Any& packed) const override {
    return LimitOf(SettingsOrDefaults<v1::Settings>(packed));
  }
  std::vector<std::string> AllowedHostSuffixes() const override { return {"s20.online"}; }
  // Whether lost webhooks are sent again is not known.
  absl::Duration SweepInterval() const override { return absl::Minutes(15); }

  const CredentialType& credential() const override { return credential_; }
  const NoticeDecoder* notice_decoder() const override { return &decoder_; }
  const RecordSource* record_source() const override { return &source_; }
  const DealMapper* deal_mapper() const override { return &mapper_; }

 private:
  Credential credential_;
  Decoder decoder_;
  Source source_;
  Mapper mapper_;
};

}  // namespace

std::unique_ptr<Adapter> MakeAdapter() { return std::make_unique<AlfaCrm>(); }

}  // namespace dealstream::crm::alfacrm
