#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "google/protobuf/any.pb.h"
#include <fmt/format.h>

#include "libs/crm/api/registry.h"

// CRMs of our own making, for tests and benchmarks of the vault.
namespace dealstream::vault {

// A CRM that takes a login and a password, and makes a header of them.
class AcmeCredential final : public crm::CredentialType {
 public:
  std::vector<crm::CredentialFieldSpec> Fields() const override {
    return {{.name = "login", .label_ru = "Логин", .label_en = "Login"},
            {.name = "password", .label_ru = "Пароль", .label_en = "Password", .secret = true},
            {.name = "base_url", .label_ru = "Адрес", .label_en = "Address", .required = false}};
  }
  Result<std::string> CrmAccountId(const crm::CredentialFields& fields) const override {
    const std::string_view login = fields.at(0).second.Reveal(RevealToken());
    const size_t at = login.find('@');
    if (at == std::string_view::npos) {
      return absl::InvalidArgumentError("login: want user@company");
    }
    return std::string(login.substr(at + 1));
  }
  Result<crm::Access> MakeAccess(const crm::CredentialFields& fields,
                                 http::Transport& /*login*/) const override {
    ++making;
    if (before_making) {
      before_making();
    }
    ++made;
    crm::Access access;
    access.base_url = "https://api.acme.example";
    access.headers.emplace_back(
        "authorization", Secret(fmt::format("Key {}", fields.at(1).second.Reveal(RevealToken()))));
    return access;
  }

  // Called in MakeAccess, which may be made to wait there.
  std::function<void()> before_making;
  mutable std::atomic<int> making = 0;
  mutable std::atomic<int> made = 0;
};

// A CRM whose tokens are minted by a login and renewed by what the login left.
class MintCredential final : public crm::CredentialType {
 public:
  std::vector<crm::CredentialFieldSpec> Fields() const override {
    return {{.name = "login", .label_ru = "Логин", .label_en = "Login"},
            {.name = "password", .label_ru = "Пароль", .label_en = "Password", .secret = true}};
  }
  Result<std::string> CrmAccountId(const crm::CredentialFields& /*fields*/) const override {
    return "mint-1";
  }
  Result<crm::Login> LogIn(const crm::CredentialFields& fields,
                           const crm::LoginContext& context,
                           http::Transport& /*transport*/) const override {
    ++begun;
    const std::lock_guard lock(mutex);
    states.emplace_back(context.state.Reveal(RevealToken()));
    DEALSTREAM_RETURN_IF_ERROR(refusal);
    crm::Login login;
    login.access.base_url = "https://api.acme.example";
    login.access.headers.emplace_back(
        "authorization",
        Secret(fmt::format(
            "Token {} of {}", states.size(), fields.at(0).second.Reveal(RevealToken()))));
    login.access.expires_at = context.now + lifetime;
    login.state = Secret(next_state);
    return login;
  }

  mutable std::atomic<int> begun = 0;
  // Held, logins hang.
  mutable std::mutex mutex;
  // What each login was told.
  mutable std::vector<std::string> states;
  Status refusal;
  absl::Duration lifetime = absl::Minutes(14);
  std::string next_state;
};

class AcmeAdapter final : public crm::Adapter {
 public:
  explicit AcmeAdapter(const crm::CredentialType& credential, std::string_view id = "acme")
      : credential_(credential), id_(id) {}
  std::string_view id() const override { return id_; }
  std::string_view display_name() const override { return "Acme"; }
  std::vector<crm::Purpose> Purposes() const override { return {crm::Purpose::PURPOSE_DEALS}; }
  const google::protobuf::Message& SettingsPrototype() const override {
    return google::protobuf::Any::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& /*settings*/,
                       crm::Purpose /*purpose*/) const override {
    return absl::OkStatus();
  }
  crm::RateLimit Limit(const google::protobuf::Any& /*settings*/) const override { return {}; }
  std::vector<std::string> AllowedHostSuffixes() const override { return {"acme.example"}; }
  absl::Duration SweepInterval() const override { return absl::ZeroDuration(); }
  const crm::CredentialType& credential() const override { return credential_; }

 private:
  const crm::CredentialType& credential_;
  const std::string_view id_;
};

class NoTransport final : public http::Transport {
 public:
  Result<http::Response> Send(const http::Request& /*request*/) override {
    return absl::UnavailableError("no network in this test");
  }
};

}  // namespace dealstream::vault
