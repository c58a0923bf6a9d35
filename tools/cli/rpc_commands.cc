// Commands that ask the vault and the cabinet.

#include <iostream>
#include <memory>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "google/protobuf/util/time_util.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"

#include "dealstream/cabinet/v1/cabinet.grpc.pb.h"
#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "libs/base/secret.h"
#include "libs/base/strings.h"
#include "tools/cli/environment.h"
#include "tools/cli/messages.h"

namespace dealstream::cli {
namespace {

using cabinet::v1::CabinetService;
using google::protobuf::util::TimeUtil;
using vault::v1::VaultService;

constexpr int kCallSeconds = 15;
constexpr int kPageSize = 500;

struct Options {
  std::string id;
  std::string crm;
  std::string account;
  std::string name;
  std::string purpose;
  std::string credential;
  std::vector<std::string> fields;
  std::vector<std::string> stdin_fields;
  std::vector<std::string> settings;
  std::string from;
  std::string to;
  bool follow = false;
  bool inactive = false;
};

// ---- Calls -----------------------------------------------------------------------------------

template <typename Stub, typename Request, typename Response>
Result<Response> Call(Stub& stub,
                      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                      const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(kCallSeconds));
  Response response;
  const Status status = rpc::FromGrpc((stub.*method)(&context, request, &response));
  if (!status.ok()) {
    return status;
  }
  return response;
}

// A service is called over mTLS only. What is missing is said here: gRPC ends the process.
Result<std::shared_ptr<grpc::Channel>> Connect(const Environment& environment,
                                               const std::string& address,
                                               const std::string& name) {
  for (const auto& [key, path] : {std::pair{"tls.ca_file", &environment.tls.ca_file},
                                  {"tls.certificate_file", &environment.tls.certificate_file},
                                  {"tls.key_file", &environment.tls.key_file}}) {
    if (path->empty()) {
      return absl::InvalidArgumentError(fmt::format(
          "{} of the configuration is missing: services are called with a certificate", key));
    }
  }
  return rpc::MakeChannel(address, environment.tls, name);
}

Result<std::unique_ptr<VaultService::Stub>> Vault(const Environment& environment) {
  if (environment.vault_address.empty()) {
    return absl::InvalidArgumentError(
        "the vault's address is missing: --vault or vault.address of the configuration");
  }
  DEALSTREAM_ASSIGN_OR_RETURN(
      const auto channel, Connect(environment, environment.vault_address, environment.vault_name));
  return VaultService::NewStub(channel);
}

Result<std::unique_ptr<CabinetService::Stub>> Cabinet(const Environment& environment) {
  if (environment.cabinet_address.empty()) {
    return absl::InvalidArgumentError(
        "the cabinet's address is missing: --cabinet or cabinet.address of the configuration");
  }
  DEALSTREAM_ASSIGN_OR_RETURN(
      const auto channel,
      Connect(environment, environment.cabinet_address, environment.cabinet_name));
  return CabinetService::NewStub(channel);
}

Result<std::pair<std::string, std::string>> Split(const std::string& pair, std::string_view flag) {
  const size_t equals = pair.find('=');
  if (equals == std::string::npos || equals == 0) {
    // What was typed may be a secret: it isn't shown.
    return absl::InvalidArgumentError(fmt::format("{}: want name=value", flag));
  }
  return std::pair(pair.substr(0, equals), pair.substr(equals + 1));
}

// ---- Credentials -----------------------------------------------------------------------------

Status ReadFields(const Options& options,
                  google::protobuf::RepeatedPtrField<vault::v1::CredentialField>& fields) {
  for (const std::string& pair : options.fields) {
    DEALSTREAM_ASSIGN_OR_RETURN(auto field, Split(pair, "--field"));
    auto* added = fields.Add();
    added->set_name(std::move(field.first));
    added->set_value(std::move(field.second));
  }
  for (const std::string& name : options.stdin_fields) {
    std::string line;
    if (!std::getline(std::cin, line)) {
      return absl::InvalidArgumentError(fmt::format(
          "--field-stdin {}: standard input has ended, want a line with its value", name));
    }
    auto* added = fields.Add();
    added->set_name(name);
    added->set_value(line);
    WipeString(line);
  }
  return absl::OkStatus();
}

Json ToListed(const vault::v1::Credential& credential) {
  Result<Json> json = ToJson(credential);
  return json.ok() ? *std::move(json) : Json();
}

void PrintCredential(const vault::v1::Credential& credential,
                     const Environment& environment,
                     std::string_view done) {
  std::cout << (environment.json ? ToLine(ToListed(credential))
                                 : fmt::format("{} {} ({}, CRM account {}, version {})",
                                               credential.id(),
                                               done,
                                               credential.crm(),
                                               credential.crm_account_id(),
                                               credential.version()))
            << "\n";
}

Status AddCredential(const Options& options, Environment& environment) {
  vault::v1::PutCredentialRequest request;
  request.set_account_id(options.account);
  request.set_crm(options.crm);
  request.set_name(options.name);
  DEALSTREAM_RETURN_IF_ERROR(ReadFields(options, *request.mutable_fields()));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto vault, Vault(environment));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto response,
                              Call(*vault, &VaultService::Stub::PutCredential, request));
  PrintCredential(response.credential(), environment, "added");
  return absl::OkStatus();
}

Status RotateCredential(const Options& options, Environment& environment) {
  vault::v1::RotateCredentialRequest request;
  request.set_id(options.id);
  DEALSTREAM_RETURN_IF_ERROR(ReadFields(options, *request.mutable_fields()));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto vault, Vault(environment));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto response,
                              Call(*vault, &VaultService::Stub::RotateCredential, request));
  PrintCredential(response.credential(), environment, "rotated");
  return absl::OkStatus();
}

Status DeleteCredential(const Options& options, Environment& environment) {
  vault::v1::DeleteCredentialRequest request;
  request.set_id(options.id);
  DEALSTREAM_ASSIGN_OR_RETURN(const auto vault, Vault(environment));
  DEALSTREAM_RETURN_IF_ERROR(Call(*vault, &VaultService::Stub::DeleteCredential, request).status());
  std::cout << (environment.json ? ToLine(Json{{"id", options.id}, {"deleted", true}})
                                 : options.id + " deleted")
            << "\n";
  return absl::OkStatus();
}

Status ListCredentials(const Options& options, Environment& environment) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto vault, Vault(environment));
  vault::v1::ListCredentialsRequest request;
  request.set_account_id(options.account);
  request.set_crm(options.crm);
  request.set_page_size(kPageSize);
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"ID", "CRM", "CRM ACCOUNT", "ACCOUNT", "VERSION", "UPDATED", "REFUSED", "NAME"}};
  do {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto page,
                                Call(*vault, &VaultService::Stub::ListCredentials, request));
    for (const auto& credential : page.credentials()) {
      list.push_back(ToListed(credential));
      rows.push_back({credential.id(),
                      credential.crm(),
                      credential.crm_account_id(),
                      credential.account_id(),
                      std::to_string(credential.version()),
                      TimeUtil::ToString(credential.updated_at()),
                      credential.has_refusal() ? credential.refusal().text() : "",
                      credential.name()});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  std::cout << (environment.json ? ToLine(list) + "\n" : Table(rows));
  return absl::OkStatus();
}

// ---- Integrations ----------------------------------------------------------------------------

Result<integration::v1::Purpose> PurposeOf(const std::string& name) {
  integration::v1::Purpose purpose = integration::v1::PURPOSE_UNSPECIFIED;
  if (!integration::v1::Purpose_Parse(fmt::format("PURPOSE_{}", absl::AsciiStrToUpper(name)),
                                      &purpose) ||
      purpose == integration::v1::PURPOSE_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        fmt::format("--purpose: got \"{}\", want deals, requests, telephony or texts", name));
  }
  return purpose;
}

std::string NameOf(integration::v1::Purpose purpose) {
  return absl::AsciiStrToLower(
      integration::v1::Purpose_Name(purpose).substr(std::string_view("PURPOSE_").size()));
}

Json ToListed(const cabinet::v1::IntegrationView& view) {
  const integration::v1::Integration& integration = view.integration();
  Json settings = Json::object();
  for (const auto& setting : view.settings()) {
    settings[setting.key()] = setting.value();
  }
  return {{"id", integration.id()},
          {"webhook_url", view.webhook_url()},
          {"account_id", integration.account_id()},
          {"crm", integration.crm()},
          {"crm_account_id", integration.crm_account_id()},
          {"purpose", NameOf(integration.purpose())},
          {"active", integration.active()},
          {"credential_id", integration.credential_id()},
          {"name", integration.name()},
          {"version", integration.version()},
          {"settings", std::move(settings)}};
}

void PrintIntegration(const cabinet::v1::IntegrationView& view, const Environment& environment) {
  if (environment.json) {
    std::cout << ToLine(ToListed(view)) << "\n";
    return;
  }
  std::vector<std::vector<std::string>> rows = {
      {"id", view.integration().id()},
      {"webhook URL", view.webhook_url()},
      {"CRM",
       fmt::format("{}, {}", view.integration().crm(), NameOf(view.integration().purpose()))},
      {"CRM account", view.integration().crm_account_id()},
      {"active", view.integration().active() ? "yes" : "no"},
      {"version", std::to_string(view.integration().version())}};
  for (const auto& setting : view.settings()) {
    rows.push_back({setting.key(), setting.value()});
  }
  std::cout << Table(rows);
}

Status ReadSettings(const Options& options,
                    google::protobuf::RepeatedPtrField<cabinet::v1::Setting>& settings) {
  for (const std::string& pair : options.settings) {
    DEALSTREAM_ASSIGN_OR_RETURN(auto setting, Split(pair, "--set"));
    auto* added = settings.Add();
    added->set_key(std::move(setting.first));
    added->set_value(std::move(setting.second));
  }
  return absl::OkStatus();
}

Status AddIntegration(const Options& options, Environment& environment) {
  cabinet::v1::CreateIntegrationRequest request;
  DEALSTREAM_ASSIGN_OR_RETURN(const auto purpose, PurposeOf(options.purpose));
  request.set_purpose(purpose);
  request.set_crm(options.crm);
  request.set_account_id(options.account);
  request.set_credential_id(options.credential);
  request.set_name(options.name);
  request.set_active(!options.inactive);
  DEALSTREAM_RETURN_IF_ERROR(ReadSettings(options, *request.mutable_settings()));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto cabinet, Cabinet(environment));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto response,
                              Call(*cabinet, &CabinetService::Stub::CreateIntegration, request));
  PrintIntegration(response.view(), environment);
  return absl::OkStatus();
}

Status SetIntegration(const Options& options, Environment& environment) {
  cabinet::v1::UpdateIntegrationRequest request;
  request.set_id(options.id);
  request.set_name(options.name);
  request.set_credential_id(options.credential);
  DEALSTREAM_RETURN_IF_ERROR(ReadSettings(options, *request.mutable_settings()));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto cabinet, Cabinet(environment));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto response,
                              Call(*cabinet, &CabinetService::Stub::UpdateIntegration, request));
  PrintIntegration(response.view(), environment);
  return absl::OkStatus();
}

Status SwitchIntegration(const Options& options, Environment& environment, bool active) {
  cabinet::v1::SetIntegrationActiveRequest request;
  request.set_id(options.id);
  request.set_active(active);
  DEALSTREAM_ASSIGN_OR_RETURN(const auto cabinet, Cabinet(environment));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto response,
                              Call(*cabinet, &CabinetService::Stub::SetIntegrationActive, request));
  PrintIntegration(response.view(), environment);
  return absl::OkStatus();
}

Status ListIntegrations(const Options& options, Environment& environment) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto cabinet, Cabinet(environment));
  cabinet::v1::ListIntegrationsRequest request;
  request.set_account_id(options.account);
  request.set_crm(options.crm);
  request.set_page_size(kPageSize);
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {{"ID",
                                                 "CRM",
                                                 "PURPOSE",
                                                 "ACTIVE",
                                                 "VERSION",
                                                 "ACCOUNT",
                                                 "CRM ACCOUNT",
                                                 "CREDENTIAL",
                                                 "NAME"}};
  do {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto page,
                                Call(*cabinet, &CabinetService::Stub::ListIntegrations, request));
    for (const auto& view : page.views()) {
      const integration::v1::Integration& one = view.integration();
      list.push_back(ToListed(view));
      rows.push_back({one.id(),
                      one.crm(),
                      NameOf(one.purpose()),
                      one.active() ? "yes" : "no",
                      std::to_string(one.version()),
                      one.account_id(),
                      one.crm_account_id(),
                      one.credential_id(),
                      one.name()});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  std::cout << (environment.json ? ToLine(list) + "\n" : Table(rows));
  return absl::OkStatus();
}

// ---- Backfills -------------------------------------------------------------------------------

Result<google::protobuf::Timestamp> ParseTime(const std::string& text, std::string_view flag) {
  absl::Time time;
  for (const char* format : {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%E*S%Ez"}) {
    if (absl::ParseTime(format, text, &time, nullptr)) {
      return TimeUtil::NanosecondsToTimestamp(absl::ToUnixNanos(time));
    }
  }
  return absl::InvalidArgumentError(fmt::format(
      "{}: got \"{}\", want a date (2026-11-01, UTC) or an instant (2026-11-01T10:00:00Z)",
      flag,
      text));
}

void PrintProgress(const raw::v1::PollProgress& progress, const Environment& environment) {
  if (environment.json) {
    const Result<Json> json = ToJson(progress);
    std::cout << ToLine(json.ok() ? *json : Json()) << std::endl;
    return;
  }
  const std::string state = raw::v1::PollState_Name(progress.state());
  std::cout << fmt::format(
                   "{:<8} {} listed{}, {} read",
                   absl::AsciiStrToLower(state.substr(std::string_view("POLL_STATE_").size())),
                   progress.listed(),
                   progress.total() > 0 ? fmt::format(" of {}", progress.total()) : "",
                   progress.read())
            << std::endl;
}

Status FollowBackfill(CabinetService::Stub& cabinet,
                      const cabinet::v1::GetBackfillRequest& request,
                      Environment& environment) {
  std::string shown;
  while (true) {
    DEALSTREAM_ASSIGN_OR_RETURN(const cabinet::v1::GetBackfillResponse response,
                                Call(cabinet, &CabinetService::Stub::GetBackfill, request));
    const raw::v1::PollProgress& progress = response.progress();
    if (std::string now = progress.SerializeAsString(); now != shown) {
      shown = std::move(now);
      PrintProgress(progress, environment);
    }
    if (progress.state() == raw::v1::POLL_STATE_DONE) {
      return absl::OkStatus();
    }
    if (progress.state() == raw::v1::POLL_STATE_FAILED) {
      return absl::UnavailableError(fmt::format("backfill failed: {}", progress.error()));
    }
    absl::SleepFor(absl::Milliseconds(500));
  }
}

Status Backfill(const Options& options, Environment& environment) {
  cabinet::v1::StartBackfillRequest request;
  request.set_integration_id(options.id);
  DEALSTREAM_ASSIGN_OR_RETURN(*request.mutable_from(), ParseTime(options.from, "--from"));
  if (!options.to.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(*request.mutable_to(), ParseTime(options.to, "--to"));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const auto cabinet, Cabinet(environment));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto response,
                              Call(*cabinet, &CabinetService::Stub::StartBackfill, request));
  std::cout << (environment.json ? ToLine(Json{{"backfill_id", response.backfill_id()}})
                                 : fmt::format("backfill {}", response.backfill_id()))
            << std::endl;
  if (!options.follow) {
    return absl::OkStatus();
  }
  cabinet::v1::GetBackfillRequest get;
  get.set_integration_id(options.id);
  get.set_backfill_id(response.backfill_id());
  return FollowBackfill(*cabinet, get, environment);
}

Status PollNow(const Options& options, Environment& environment) {
  cabinet::v1::PollNowRequest request;
  request.set_integration_id(options.id);
  DEALSTREAM_ASSIGN_OR_RETURN(const auto cabinet, Cabinet(environment));
  DEALSTREAM_ASSIGN_OR_RETURN(const auto response,
                              Call(*cabinet, &CabinetService::Stub::PollNow, request));
  std::cout << (environment.json ? ToLine(Json{{"poll_id", response.poll_id()}})
                                 : fmt::format("sweep {}", response.poll_id()))
            << "\n";
  return absl::OkStatus();
}

// ---- The command line ------------------------------------------------------------------------

class Commands {
 public:
  Commands(Environment& environment, Status& outcome)
      : environment_(environment), outcome_(outcome), options_(std::make_shared<Options>()) {}

  Options& options() { return *options_; }

  CLI::App* Add(CLI::App* parent,
                const char* name,
                const char* help,
                std::function<Status(const Options&, Environment&)> run) {
    CLI::App* command = parent->add_subcommand(name, help);
    command->callback([run = std::move(run),
                       options = options_,
                       &environment = environment_,
                       &outcome = outcome_] { outcome = run(*options, environment); });
    return command;
  }

 private:
  Environment& environment_;
  Status& outcome_;
  std::shared_ptr<Options> options_;
};

void AddFieldOptions(CLI::App* command, Options& options) {
  command->add_option(
      "--field", options.fields, "A field of the credential, name=value; may be repeated");
  command->add_option("--field-stdin",
                      options.stdin_fields,
                      "Name of a field whose value is the next line of standard input");
}

void AddCredentialCommands(CLI::App& app, Commands& commands) {
  Options& options = commands.options();
  CLI::App* group =
      app.add_subcommand("credential", "What CRMs are opened with, kept in the vault");
  group->require_subcommand(1);
  CLI::App* add = commands.Add(group, "add", "Store a credential", AddCredential);
  add->add_option("--crm", options.crm, "Id of the CRM")->required();
  add->add_option("--name", options.name, "Name for people")->required();
  add->add_option(
      "--account", options.account, "Account (tenant) that alone may use it; left out: any");
  AddFieldOptions(add, options);
  CLI::App* list =
      commands.Add(group, "list", "List credentials, without their secrets", ListCredentials);
  list->add_option("--crm", options.crm, "Of this CRM only");
  list->add_option("--account", options.account, "Of this account only");
  CLI::App* rotate =
      commands.Add(group, "rotate", "Replace the fields; the id stays", RotateCredential);
  rotate->add_option("id", options.id, "Id of the credential")->required();
  AddFieldOptions(rotate, options);
  commands.Add(group, "delete", "Forget a credential for ever", DeleteCredential)
      ->add_option("id", options.id, "Id of the credential")
      ->required();
}

void AddIntegrationCommands(CLI::App& app, Commands& commands) {
  Options& options = commands.options();
  CLI::App* group =
      app.add_subcommand("integration", "An account's link to one CRM for one purpose");
  group->require_subcommand(1);
  CLI::App* add =
      commands.Add(group, "add", "Make an integration and print its webhook URL", AddIntegration);
  add->add_option("--crm", options.crm, "Id of the CRM")->required();
  add->add_option("--purpose", options.purpose, "deals, requests, telephony or texts")->required();
  add->add_option("--credential", options.credential, "Id of the credential")->required();
  add->add_option("--account", options.account, "Account (tenant) that it belongs to")->required();
  add->add_option("--name", options.name, "Name for people");
  add->add_option("--set", options.settings, "A setting, key=value; may be repeated");
  add->add_flag("--inactive", options.inactive, "Make it switched off");
  CLI::App* list = commands.Add(group, "list", "List integrations", ListIntegrations);
  list->add_option("--crm", options.crm, "Of this CRM only");
  list->add_option("--account", options.account, "Of this account only");
  CLI::App* set = commands.Add(
      group, "set", "Change settings, name or credential; the others stay", SetIntegration);
  set->add_option("id", options.id, "Id of the integration")->required();
  set->add_option("--set", options.settings, "A setting, key=value; may be repeated");
  set->add_option("--name", options.name, "New name");
  set->add_option("--credential", options.credential, "Id of another credential");
  commands
      .Add(group,
           "activate",
           "Switch on",
           [](const Options& given, Environment& environment) {
             return SwitchIntegration(given, environment, true);
           })
      ->add_option("id", options.id, "Id of the integration")
      ->required();
  commands
      .Add(group,
           "deactivate",
           "Switch off: webhooks are answered and not stored",
           [](const Options& given, Environment& environment) {
             return SwitchIntegration(given, environment, false);
           })
      ->add_option("id", options.id, "Id of the integration")
      ->required();
}

}  // namespace

void AddRpcCommands(CLI::App& app, Environment& environment, Status& outcome) {
  Commands commands(environment, outcome);
  Options& options = commands.options();
  AddCredentialCommands(app, commands);
  AddIntegrationCommands(app, commands);
  CLI::App* backfill =
      commands.Add(&app, "backfill", "Load again what changed in a range", Backfill);
  backfill->add_option("integration", options.id, "Id of the integration")->required();
  backfill->add_option("--from", options.from, "Date (UTC) or instant of the change at the CRM")
      ->required();
  backfill->add_option("--to", options.to, "The first instant not to load; left out: now");
  backfill->add_flag("--follow", options.follow, "Show progress until it is done");
  commands.Add(&app, "poll-now", "Sweep an integration for lost changes now", PollNow)
      ->add_option("integration", options.id, "Id of the integration")
      ->required();
}

}  // namespace dealstream::cli
