#include "libs/crm/newcrm/adapter.h"

#include "libs/crm/api/settings.h"
#include "libs/crm/newcrm/credential.h"
#include "libs/crm/newcrm/deal_mapper.h"
#include "libs/crm/newcrm/notice_decoder.h"
#include "libs/crm/newcrm/record_source.h"
#include "libs/crm/newcrm/settings.h"

namespace dealstream::crm::newcrm {
namespace {

class NewCrm final : public Adapter {
 public:
  std::string_view id() const override { return "newcrm"; }
  std::string_view display_name() const override { return "New CRM"; }
  std::vector<Purpose> Purposes() const override { return {integration::v1::PURPOSE_DEALS}; }

  const google::protobuf::Message& SettingsPrototype() const override {
    return v1::Settings::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& packed, Purpose) const override {
    DEALSTREAM_ASSIGN_OR_RETURN(const v1::Settings* settings, SettingsInForce(packed));
    return newcrm::CheckSettings(*settings);
  }
  RateLimit Limit(const google::protobuf::Any& packed) const override {
    return LimitOf(SettingsOrDefaults<v1::Settings>(packed));
  }
  std::vector<std::string> AllowedHostSuffixes() const override { return {"newcrm.example"}; }
  absl::Duration SweepInterval() const override { return absl::Minutes(10); }

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

std::unique_ptr<Adapter> MakeAdapter() { return std::make_unique<NewCrm>(); }

}  // namespace dealstream::crm::newcrm
