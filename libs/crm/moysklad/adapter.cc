#include "libs/crm/moysklad/adapter.h"

#include "libs/crm/api/settings.h"
#include "libs/crm/moysklad/credential.h"
#include "libs/crm/moysklad/deal_mapper.h"
#include "libs/crm/moysklad/notice_decoder.h"
#include "libs/crm/moysklad/record_source.h"
#include "libs/crm/moysklad/settings.h"

namespace dealstream::crm::moysklad {
namespace {

class MoySklad final : public Adapter {
 public:
  std::string_view id() const override { return "moysklad"; }
  std::string_view display_name() const override { return "МойСклад"; }
  std::vector<Purpose> Purposes() const override { return {integration::v1::PURPOSE_DEALS}; }

  const google::protobuf::Message& SettingsPrototype() const override {
    return v1::Settings::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& packed, Purpose) const override {
    v1::Settings settings;
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, settings));
    return moysklad::CheckSettings(settings);
  }
  RateLimit Limit(const google::protobuf::Any& packed) const override {
    return LimitOf(SettingsOrDefaults<v1::Settings>(packed));
  }
  std::vector<std::string> AllowedHostSuffixes() const override { return {"moysklad.ru"}; }
  // Webhooks are lost after four tries in a row; a sweep costs one call when nothing changed.
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

std::unique_ptr<Adapter> MakeAdapter() { return std::make_unique<MoySklad>(); }

}  // namespace dealstream::crm::moysklad
