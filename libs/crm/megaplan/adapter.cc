#include "libs/crm/megaplan/adapter.h"

#include "libs/crm/api/settings.h"
#include "libs/crm/megaplan/credential.h"
#include "libs/crm/megaplan/deal_mapper.h"
#include "libs/crm/megaplan/notice_decoder.h"
#include "libs/crm/megaplan/record_source.h"
#include "libs/crm/megaplan/settings.h"

namespace dealstream::crm::megaplan {
namespace {

class Megaplan final : public Adapter {
 public:
  std::string_view id() const override { return "megaplan"; }
  std::string_view display_name() const override { return "Мегаплан"; }
  std::vector<Purpose> Purposes() const override { return {integration::v1::PURPOSE_DEALS}; }

  const google::protobuf::Message& SettingsPrototype() const override {
    return v1::Settings::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& packed, Purpose) const override {
    v1::Settings settings;
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, settings));
    return megaplan::CheckSettings(settings);
  }
  RateLimit Limit(const google::protobuf::Any& packed) const override {
    return LimitOf(SettingsOrDefaults<v1::Settings>(packed));
  }
  std::vector<std::string> AllowedHostSuffixes() const override { return {"megaplan.ru"}; }
  // Webhooks may be lost, and nothing says how often one is tried again; a sweep costs one call
  // when less than a page has changed within the last hour.
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

std::unique_ptr<Adapter> MakeAdapter() { return std::make_unique<Megaplan>(); }

}  // namespace dealstream::crm::megaplan
