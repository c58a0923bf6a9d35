#include "services/deal-normalizer/fake_adapter.h"

#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace dealstream::normalizer {
namespace {

template <typename Entity>
Result<bool> MapText(const raw::v1::Record& record, Entity& entity) {
  const std::string body = record.parts_size() == 0 ? "" : record.parts(0).body();
  if (body == "!internal") {
    return absl::InternalError("fake: a bug");
  }
  if (body == "!none") {
    return false;
  }
  entity.Clear();
  google::protobuf::TextFormat::Parser parser;
  struct Quiet final : google::protobuf::io::ErrorCollector {
    void AddError(int, int, const std::string&) override {}
  } quiet;
  parser.RecordErrorsTo(&quiet);
  if (!parser.ParseFromString(body, &entity)) {
    return absl::InvalidArgumentError("fake part 0: want text format");
  }
  return true;
}

class FakeDealMapper final : public crm::DealMapper {
 public:
  Status Map(const raw::v1::Record& record, deal::v1::Deal& deal) const override {
    if (record.parts_size() > 0 && record.parts(0).body() == "!none") {
      return crm::NotADeal("fake: no deal");
    }
    return MapText(record, deal).status();
  }
};

class FakeRequestMapper final : public crm::RequestMapper {
 public:
  explicit FakeRequestMapper(bool is_made_once) : is_made_once_(is_made_once) {}
  Result<bool> Map(const raw::v1::Record& record, request::v1::Request& request) const override {
    return MapText(record, request);
  }
  bool IsMadeOnce() const override { return is_made_once_; }

 private:
  const bool is_made_once_;
};

class FakeCredential final : public crm::CredentialType {
 public:
  std::vector<crm::CredentialFieldSpec> Fields() const override { return {}; }
  Result<std::string> CrmAccountId(const crm::CredentialFields&) const override { return "fake"; }
  Result<crm::Access> MakeAccess(const crm::CredentialFields&, http::Transport&) const override {
    return absl::UnimplementedError("fake");
  }
};

class FakeAdapter final : public crm::Adapter {
 public:
  explicit FakeAdapter(bool requests_are_made_once) : request_mapper_(requests_are_made_once) {}
  std::string_view id() const override { return kFakeCrm; }
  std::string_view display_name() const override { return "Fake"; }
  std::vector<crm::Purpose> Purposes() const override {
    return {crm::Purpose::PURPOSE_DEALS, crm::Purpose::PURPOSE_REQUESTS};
  }
  const google::protobuf::Message& SettingsPrototype() const override {
    return google::protobuf::Any::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any&, crm::Purpose) const override {
    return absl::OkStatus();
  }
  crm::RateLimit Limit(const google::protobuf::Any&) const override { return {}; }
  std::vector<std::string> AllowedHostSuffixes() const override { return {}; }
  absl::Duration SweepInterval() const override { return absl::ZeroDuration(); }
  const crm::CredentialType& credential() const override { return credential_; }
  const crm::DealMapper* deal_mapper() const override { return &deal_mapper_; }
  const crm::RequestMapper* request_mapper() const override { return &request_mapper_; }

 private:
  const FakeCredential credential_;
  const FakeDealMapper deal_mapper_;
  const FakeRequestMapper request_mapper_;
};

}  // namespace

std::unique_ptr<crm::Adapter> MakeFakeAdapter(bool requests_are_made_once) {
  return std::make_unique<FakeAdapter>(requests_are_made_once);
}

raw::v1::Record FakeRecord(std::string_view external_id, int64_t version, std::string_view body) {
  raw::v1::Record record;
  record.set_crm(std::string(kFakeCrm));
  record.set_crm_account_id("acme");
  record.set_integration_id("int_1");
  record.set_account_id("tenant");
  record.set_purpose(crm::Purpose::PURPOSE_DEALS);
  record.set_integration_version(1);
  record.set_kind("order");
  record.set_external_id(std::string(external_id));
  record.set_version(version);
  auto* part = record.add_parts();
  part->set_name("order");
  part->set_body(std::string(body));
  record.set_cause(deal::v1::CAUSE_WEBHOOK);
  record.mutable_observed_at()->set_seconds(version);
  return record;
}

raw::v1::Record FakeGone(std::string_view external_id, int64_t observed_seconds) {
  raw::v1::Record record = FakeRecord(external_id, 0, "");
  record.clear_parts();
  record.set_gone(true);
  record.mutable_observed_at()->set_seconds(observed_seconds);
  return record;
}

}  // namespace dealstream::normalizer
