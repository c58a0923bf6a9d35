#include "libs/crm/hollihop/adapter.h"

#include "libs/crm/api/settings.h"
#include "libs/crm/hollihop/credential.h"
#include "libs/crm/hollihop/deal_mapper.h"
#include "libs/crm/hollihop/record_source.h"
#include "libs/crm/hollihop/settings.h"

namespace dealstream::crm::hollihop {
namespace {

class Hollihop final : public Adapter {
 public:
  std::string_view id() const override { return "hollihop"; }
  std::string_view display_name() const override { return "Hollihop"; }
  std::vector<Purpose> Purposes() const override { return {integration::v1::PURPOSE_DEALS}; }

  const google::protobuf::Message& SettingsPrototype() const override {
    return v1::Settings::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& packed, Purpose) const override {
    v1::Settings settings;
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, settings));
    return hollihop::CheckSettings(settings);
  }
  RateLimit Limit(const google::protobuf::Any& packed) const override {
    return LimitOf(SettingsOrDefaults<v1::Settings>(packed));
  }
  std::vector<std::string> AllowedHostSuffixes() const override { return {"t8s.ru"}; }
  // Deals are loaded once a day: the source document promises no more, and there are no webhooks
  // for them.
  absl::Duration SweepInterval() const override { return absl::Hours(24); }
  bool SweepsDaily() const override { return true; }

  const CredentialType& credential() const override { return credential_; }
  const RecordSource* record_source() const override { return &source_; }
  const DealMapper* deal_mapper() const override { return &mapper_; }

 private:
  Credential credential_;
  Source source_;
  Mapper mapper_;
};

}  // namespace

std::unique_ptr<Adapter> MakeAdapter() { return std::make_unique<Hollihop>(); }

}  // namespace dealstream::crm::hollihop
