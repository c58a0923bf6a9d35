#include "services/cabinet/cabinet.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "libs/base/ids.h"
#include "libs/base/strings.h"
#include "libs/crm/api/settings.h"
#include "libs/obs/log.h"
#include "services/cabinet/schedule.h"
#include "services/cabinet/times.h"

namespace dealstream::cabinet {
namespace {

using integration::v1::Integration;
using integration::v1::Purpose;

constexpr size_t kMostText = 200;
constexpr int32_t kDefaultPage = 100;
constexpr int32_t kMostPage = 1000;
// A change that nobody guards by expected_version is tried anew when another gets between.
constexpr int kUpdateTries = 5;

Status Bad(std::string text) { return absl::InvalidArgumentError(std::move(text)); }

// A text that people type: bounded, no control characters.
Status CheckText(std::string_view field, std::string_view text, bool required) {
  if (required && text.empty()) {
    return Bad(fmt::format("{}: empty, expected a value", field));
  }
  if (text.size() > kMostText) {
    return Bad(fmt::format("{}: {} bytes, expected at most {}", field, text.size(), kMostText));
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return Bad(fmt::format("{}: holds a control character", field));
    }
  }
  return absl::OkStatus();
}

std::vector<std::pair<std::string, std::string>> ToPairs(
    const google::protobuf::RepeatedPtrField<v1::Setting>& settings) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const v1::Setting& setting : settings) {
    pairs.emplace_back(setting.key(), setting.value());
  }
  return pairs;
}

std::string PurposeName(Purpose purpose) { return integration::v1::Purpose_Name(purpose); }

Status CheckPurpose(const crm::Adapter& adapter, Purpose purpose) {
  const std::vector<Purpose> purposes = adapter.Purposes();
  if (std::find(purposes.begin(), purposes.end(), purpose) != purposes.end()) {
    return absl::OkStatus();
  }
  std::vector<std::string> names;
  names.reserve(purposes.size());
  for (const Purpose known : purposes) {
    names.push_back(PurposeName(known));
  }
  return Bad(fmt::format("purpose: {} has no {}, expected one of: {}",
                         adapter.id(),
                         Purpose_IsValid(purpose) ? PurposeName(purpose) : "such purpose",
                         fmt::join(names, ", ")));
}

bool SameSettings(const google::protobuf::Any& a, const google::protobuf::Any& b) {
  // Our own messages have no maps, so equal messages have equal bytes here; were it not so, a
  // change that changes nothing would only count as one.
  return a.type_url() == b.type_url() && a.value() == b.value();
}

}  // namespace

Cabinet::Cabinet(Options options,
                 const Clock& clock,
                 const crm::Registry& registry,
                 Store& store,
                 Credentials& credentials,
                 const ProgressTables& progress,
                 std::function<void()> on_outbox)
    : options_(std::move(options)),
      clock_(clock),
      registry_(registry),
      store_(store),
      credentials_(credentials),
      progress_(progress),
      on_outbox_(std::move(on_outbox)) {}

Result<const crm::Adapter*> Cabinet::FindAdapter(const std::string& crm) const {
  const crm::Adapter* adapter = registry_.Find(crm);
  if (adapter == nullptr || !progress_.contains(crm)) {
    std::vector<std::string> names;
    for (const auto& [name, table] : progress_) {
      names.push_back(name);
    }
    return Bad(fmt::format("crm: found \"{}\", expected one of: {}", crm, fmt::join(names, ", ")));
  }
  return adapter;
}

Result<vault::v1::Credential> Cabinet::FindCredential(const std::string& id,
                                                      const std::string& account_id,
                                                      const std::string& crm) {
  DEALSTREAM_RETURN_IF_ERROR(CheckText("credential_id", id, true));
  Result<vault::v1::Credential> credential = credentials_.Get(id);
  if (credential.status().code() == absl::StatusCode::kNotFound) {
    return Bad(fmt::format("credential_id: there is no credential {}", id));
  }
  DEALSTREAM_RETURN_IF_ERROR(credential.status());
  // One that is bound to no account was stored by an operator for any of them.
  if (!credential->account_id().empty() && credential->account_id() != account_id) {
    return Bad(fmt::format("credential_id: {} isn't account {}'s", id, account_id));
  }
  if (credential->crm() != crm) {
    return Bad(fmt::format("credential_id: {} is for {}, expected {}", id, credential->crm(), crm));
  }
  if (credential->crm_account_id().empty()) {
    return absl::InternalError(fmt::format("the vault gives no CRM account id for {}", id));
  }
  return credential;
}

v1::IntegrationView Cabinet::View(const StoredIntegration& stored) const {
  v1::IntegrationView view;
  *view.mutable_integration() = stored.integration;
  const crm::Adapter* adapter = registry_.Find(stored.integration.crm());
  if (adapter == nullptr) {
    return view;
  }
  if (adapter->notice_decoder() != nullptr) {
    view.set_webhook_url(fmt::format("{}/hook/{}", options_.public_base_url, stored.webhook_token));
  }
  const auto settings =
      crm::SettingsToText(*adapter, stored.integration.purpose(), stored.integration.settings());
  if (!settings.ok()) {
    obs::Error("settings_unreadable",
               ToStd(settings.status().message()),
               {{"integration_id", stored.integration.id()}});
    return view;
  }
  for (const auto& [key, value] : *settings) {
    v1::Setting& setting = *view.add_settings();
    setting.set_key(key);
    setting.set_value(value);
  }
  return view;
}

std::optional<absl::Time> Cabinet::FirstDue(const crm::Adapter& adapter,
                                            const Integration& integration,
                                            absl::Time now) const {
  const absl::Duration interval =
      IntervalOf(adapter, integration.purpose(), options_.poll_interval);
  if (!integration.active() || interval <= absl::ZeroDuration()) {
    return std::nullopt;
  }
  return NextDue(integration.id(), now, interval);
}

Result<v1::CreateIntegrationResponse> Cabinet::Create(const v1::CreateIntegrationRequest& request) {
  DEALSTREAM_RETURN_IF_ERROR(CheckText("account_id", request.account_id(), true));
  DEALSTREAM_RETURN_IF_ERROR(CheckText("name", request.name(), false));
  DEALSTREAM_ASSIGN_OR_RETURN(const crm::Adapter* adapter, FindAdapter(request.crm()));
  DEALSTREAM_RETURN_IF_ERROR(CheckPurpose(*adapter, request.purpose()));
  DEALSTREAM_ASSIGN_OR_RETURN(
      google::protobuf::Any settings,
      crm::SettingsFromText(*adapter, request.purpose(), nullptr, ToPairs(request.settings())));
  DEALSTREAM_ASSIGN_OR_RETURN(
      const vault::v1::Credential credential,
      FindCredential(request.credential_id(), request.account_id(), request.crm()));

  const absl::Time now = clock_.Now();
  StoredIntegration stored;
  stored.webhook_token = NewToken();
  Integration& integration = stored.integration;
  integration.set_id(NewId("int_", clock_));
  integration.set_account_id(request.account_id());
  integration.set_crm(request.crm());
  integration.set_crm_account_id(credential.crm_account_id());
  integration.set_purpose(request.purpose());
  integration.set_active(request.active());
  integration.set_credential_id(request.credential_id());
  *integration.mutable_settings() = std::move(settings);
  integration.set_version(1);
  integration.set_webhook_token_sha256(Sha256(stored.webhook_token));
  integration.set_name(request.name());
  *integration.mutable_created_at() = ToProto(now);
  *integration.mutable_updated_at() = ToProto(now);

  DEALSTREAM_RETURN_IF_ERROR(store_.Insert(
      stored, {IntegrationRecord(integration)}, FirstDue(*adapter, integration, now)));
  on_outbox_();
  obs::Info("integration_created",
            "an integration was made",
            {{"crm", integration.crm()}, {"integration_id", integration.id()}});
  v1::CreateIntegrationResponse response;
  *response.mutable_view() = View(stored);
  return response;
}

Result<Integration> Cabinet::Changed(const Integration& old,
                                     const v1::UpdateIntegrationRequest& request) {
  Integration changed = old;
  DEALSTREAM_RETURN_IF_ERROR(CheckText("name", request.name(), false));
  if (!request.name().empty()) {
    changed.set_name(request.name());
  }
  if (!request.settings().empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const crm::Adapter* adapter, FindAdapter(old.crm()));
    DEALSTREAM_ASSIGN_OR_RETURN(
        google::protobuf::Any settings,
        crm::SettingsFromText(
            *adapter, old.purpose(), &old.settings(), ToPairs(request.settings())));
    *changed.mutable_settings() = std::move(settings);
  }
  if (!request.credential_id().empty() && request.credential_id() != old.credential_id()) {
    DEALSTREAM_ASSIGN_OR_RETURN(
        const vault::v1::Credential credential,
        FindCredential(request.credential_id(), old.account_id(), old.crm()));
    if (credential.crm_account_id() != old.crm_account_id()) {
      return Bad(
          fmt::format("credential_id: {} opens CRM account {}, expected {}: an integration's CRM "
                      "account never changes, make a new one",
                      credential.id(),
                      credential.crm_account_id(),
                      old.crm_account_id()));
    }
    changed.set_credential_id(request.credential_id());
  }
  return changed;
}

Result<v1::UpdateIntegrationResponse> Cabinet::Update(const v1::UpdateIntegrationRequest& request) {
  for (int attempt = 1;; ++attempt) {
    DEALSTREAM_ASSIGN_OR_RETURN(StoredIntegration stored, store_.Get(request.id()));
    const int64_t old_version = stored.integration.version();
    if (request.expected_version() != 0 && request.expected_version() != old_version) {
      return absl::AbortedError(fmt::format("integration {}: it is version {}, expected {}",
                                            request.id(),
                                            old_version,
                                            request.expected_version()));
    }
    DEALSTREAM_ASSIGN_OR_RETURN(Integration changed, Changed(stored.integration, request));
    const bool same = changed.name() == stored.integration.name() &&
                      changed.credential_id() == stored.integration.credential_id() &&
                      SameSettings(changed.settings(), stored.integration.settings());
    v1::UpdateIntegrationResponse response;
    if (same) {
      *response.mutable_view() = View(stored);
      return response;
    }
    const absl::Time now = clock_.Now();
    changed.set_version(old_version + 1);
    *changed.mutable_updated_at() = ToProto(now);
    const crm::Adapter* adapter = registry_.Find(changed.crm());
    const Status updated =
        store_.Update(changed,
                      old_version,
                      {IntegrationRecord(changed)},
                      adapter == nullptr ? std::nullopt : FirstDue(*adapter, changed, now));
    if (updated.code() == absl::StatusCode::kAborted && request.expected_version() == 0 &&
        attempt < kUpdateTries) {
      continue;
    }
    DEALSTREAM_RETURN_IF_ERROR(updated);
    on_outbox_();
    stored.integration = std::move(changed);
    *response.mutable_view() = View(stored);
    return response;
  }
}

Result<v1::SetIntegrationActiveResponse> Cabinet::SetActive(
    const v1::SetIntegrationActiveRequest& request) {
  for (int attempt = 1;; ++attempt) {
    DEALSTREAM_ASSIGN_OR_RETURN(StoredIntegration stored, store_.Get(request.id()));
    Integration& integration = stored.integration;
    v1::SetIntegrationActiveResponse response;
    if (integration.active() == request.active()) {
      *response.mutable_view() = View(stored);
      return response;
    }
    const absl::Time now = clock_.Now();
    const int64_t old_version = integration.version();
    integration.set_active(request.active());
    integration.set_version(old_version + 1);
    *integration.mutable_updated_at() = ToProto(now);
    std::vector<kafka::OutRecord> records = {IntegrationRecord(integration)};
    const crm::Adapter* adapter = registry_.Find(integration.crm());
    std::optional<absl::Time> due;
    if (adapter != nullptr) {
      due = FirstDue(*adapter, integration, now);
    }
    if (due) {
      // While it was off its webhooks were not stored: look at once for what they told of.
      records.push_back(TickRecord(
          integration,
          {.poll_id = NewId("pol_", clock_), .cause = SweepCauseOf(*adapter), .from = {}, .to = {}},
          now));
    }
    const Status updated = store_.Update(integration, old_version, records, due);
    if (updated.code() == absl::StatusCode::kAborted && attempt < kUpdateTries) {
      continue;
    }
    DEALSTREAM_RETURN_IF_ERROR(updated);
    on_outbox_();
    *response.mutable_view() = View(stored);
    return response;
  }
}

Result<v1::GetIntegrationResponse> Cabinet::Get(const v1::GetIntegrationRequest& request) {
  DEALSTREAM_ASSIGN_OR_RETURN(const StoredIntegration stored, store_.Get(request.id()));
  v1::GetIntegrationResponse response;
  *response.mutable_view() = View(stored);
  return response;
}

Result<v1::ListIntegrationsResponse> Cabinet::List(const v1::ListIntegrationsRequest& request) {
  if (request.page_size() < 0 || request.page_size() > kMostPage) {
    return Bad(
        fmt::format("page_size: found {}, expected 0 to {}", request.page_size(), kMostPage));
  }
  // The token is the last id of the page before.
  if (!request.page_token().empty() && !request.page_token().starts_with("int_")) {
    return Bad("page_token: not one that this service gave");
  }
  const int64_t size = request.page_size() == 0 ? kDefaultPage : request.page_size();
  DEALSTREAM_ASSIGN_OR_RETURN(
      std::vector<StoredIntegration> page,
      store_.List(request.account_id(), request.crm(), request.page_token(), size + 1));
  v1::ListIntegrationsResponse response;
  if (page.size() > static_cast<size_t>(size)) {
    page.pop_back();
    response.set_next_page_token(page.back().integration.id());
  }
  for (const StoredIntegration& stored : page) {
    *response.add_views() = View(stored);
  }
  return response;
}

Result<std::pair<StoredIntegration, const crm::Adapter*>> Cabinet::FindListable(
    const std::string& id) {
  DEALSTREAM_ASSIGN_OR_RETURN(StoredIntegration stored, store_.Get(id));
  DEALSTREAM_ASSIGN_OR_RETURN(const crm::Adapter* adapter, FindAdapter(stored.integration.crm()));
  const crm::RecordSource* source = adapter->record_source();
  if (source == nullptr || !source->Lists(stored.integration.purpose())) {
    return absl::FailedPreconditionError(
        fmt::format("integration {}: {} can't list what changed, not for {}",
                    id,
                    adapter->id(),
                    PurposeName(stored.integration.purpose())));
  }
  if (!stored.integration.active()) {
    return absl::FailedPreconditionError(
        fmt::format("integration {}: it is switched off, switch it on first", id));
  }
  return std::make_pair(std::move(stored), adapter);
}

Result<v1::StartBackfillResponse> Cabinet::StartBackfill(const v1::StartBackfillRequest& request) {
  if (!request.has_from()) {
    return Bad("from: absent, expected the time to begin at");
  }
  const absl::Time now = clock_.Now();
  Backfill backfill{.id = NewId("bkf_", clock_),
                    .integration_id = request.integration_id(),
                    .from = FromProto(request.from()),
                    .to = request.has_to() ? FromProto(request.to()) : absl::InfiniteFuture(),
                    .created_at = now};
  if (backfill.from >= std::min(backfill.to, now)) {
    return Bad(fmt::format("from: {} isn't before the end, {}",
                           absl::FormatTime(backfill.from, absl::UTCTimeZone()),
                           request.has_to() ? absl::FormatTime(backfill.to, absl::UTCTimeZone())
                                            : std::string("now")));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const auto found, FindListable(request.integration_id()));
  Tick tick{.poll_id = backfill.id,
            .cause = deal::v1::CAUSE_BACKFILL,
            .from = backfill.from,
            .to = std::nullopt};
  if (request.has_to()) {
    tick.to = backfill.to;
  }
  DEALSTREAM_RETURN_IF_ERROR(
      store_.InsertBackfill(backfill, TickRecord(found.first.integration, tick, now)));
  on_outbox_();
  obs::Info("backfill_started",
            "a backfill was ordered",
            {{"crm", found.first.integration.crm()},
             {"integration_id", backfill.integration_id},
             {"backfill_id", backfill.id}});
  v1::StartBackfillResponse response;
  response.set_backfill_id(backfill.id);
  return response;
}

Result<v1::GetBackfillResponse> Cabinet::GetBackfill(const v1::GetBackfillRequest& request) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Backfill backfill, store_.GetBackfill(request.backfill_id()));
  if (!request.integration_id().empty() && request.integration_id() != backfill.integration_id) {
    return absl::NotFoundError(fmt::format("backfill {}: integration {} has none of that id",
                                           request.backfill_id(),
                                           request.integration_id()));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const StoredIntegration stored, store_.Get(backfill.integration_id));
  v1::GetBackfillResponse response;
  const auto table = progress_.find(stored.integration.crm());
  if (table != progress_.end()) {
    if (auto progress = table->second->Backfill(backfill.integration_id, backfill.id)) {
      *response.mutable_progress() = *std::move(progress);
      return response;
    }
  }
  // Ordered, and the reader hasn't come to it yet.
  raw::v1::PollProgress& progress = *response.mutable_progress();
  progress.set_poll_id(backfill.id);
  progress.set_integration_id(backfill.integration_id);
  progress.set_cause(deal::v1::CAUSE_BACKFILL);
  progress.set_state(raw::v1::POLL_STATE_RUNNING);
  *progress.mutable_updated_at() = ToProto(backfill.created_at);
  return response;
}

Result<v1::PollNowResponse> Cabinet::PollNow(const v1::PollNowRequest& request) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto found, FindListable(request.integration_id()));
  const std::string poll_id = NewId("pol_", clock_);
  DEALSTREAM_RETURN_IF_ERROR(store_.Enqueue(
      TickRecord(found.first.integration,
                 {.poll_id = poll_id, .cause = SweepCauseOf(*found.second), .from = {}, .to = {}},
                 clock_.Now())));
  on_outbox_();
  v1::PollNowResponse response;
  response.set_poll_id(poll_id);
  return response;
}

}  // namespace dealstream::cabinet
