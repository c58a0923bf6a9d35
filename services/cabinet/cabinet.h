#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "dealstream/cabinet/v1/cabinet.pb.h"
#include "libs/base/clock.h"
#include "libs/base/status.h"
#include "libs/crm/api/registry.h"
#include "services/cabinet/credentials.h"
#include "services/cabinet/progress.h"
#include "services/cabinet/store.h"

namespace dealstream::cabinet {

// One table for each CRM that is served.
using ProgressTables = std::map<std::string, std::unique_ptr<ProgressTable>, std::less<>>;

// What the gRPC service answers, without gRPC: checks, then one transaction of the store. Blocks
// for the database and, where a credential is named, for the vault. Thread-safe.
//
// Errors: InvalidArgument names the field or setting, what was found and what was expected;
// NotFound; Aborted when the integration has changed since; FailedPrecondition when the thing can't
// be done to this integration as it is; Unavailable for the database or the vault.
class Cabinet {
 public:
  struct Options {
    // Before "/hook/<token>"; no trailing slash.
    std::string public_base_url;
    // Zero: as each adapter says.
    absl::Duration poll_interval;
  };

  // The references outlive this object. `on_outbox` is called after each transaction that wrote to
  // the outbox.
  Cabinet(Options options,
          const Clock& clock,
          const crm::Registry& registry,
          Store& store,
          Credentials& credentials,
          const ProgressTables& progress,
          std::function<void()> on_outbox);

  Result<v1::CreateIntegrationResponse> Create(const v1::CreateIntegrationRequest& request);
  Result<v1::UpdateIntegrationResponse> Update(const v1::UpdateIntegrationRequest& request);
  Result<v1::SetIntegrationActiveResponse> SetActive(
      const v1::SetIntegrationActiveRequest& request);
  Result<v1::GetIntegrationResponse> Get(const v1::GetIntegrationRequest& request);
  Result<v1::ListIntegrationsResponse> List(const v1::ListIntegrationsRequest& request);
  Result<v1::StartBackfillResponse> StartBackfill(const v1::StartBackfillRequest& request);
  Result<v1::GetBackfillResponse> GetBackfill(const v1::GetBackfillRequest& request);
  Result<v1::PollNowResponse> PollNow(const v1::PollNowRequest& request);

 private:
  // The adapter of a CRM that is served.
  Result<const crm::Adapter*> FindAdapter(const std::string& crm) const;
  // The credential, checked to be the tenant's and this CRM's.
  Result<vault::v1::Credential> FindCredential(const std::string& id,
                                               const std::string& account_id,
                                               const std::string& crm);
  v1::IntegrationView View(const StoredIntegration& stored) const;
  std::optional<absl::Time> FirstDue(const crm::Adapter& adapter,
                                     const integration::v1::Integration& integration,
                                     absl::Time now) const;
  // An active integration whose CRM can list what changed, for ticks.
  Result<std::pair<StoredIntegration, const crm::Adapter*>> FindListable(const std::string& id);
  // The changes that a request asks for, on a copy.
  Result<integration::v1::Integration> Changed(const integration::v1::Integration& old,
                                               const v1::UpdateIntegrationRequest& request);

  const Options options_;
  const Clock& clock_;
  const crm::Registry& registry_;
  Store& store_;
  Credentials& credentials_;
  const ProgressTables& progress_;
  const std::function<void()> on_outbox_;
};

}  // namespace dealstream::cabinet
