#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "libs/crm/api/registry.h"
#include "services/cabinet/credentials.h"

// For the tests of this folder.
namespace dealstream::cabinet {

// A CRM "acme" with three settings: those of Money (currency_code, units, nanos).
class FakeAdapter final : public crm::Adapter,
                          crm::CredentialType,
                          crm::RecordSource,
                          crm::NoticeDecoder {
 public:
  struct Options {
    std::string id = "acme";
    bool can_list = true;
    bool lists_requests = true;
    bool has_webhooks = true;
    bool daily = false;
    absl::Duration interval = absl::Minutes(10);
  };
  explicit FakeAdapter(Options options) : options_(std::move(options)) {}

  std::string_view id() const override { return options_.id; }
  std::string_view display_name() const override { return "Acme"; }
  std::vector<crm::Purpose> Purposes() const override {
    return {integration::v1::PURPOSE_DEALS, integration::v1::PURPOSE_REQUESTS};
  }
  const google::protobuf::Message& SettingsPrototype() const override {
    return deal::v1::Money::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& settings, crm::Purpose) const override {
    deal::v1::Money money;
    settings.UnpackTo(&money);
    return money.nanos() < 0 ? absl::InvalidArgumentError("setting nanos: got less than 0")
                             : absl::OkStatus();
  }
  crm::RateLimit Limit(const google::protobuf::Any&) const override { return {}; }
  std::vector<std::string> AllowedHostSuffixes() const override { return {}; }
  absl::Duration SweepInterval() const override { return options_.interval; }
  bool SweepsDaily() const override { return options_.daily; }
  const crm::CredentialType& credential() const override { return *this; }
  const crm::NoticeDecoder* notice_decoder() const override {
    return options_.has_webhooks ? this : nullptr;
  }
  const crm::RecordSource* record_source() const override { return this; }

 private:
  std::vector<crm::CredentialFieldSpec> Fields() const override { return {}; }
  Result<std::string> CrmAccountId(const crm::CredentialFields&) const override {
    return absl::UnimplementedError("");
  }
  Result<crm::Access> MakeAccess(const crm::CredentialFields&, http::Transport&) const override {
    return absl::UnimplementedError("");
  }
  crm::NoticeReply Reply() const override { return {}; }
  Result<crm::DecodedNotice> Decode(const raw::v1::Notice&, crm::Purpose) const override {
    return absl::UnimplementedError("");
  }
  Result<crm::ReadObject> Read(const crm::ObjectRef&,
                               const google::protobuf::Any&,
                               crm::Session&) const override {
    return absl::UnimplementedError("");
  }
  bool CanList() const override { return options_.can_list; }
  bool Lists(crm::Purpose purpose) const override {
    return options_.can_list &&
           (options_.lists_requests || purpose != integration::v1::PURPOSE_REQUESTS);
  }
  Result<crm::ListPage> List(const crm::ListRequest&,
                             crm::Purpose,
                             const google::protobuf::Any&,
                             crm::Session&) const override {
    return absl::UnimplementedError("");
  }

  const Options options_;
};

inline crm::Registry FakeRegistry(std::vector<FakeAdapter::Options> options = {{}}) {
  std::vector<std::unique_ptr<crm::Adapter>> adapters;
  for (FakeAdapter::Options& one : options) {
    adapters.push_back(std::make_unique<FakeAdapter>(std::move(one)));
  }
  return crm::Registry(std::move(adapters));
}

// A vault of a few credentials.
class FakeCredentials final : public Credentials {
 public:
  void Put(const std::string& id,
           const std::string& account_id,
           const std::string& crm,
           const std::string& crm_account_id) {
    vault::v1::Credential& credential = credentials_[id];
    credential.set_id(id);
    credential.set_account_id(account_id);
    credential.set_crm(crm);
    credential.set_crm_account_id(crm_account_id);
  }
  void Fail(Status status) { failure_ = std::move(status); }

  Result<vault::v1::Credential> Get(const std::string& id) override {
    if (!failure_.ok()) {
      return failure_;
    }
    const auto found = credentials_.find(id);
    if (found == credentials_.end()) {
      return absl::NotFoundError("no such credential");
    }
    return found->second;
  }

 private:
  std::map<std::string, vault::v1::Credential> credentials_;
  Status failure_;
};

// What FakeProducer does with a record: refuses it in Send, reports an error, or never reports.
struct SendOutcome {
  Status send = {};
  Status report = {};
  bool never_reported = false;
};

// Reports each record from Send itself, as `outcome` says; keeps what was acknowledged.
class FakeProducer final : public kafka::Producer {
 public:
  using Outcome = SendOutcome;
  using Decide = std::function<Outcome(const kafka::OutRecord&)>;

  explicit FakeProducer(Decide decide = [](const kafka::OutRecord&) { return Outcome{}; })
      : decide_(std::move(decide)) {}

  Status Send(kafka::OutRecord record, Done done) override {
    const Outcome outcome = decide_(record);
    if (!outcome.send.ok()) {
      return outcome.send;
    }
    if (outcome.never_reported) {
      return absl::OkStatus();
    }
    if (!outcome.report.ok()) {
      done(outcome.report);
      return absl::OkStatus();
    }
    {
      const std::lock_guard lock(mutex_);
      written_.push_back(std::move(record));
    }
    done(kafka::Position{});
    return absl::OkStatus();
  }
  int Poll() override { return 0; }
  Status Flush(absl::Time) override { return absl::OkStatus(); }
  bool Connected() const override { return true; }

  std::vector<kafka::OutRecord> written() const {
    const std::lock_guard lock(mutex_);
    return written_;
  }

 private:
  const Decide decide_;
  mutable std::mutex mutex_;
  std::vector<kafka::OutRecord> written_;
};

}  // namespace dealstream::cabinet
