#include "services/credential-vault/vault.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <soci/soci.h>
#include <sys/stat.h>

#include "dealstream/vault/v1/vault.grpc.pb.h"
#include "libs/base/strings.h"
#include "libs/obs/metrics.h"
#include "libs/rpc/rpc.h"
#include "services/credential-vault/acme.h"
#include "services/credential-vault/fields.h"
#include "services/credential-vault/grpc_service.h"
#include "services/credential-vault/keeper.h"
#include "services/credential-vault/store.h"

namespace dealstream::vault {
namespace {

using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

constexpr char kPlanted[] = "pl4nted-p4ssword";

template <typename T>
T ValueOf(Result<T> result) {
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The whole vault but its network, over a store and keys in a folder of its own.
class VaultTest : public testing::Test {
 protected:
  VaultTest() {
    std::string pattern = (fs::temp_directory_path() / "vault-test-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 1);
    root_keys_ = ValueOf(RootKeyFile::Open(KeyPath()));
    database_ = ValueOf(storage::Database::Open(StoreUrl()));
    EXPECT_TRUE(database_->Migrate(Migrations()).ok());
    Restart();
  }
  ~VaultTest() override {
    Stop();
    database_.reset();
    fs::remove_all(folder_);
  }

  void Stop() {
    audit_.reset();
    workers_.reset();
    logins_.clear();
    vault_.reset();
    issuer_.reset();
  }
  // `narrow` may have access to one CRM's credentials only, `wide` to all.
  void LoadNarrowPolicy() {
    const std::string path = folder_ + "/policy.yaml";
    std::ofstream(path) << "callers:\n  dealctl:\n    methods: [PutCredential]\n"
                        << "  narrow:\n    methods: [IssueAccess]\n    crms: [acme]\n"
                        << "  wide:\n    methods: [IssueAccess]\n";
    policy_ = ValueOf(Policy::Load(path));
    Restart();
  }
  void Restart() {
    Stop();
    audit_ = std::make_unique<AuditWriter>(*database_, clock_, [](const Status&) {});
    workers_ = std::make_unique<WorkerPool>(2, 100);
    for (const char* crm : {"acme", "mint"}) {
      logins_[crm] = std::make_unique<WorkerPool>(1, 100);
    }
    issuer_ = std::make_unique<AccessIssuer>(
        issuer_options_,
        clock_,
        registry_,
        *database_,
        *root_keys_,
        [this](std::string_view) -> http::Transport& { return transport_; },
        *workers_,
        [this](std::string_view crm) -> WorkerPool& { return *logins_.find(crm)->second; },
        vault_metrics_);
    vault_ = std::make_unique<Vault>(Vault::Parts{.clock = clock_,
                                                  .registry = registry_,
                                                  .database = *database_,
                                                  .root_keys = *root_keys_,
                                                  .policy = policy_,
                                                  .audit = *audit_,
                                                  .issuer = *issuer_,
                                                  .metrics = vault_metrics_,
                                                  .allow_loopback = false});
  }

  static crm::Registry MakeRegistry(const AcmeCredential& credential, const MintCredential& mint) {
    std::vector<std::unique_ptr<crm::Adapter>> adapters;
    adapters.push_back(std::make_unique<AcmeAdapter>(credential));
    adapters.push_back(std::make_unique<AcmeAdapter>(mint, "mint"));
    return crm::Registry(std::move(adapters));
  }
  std::string KeyPath() const { return folder_ + "/root-keys"; }
  std::string StoreUrl() const { return fmt::format("sqlite3://{}/vault.db", folder_); }

  static v1::PutCredentialRequest PutRequest(const std::string& login = "anna@romashka",
                                             const std::string& password = kPlanted) {
    v1::PutCredentialRequest request;
    request.set_account_id("tenant-1");
    request.set_crm("acme");
    request.set_name("Shop");
    AddField(*request.mutable_fields(), "login", login);
    AddField(*request.mutable_fields(), "password", password);
    return request;
  }
  static void AddField(google::protobuf::RepeatedPtrField<v1::CredentialField>& fields,
                       const std::string& name,
                       const std::string& value) {
    v1::CredentialField& field = *fields.Add();
    field.set_name(name);
    field.set_value(value);
  }
  std::string PutMint() {
    v1::PutCredentialRequest request = PutRequest();
    request.set_crm("mint");
    return ValueOf(vault_->PutCredential("dealctl", request)).id();
  }
  std::string Put() { return ValueOf(vault_->PutCredential("dealctl", PutRequest())).id(); }
  v1::RotateCredentialRequest RotateRequest(const std::string& id,
                                            const std::string& login,
                                            const std::string& password) {
    v1::RotateCredentialRequest request;
    request.set_id(id);
    AddField(*request.mutable_fields(), "login", login);
    AddField(*request.mutable_fields(), "password", password);
    return request;
  }

  Result<v1::Access> Issue(const std::string& id,
                           const std::string& caller = "crm-reader",
                           int64_t refused = 0) {
    std::promise<Result<v1::Access>> promise;
    vault_->IssueAccess(
        caller, id, refused, [&promise](const Result<AccessIssuer::Access>& issued) {
          if (!issued.ok()) {
            promise.set_value(issued.status());
            return;
          }
          v1::IssueAccessResponse response;
          EXPECT_TRUE(
              response.ParseFromString(std::string((*issued)->response.Reveal(RevealToken()))));
          promise.set_value(response.access());
        });
    return promise.get_future().get();
  }

  int CountAudit(const std::string& method) {
    int rows = -1;
    EXPECT_TRUE(database_
                    ->Read([&](soci::session& session) -> Status {
                      session << "SELECT COUNT(*) FROM audit WHERE method = :method",
                          soci::use(method), soci::into(rows);
                      return absl::OkStatus();
                    })
                    .ok());
    return rows;
  }

  // Runs SQL by hand, as somebody who has the file would.
  void Sql(const std::string& statement) {
    const Status status = TrySql(statement);
    EXPECT_TRUE(status.ok()) << status;
  }
  Status TrySql(const std::string& statement) {
    return database_->Write([&](soci::session& session) -> Status {
      session << statement;
      return absl::OkStatus();
    });
  }

  AcmeCredential credential_;
  MintCredential mint_;
  crm::Registry registry_ = MakeRegistry(credential_, mint_);
  AccessIssuer::Options issuer_options_;
  Clock& clock_ = Clock::System();
  obs::Metrics metrics_{"test", "1", "r"};
  VaultMetrics vault_metrics_{metrics_, registry_};
  Policy policy_ = Policy::Default();
  NoTransport transport_;
  std::string folder_;
  std::unique_ptr<RootKeyFile> root_keys_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<AccessIssuer> issuer_;
  std::unique_ptr<Vault> vault_;
  std::map<std::string, std::unique_ptr<WorkerPool>, std::less<>> logins_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<AuditWriter> audit_;
};

TEST_F(VaultTest, ACredentialBecomesAccess) {  // M4
  const v1::Credential put = ValueOf(vault_->PutCredential("dealctl", PutRequest()));
  EXPECT_EQ(put.crm_account_id(), "romashka");
  EXPECT_EQ(put.version(), 1);
  ASSERT_EQ(put.plain_fields_size(), 1);
  EXPECT_EQ(put.plain_fields(0).value(), "anna@romashka");
  const v1::Access access = ValueOf(Issue(put.id()));
  EXPECT_EQ(access.base_url(), "https://api.acme.example");
  ASSERT_EQ(access.headers_size(), 1);
  EXPECT_EQ(access.headers(0).value(), fmt::format("Key {}", kPlanted));
}

TEST_F(VaultTest, AccessIsMadeOnceAndKept) {
  const std::string id = Put();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(Issue(id).ok());
  }
  EXPECT_EQ(credential_.made.load(), 1);
}

TEST_F(VaultTest, ThoseWhoAskAtOnceShareOneMaking) {
  const std::string id = Put();
  std::promise<void> release;
  credential_.before_making = [gate = release.get_future().share()] { gate.wait(); };
  std::vector<std::future<Result<v1::Access>>> answers;
  for (int i = 0; i < 8; ++i) {
    answers.push_back(std::async(std::launch::async, [this, id] { return Issue(id); }));
  }
  while (credential_.making < 1) {
    std::this_thread::yield();
  }
  release.set_value();
  for (auto& answer : answers) {
    EXPECT_TRUE(answer.get().ok());
  }
  EXPECT_EQ(credential_.made, 1);
}

// Access of the old password, still in the making when the new one is stored, is kept for nobody.
TEST_F(VaultTest, WhatWasInTheMakingBeforeARotationIsNotKept) {
  const std::string id = Put();
  std::promise<void> release;
  credential_.before_making = [gate = release.get_future().share()] { gate.wait(); };
  auto before = std::async(std::launch::async, [this, id] { return Issue(id); });
  while (credential_.making < 1) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(vault_->RotateCredential("dealctl", RotateRequest(id, "anna@romashka", "n3w")).ok());
  release.set_value();
  EXPECT_EQ(ValueOf(before.get()).version(), 1);
  EXPECT_EQ(ValueOf(Issue(id)).version(), 2);
}

TEST_F(VaultTest, ARefusedStaticCredentialGivesTheSameAgainAndIsCounted) {
  const std::string id = Put();
  EXPECT_EQ(ValueOf(Issue(id, "crm-reader", 1)).version(), 1);
  issuer_->UpdateFailing();
  EXPECT_THAT(metrics_.Render(), HasSubstr("credentials_failing{crm=\"acme\"} 1"));
  EXPECT_TRUE(vault_->RotateCredential("dealctl", RotateRequest(id, "anna@romashka", "n3w")).ok());
  EXPECT_EQ(ValueOf(Issue(id, "crm-reader", 1)).version(), 2);
  issuer_->UpdateFailing();
  EXPECT_THAT(metrics_.Render(), HasSubstr("credentials_failing{crm=\"acme\"} 0"));
}

// ---- Minted tokens
// -------------------------------------------------------------------------------

TEST_F(VaultTest, AMintedTokenIsMadeOnceUntilItExpires) {
  issuer_options_.cache_ttl = absl::Nanoseconds(1);
  Restart();
  const std::string id = PutMint();
  const v1::Access first = ValueOf(Issue(id));
  EXPECT_TRUE(first.has_expires_at());
  EXPECT_EQ(ValueOf(Issue(id)).version(), first.version());
  EXPECT_EQ(mint_.states.size(), 1u);
  mint_.lifetime = absl::Seconds(30);
  EXPECT_GT(ValueOf(Issue(id, "crm-reader", first.version())).version(), first.version());
  // In its last minute it is as good as expired.
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_EQ(mint_.states.size(), 3u);
}

TEST_F(VaultTest, ARefusedTokenIsMintedAnewOnceAndThenItsOwnerIsTold) {
  const std::string id = PutMint();
  const v1::Access first = ValueOf(Issue(id));
  const v1::Access second = ValueOf(Issue(id, "crm-reader", first.version()));
  EXPECT_GT(second.version(), first.version());
  EXPECT_EQ(mint_.states.size(), 2u);
  // The refusal of the old one comes late: the new one is there already.
  EXPECT_EQ(ValueOf(Issue(id, "crm-reader", first.version())).version(), second.version());

  const Status refused = Issue(id, "crm-reader", second.version()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(ReasonOf(refused), "credential_refused");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Issue(id).status().code(), absl::StatusCode::kUnauthenticated);
  }
  EXPECT_EQ(mint_.states.size(), 2u) << "no login more";
  EXPECT_THAT(ValueOf(vault_->GetCredential("cabinet", id)).refusal().text(),
              HasSubstr("may use the API"));
  issuer_->UpdateFailing();
  EXPECT_THAT(metrics_.Render(), HasSubstr("credentials_failing{crm=\"mint\"} 1"));

  EXPECT_TRUE(vault_->RotateCredential("dealctl", RotateRequest(id, "anna", "n3w")).ok());
  EXPECT_FALSE(ValueOf(vault_->GetCredential("cabinet", id)).has_refusal());
  EXPECT_GT(ValueOf(Issue(id, "crm-reader", second.version())).version(), second.version());
  EXPECT_EQ(mint_.states.size(), 3u);
}

TEST_F(VaultTest, ARefusedLoginIsNotRepeatedUntilTheCredentialChanges) {
  const std::string id = PutMint();
  mint_.refusal = absl::PermissionDeniedError("log_in: got status 403: check the key");
  for (int i = 0; i < 5; ++i) {
    const Status status = Issue(id).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << "PERMISSION_DENIED is ours";
    EXPECT_THAT(status.ToString(), HasSubstr("check the key"));
  }
  EXPECT_EQ(mint_.states.size(), 1u);
  const v1::ListCredentialsResponse list =
      ValueOf(vault_->ListCredentials("dealctl", v1::ListCredentialsRequest()));
  ASSERT_EQ(list.credentials_size(), 1);
  EXPECT_THAT(list.credentials(0).refusal().text(), HasSubstr("check the key"));
  EXPECT_GT(list.credentials(0).refusal().at().seconds(), 0);
  mint_.refusal = absl::OkStatus();
  EXPECT_TRUE(vault_->RotateCredential("dealctl", RotateRequest(id, "anna", "n3w")).ok());
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_EQ(mint_.states.size(), 2u);
}

TEST_F(VaultTest, ARefusedLoginIsTriedAgainAfterAWhile) {
  issuer_options_.retry_refused_after = absl::ZeroDuration();
  Restart();
  const std::string id = PutMint();
  mint_.refusal = absl::UnauthenticatedError("no");
  EXPECT_FALSE(Issue(id).ok());
  mint_.refusal = absl::OkStatus();
  EXPECT_TRUE(Issue(id).ok());
}

TEST_F(VaultTest, ALoginThatFailsOtherwiseIsTriedAgainAtOnce) {
  const std::string id = PutMint();
  mint_.refusal = absl::UnavailableError("502");
  EXPECT_EQ(Issue(id).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(ValueOf(vault_->GetCredential("cabinet", id)).has_refusal());
  mint_.refusal = absl::OkStatus();
  EXPECT_TRUE(Issue(id).ok());
}

// One who saw a refusal may find an attempt under way that knows nothing of it.
TEST_F(VaultTest, WhoSawARefusalIsNotGivenTheRefusedToken) {
  issuer_options_.cache_ttl = absl::Nanoseconds(1);
  Restart();
  const std::string id = PutMint();
  const v1::Access first = ValueOf(Issue(id));
  std::promise<void> release;
  const auto gate = release.get_future().share();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(workers_->Submit([gate] { gate.wait(); }));
  }
  while (workers_->waiting() > 0) {
    std::this_thread::yield();
  }
  auto knows_nothing = std::async(std::launch::async, [&] { return Issue(id); });
  while (workers_->waiting() < 1) {
    std::this_thread::yield();
  }
  auto saw_it =
      std::async(std::launch::async, [&] { return Issue(id, "crm-reader", first.version()); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  release.set_value();
  EXPECT_EQ(ValueOf(knows_nothing.get()).version(), first.version());
  EXPECT_GT(ValueOf(saw_it.get()).version(), first.version());
}

TEST_F(VaultTest, ACrmThatHangsHoldsUpItsOwnLoginsOnly) {
  const std::string acme = Put();
  const std::string mint = PutMint();
  const std::unique_lock hanging(mint_.mutex);
  std::vector<std::future<Result<v1::Access>>> waiting;
  for (int i = 0; i < 5; ++i) {
    const std::string id = i == 0 ? mint : PutMint();
    waiting.push_back(std::async(std::launch::async, [this, id] { return Issue(id); }));
  }
  EXPECT_TRUE(Issue(acme).ok());
  mint_.mutex.unlock();
  for (auto& one : waiting) {
    EXPECT_TRUE(one.get().ok());
  }
  mint_.mutex.lock();
}

TEST_F(VaultTest, AtTheStopLoginsThatWaitAreNotMadeAnyMore) {
  std::unique_lock hanging(mint_.mutex);
  std::vector<std::future<Result<v1::Access>>> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(std::async(std::launch::async, [this, id = PutMint()] { return Issue(id); }));
  }
  while (mint_.begun < 1 || logins_.find("mint")->second->waiting() < 3) {
    std::this_thread::yield();
  }
  issuer_->StopLogins();
  hanging.unlock();
  int made = 0;
  for (auto& one : waiting) {
    const Result<v1::Access> access = one.get();
    made += access.ok() ? 1 : 0;
    EXPECT_TRUE(access.ok() || absl::IsUnavailable(access.status())) << access.status();
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(mint_.states.size(), 1u);
}

TEST_F(VaultTest, WhatALoginLeavesIsGivenToTheNextOneAlone) {
  mint_.lifetime = absl::Seconds(1);
  mint_.next_state = "pl4nted-refresh-1";
  const std::string id = PutMint();
  EXPECT_TRUE(Issue(id).ok());
  mint_.next_state = "pl4nted-refresh-2";
  Restart();
  const v1::Access second = ValueOf(Issue(id));
  EXPECT_THAT(second.DebugString(), Not(HasSubstr("pl4nted-refresh")));
  // A new root key wraps it with its row.
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 2);
  EXPECT_TRUE(ValueOf(root_keys_->Reload()));
  EXPECT_FALSE(ValueOf(RewrapSome(*database_, clock_, *root_keys_->Current(), "", 10)).empty());
  mint_.next_state = "";
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_EQ(mint_.states,
            (std::vector<std::string>{"", "pl4nted-refresh-1", "pl4nted-refresh-2", ""}));
  Stop();
  for (const auto& entry : fs::directory_iterator(folder_)) {
    EXPECT_THAT(ReadFile(entry.path()), Not(HasSubstr("pl4nted-refresh"))) << entry.path();
  }
}

TEST_F(VaultTest, WhatALoginLeftEndsWithTheCredentialAndCantBeMoved) {
  mint_.lifetime = absl::Seconds(1);
  mint_.next_state = "mine";
  const std::string id = PutMint();
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_TRUE(vault_->RotateCredential("dealctl", RotateRequest(id, "anna", "n3w")).ok());
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_EQ(mint_.states, (std::vector<std::string>{"", ""}));
  mint_.states.clear();
  mint_.next_state = "theirs";
  const std::string other = PutMint();
  EXPECT_TRUE(Issue(other).ok());
  Sql(fmt::format(
      "UPDATE credentials SET login_box = (SELECT login_box FROM credentials WHERE id = '{0}') "
      "WHERE id = '{1}'",
      other,
      id));
  Restart();
  EXPECT_TRUE(Issue(id).ok()) << "a login without it";
  EXPECT_TRUE(Issue(other).ok());
  EXPECT_EQ(mint_.states, (std::vector<std::string>{"", "", "theirs"}));
}

TEST_F(VaultTest, RotationIsSeenAtOnceAndKeepsTheId) {
  const std::string id = Put();
  EXPECT_TRUE(Issue(id).ok());
  const v1::Credential rotated =
      ValueOf(vault_->RotateCredential("dealctl", RotateRequest(id, "anna@romashka", "new-one")));
  EXPECT_EQ(rotated.id(), id);
  EXPECT_EQ(rotated.version(), 2);
  EXPECT_EQ(ValueOf(Issue(id)).headers(0).value(), "Key new-one");
}

TEST_F(VaultTest, RotationToAnotherCrmAccountIsRefused) {
  const Status status =
      vault_->RotateCredential("dealctl", RotateRequest(Put(), "anna@vasilek", "x")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), "crm_account_changed");
}

TEST_F(VaultTest, DeletedIsGone) {
  const std::string id = Put();
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_TRUE(vault_->DeleteCredential("dealctl", id).ok());
  EXPECT_EQ(Issue(id).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(vault_->GetCredential("dealctl", id).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(VaultTest, FieldsAreCheckedByName) {
  v1::PutCredentialRequest unknown = PutRequest();
  AddField(*unknown.mutable_fields(), "pasword", "x");
  v1::PutCredentialRequest missing = PutRequest();
  missing.mutable_fields()->RemoveLast();
  v1::PutCredentialRequest doubled = PutRequest();
  AddField(*doubled.mutable_fields(), "login", "b@c");
  v1::PutCredentialRequest malformed = PutRequest("nocompany");
  const std::pair<v1::PutCredentialRequest, std::string> cases[] = {
      {unknown, "pasword"}, {missing, "password"}, {doubled, "login"}, {malformed, "login"}};
  for (const auto& [request, named] : cases) {
    const Status status = vault_->PutCredential("dealctl", request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(status.ToString(), HasSubstr(named));
    EXPECT_THAT(status.ToString(), Not(HasSubstr(kPlanted)));
  }
}

TEST_F(VaultTest, ABaseUrlOffTheAllowedHostsIsRefused) {
  for (const char* url : {"https://evil.example",
                          "http://api.acme.example",
                          "https://api.acme.example.evil.org",
                          "http://127.0.0.1:8080",
                          "https://user@api.acme.example",
                          "https://api.acme.example:8443"}) {
    v1::PutCredentialRequest request = PutRequest();
    AddField(*request.mutable_fields(), "base_url", url);
    EXPECT_EQ(vault_->PutCredential("dealctl", request).status().code(),
              absl::StatusCode::kInvalidArgument)
        << url;
  }
  const UrlRules development{.allowed_host_suffixes = {"acme.example"}, .allow_loopback = true};
  EXPECT_TRUE(CheckUrl("http://127.0.0.1:8080/api", development).ok());
  EXPECT_TRUE(CheckUrl("https://api.acme.example/x", development).ok());
  EXPECT_FALSE(CheckUrl("http://10.0.0.1/", development).ok());
}

TEST_F(VaultTest, PolicyIsByCaller) {
  const std::string id = Put();
  EXPECT_EQ(Issue(id, "dealctl").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Issue(id, "").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(vault_->PutCredential("crm-reader", PutRequest()).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(vault_->GetCredential("cabinet", id).ok());
  EXPECT_EQ(vault_->DeleteCredential("cabinet", id).code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(VaultTest, NobodyLogsInForThoseWhoMayNotReadTheCrm) {
  LoadNarrowPolicy();
  const std::string id = PutMint();
  EXPECT_EQ(Issue(id, "narrow").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(mint_.states.empty());
  EXPECT_TRUE(Issue(id, "wide").ok());
  EXPECT_EQ(Issue(id, "narrow").status().code(), absl::StatusCode::kPermissionDenied);
  // Nor are they told what the CRM says.
  mint_.refusal = absl::PermissionDeniedError("check the key");
  const std::string other = PutMint();
  EXPECT_EQ(Issue(other, "wide").status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(ReasonOf(Issue(other, "narrow").status()), "not_allowed");
  EXPECT_EQ(mint_.states.size(), 2u);
}

// One who may and one who may not wait for the same attempt.
TEST_F(VaultTest, WhoMayNotReadTheCrmSpoilsNothingForOthers) {
  LoadNarrowPolicy();
  const std::string id = PutMint();
  std::promise<void> release;
  const auto gate = release.get_future().share();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(workers_->Submit([gate] { gate.wait(); }));
  }
  while (workers_->waiting() > 0) {
    std::this_thread::yield();
  }
  auto narrow = std::async(std::launch::async, [&] { return Issue(id, "narrow"); });
  while (workers_->waiting() < 1) {
    std::this_thread::yield();
  }
  auto wide = std::async(std::launch::async, [&] { return Issue(id, "wide"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  release.set_value();
  EXPECT_EQ(narrow.get().status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(wide.get().ok());
  EXPECT_EQ(mint_.states.size(), 1u);
}

TEST_F(VaultTest, PolicyFileNamesWhatItDoesNotKnow) {
  const std::string path = folder_ + "/policy.yaml";
  std::ofstream(path) << "callers:\n  reader:\n    methods: [IssueAcess]\n";
  const Status status = Policy::Load(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("IssueAcess"));
  std::ofstream(path) << "callers:\n  reader:\n    methods: [IssueAccess]\n    crms: [acme]\n";
  const Policy policy = ValueOf(Policy::Load(path));
  EXPECT_TRUE(policy.Check("reader", Method::kIssueAccess, "acme").ok());
  EXPECT_FALSE(policy.Check("reader", Method::kIssueAccess, "other").ok());
  EXPECT_FALSE(policy.Check("reader", Method::kGetCredential, "acme").ok());
}

// ---- Sealing -----------------------------------------------------------------------------------

TEST_F(VaultTest, NothingOfARowCanBeChangedUnnoticed) {
  const std::string id = Put();
  const std::pair<std::string, std::string> changes[] = {
      {"account_id", "'tenant-2'"},
      {"crm_account_id", "'vasilek'"},
      {"name", "'Other'"},
      {"version", "7"},
      {"plain_fields", "'login=eve%40x'"},
      {"sealed_fields", "'AAAA' || substr(sealed_fields, 5)"},
      {"wrapped_key", "'AAAA' || substr(wrapped_key, 5)"}};
  for (const auto& [column, value] : changes) {
    Sql("DROP TABLE IF EXISTS kept");
    Sql("CREATE TABLE kept AS SELECT * FROM credentials");
    Sql(fmt::format("UPDATE credentials SET {} = {}", column, value));
    Restart();
    EXPECT_EQ(Issue(id).status().code(), absl::StatusCode::kDataLoss) << column;
    Sql("DELETE FROM credentials");
    Sql("INSERT INTO credentials SELECT * FROM kept");
    Restart();
    EXPECT_TRUE(Issue(id).ok()) << column;
  }
}

TEST_F(VaultTest, ABoxMovedToAnotherRowDoesNotOpen) {
  const std::string mine = Put();
  const std::string theirs =
      ValueOf(vault_->PutCredential("dealctl", PutRequest("eve@romashka", "theirs"))).id();
  Sql(fmt::format(
      "UPDATE credentials SET sealed_fields = (SELECT sealed_fields FROM credentials WHERE id = "
      "'{0}'), "
      "wrapped_key = (SELECT wrapped_key FROM credentials WHERE id = '{0}') WHERE id = '{1}'",
      mine,
      theirs));
  Restart();
  EXPECT_EQ(Issue(theirs).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Issue(mine).ok());
}

TEST_F(VaultTest, ANewRootKeyWrapsAnewAndTheOldOneCanGo) {
  const std::string first = Put();
  const std::string second = Put();
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 2);
  EXPECT_TRUE(ValueOf(root_keys_->Reload()));
  std::string after;
  int rounds = 0;
  do {
    after = ValueOf(RewrapSome(*database_, clock_, *root_keys_->Current(), after, 1));
    ++rounds;
  } while (!after.empty());
  EXPECT_EQ(rounds, 3);
  EXPECT_EQ(CountAudit("RewrapKey"), 2);
  EXPECT_TRUE(CheckRootKeys(*database_, *root_keys_->Current()).ok());
  // Only the newest line stays.
  std::string keys = ReadFile(KeyPath());
  keys = keys.substr(keys.rfind("2:"));
  std::ofstream(KeyPath(), std::ios::trunc) << keys;
  EXPECT_TRUE(ValueOf(root_keys_->Reload()));
  EXPECT_EQ(root_keys_->Current()->Find(1), nullptr);
  Restart();
  EXPECT_EQ(ValueOf(Issue(first)).headers(0).value(), fmt::format("Key {}", kPlanted));
  EXPECT_TRUE(Issue(second).ok());
}

// As when it is rotated between being read and being written.
TEST_F(VaultTest, WhatIsNotWrappedAnewHasNoRowThatSaysSo) {
  Put();
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 2);
  EXPECT_TRUE(ValueOf(root_keys_->Reload()));
  Sql("CREATE TRIGGER skip BEFORE UPDATE ON credentials BEGIN SELECT RAISE(IGNORE); END");
  EXPECT_TRUE(RewrapSome(*database_, clock_, *root_keys_->Current(), "", 1).ok());
  EXPECT_EQ(CountAudit("RewrapKey"), 0);
}

TEST_F(VaultTest, WithoutItsRootKeyNothingOpens) {
  const std::string id = Put();
  fs::remove(KeyPath());
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 1);
  Stop();
  root_keys_ = ValueOf(RootKeyFile::Open(KeyPath()));
  Restart();
  EXPECT_EQ(Issue(id).status().code(), absl::StatusCode::kDataLoss);
  const Status status = CheckRootKeys(*database_, *root_keys_->Current());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.ToString(), HasSubstr("version 1 opens none"));
}

// What doesn't open is left behind when the rest is wrapped anew.
TEST_F(VaultTest, ADamagedRowDoesNotPassForAWrongRootKey) {
  const std::string id = Put();
  Put();
  Sql(fmt::format("UPDATE credentials SET name = 'Other' WHERE id = '{}'", id));
  EXPECT_TRUE(CheckRootKeys(*database_, *root_keys_->Current()).ok());
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 2);
  EXPECT_TRUE(ValueOf(root_keys_->Reload()));
  EXPECT_TRUE(RewrapSome(*database_, clock_, *root_keys_->Current(), "", 10).ok());
  testing::internal::CaptureStderr();
  EXPECT_TRUE(CheckRootKeys(*database_, *root_keys_->Current()).ok());
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("version 1 opens none"));
}

TEST_F(VaultTest, AnotherKeyUnderAVersionInForceIsNotTaken) {
  const std::string id = Put();
  const auto before = root_keys_->Current();
  fs::remove(KeyPath());
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 1);
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 2);
  const Status status = root_keys_->Reload().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.ToString(), HasSubstr("under version 1"));
  EXPECT_EQ(root_keys_->Current(), before);
  Restart();
  EXPECT_TRUE(Issue(id).ok());
}

TEST_F(VaultTest, RootKeysAddedAtOnceAreAllKept) {
  std::vector<std::future<Result<int64_t>>> added;
  for (int i = 0; i < 8; ++i) {
    added.push_back(std::async(std::launch::async, [this] { return AddRootKey(KeyPath()); }));
  }
  std::set<int64_t> versions;
  for (auto& version : added) {
    versions.insert(ValueOf(version.get()));
  }
  EXPECT_EQ(versions.size(), 8u);
  EXPECT_EQ(ValueOf(RootKeys::Load(KeyPath()))->keys().size(), 9u) << "with the first";
}

TEST_F(VaultTest, AMissingRootKeyIsNamed) {
  Put();
  EXPECT_EQ(ValueOf(AddRootKey(KeyPath())), 2);
  std::string keys = ReadFile(KeyPath());
  std::ofstream(KeyPath(), std::ios::trunc) << keys.substr(keys.rfind("2:"));
  EXPECT_TRUE(ValueOf(root_keys_->Reload()));
  const Status status = CheckRootKeys(*database_, *root_keys_->Current());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(ToStd(status.message())), HasSubstr("lacks version 1"));
}

TEST_F(VaultTest, ARootKeyFileThatOthersCanReadIsRefused) {
  EXPECT_EQ(::chmod(KeyPath().c_str(), 0644), 0);
  EXPECT_EQ(RootKeys::Load(KeyPath()).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(VaultTest, NoSecretLiesOpenInTheFiles) {
  const std::string id = Put();
  EXPECT_TRUE(Issue(id).ok());
  Stop();
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    EXPECT_THAT(ReadFile(entry.path()), Not(HasSubstr(kPlanted))) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 2);
}

// ---- Audit -------------------------------------------------------------------------------------

TEST_F(VaultTest, EveryCallIsInTheAuditLogRefusedOnesToo) {
  const std::string id = Put();
  EXPECT_TRUE(Issue(id).ok());
  EXPECT_FALSE(Issue(id, "mallory").ok());
  EXPECT_FALSE(vault_->DeleteCredential("mallory", id).ok());
  Stop();
  std::string rows;
  EXPECT_TRUE(database_
                  ->Read([&](soci::session& session) -> Status {
                    const soci::rowset<soci::row> all =
                        session.prepare << "SELECT caller, method, outcome FROM audit ORDER BY seq";
                    for (const soci::row& row : all) {
                      rows += fmt::format("{} {} {}\n",
                                          row.get<std::string>(0),
                                          row.get<std::string>(1),
                                          row.get<std::string>(2));
                    }
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_THAT(rows, HasSubstr("dealctl PutCredential OK"));
  EXPECT_THAT(rows, HasSubstr("crm-reader IssueAccess OK"));
  EXPECT_THAT(rows, HasSubstr("mallory IssueAccess PERMISSION_DENIED"));
  EXPECT_THAT(rows, HasSubstr("mallory DeleteCredential PERMISSION_DENIED"));
  EXPECT_TRUE(VerifyAudit(*database_).ok());
}

TEST_F(VaultTest, TheAuditLogOnlyGrows) {
  Put();
  EXPECT_FALSE(TrySql("UPDATE audit SET caller = 'nobody'").ok());
  EXPECT_FALSE(TrySql("DELETE FROM audit").ok());
  EXPECT_FALSE(TrySql("INSERT OR REPLACE INTO audit SELECT * FROM audit").ok());
}

TEST_F(VaultTest, EqualCallsOfAMomentAreOneRowWithTheirNumber) {
  const std::string id = Put();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(Issue(id).ok());
  }
  Stop();
  int rows = 0;
  int calls = 0;
  EXPECT_TRUE(database_
                  ->Read([&](soci::session& session) -> Status {
                    session << "SELECT COUNT(*), SUM(calls) FROM audit WHERE method = "
                               "'IssueAccess'",
                        soci::into(rows), soci::into(calls);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(calls, 100);
  EXPECT_LT(rows, 100);
}

// While the store takes nothing, what waits is bounded, and then nothing is read without a trace.
TEST_F(VaultTest, WhatCantBeAuditedIsRefused) {
  const std::string id = Put();
  EXPECT_TRUE(Issue(id).ok());
  while (CountAudit("IssueAccess") < 1) {
    std::this_thread::yield();
  }
  std::promise<void> locked;
  std::promise<void> release;
  std::thread holder([&] {
    EXPECT_TRUE(database_
                    ->Write([&](soci::session&) -> Status {
                      locked.set_value();
                      release.get_future().wait();
                      return absl::OkStatus();
                    })
                    .ok());
  });
  locked.get_future().wait();
  // What is full before the writer has taken its batch to the locked store has room again after.
  Status full;
  size_t taken = 0;
  const absl::Time begin = clock_.Now();
  while (full.ok() ||
         (taken <= AuditWriter::kMaxWaiting && clock_.Now() - begin < AuditWriter::kMaxWait)) {
    full = audit_->Append({.caller = "crm-reader",
                           .method = "IssueAccess",
                           .outcome = "NOT_FOUND",
                           .credential_id = fmt::format("crd_{}", taken),
                           .account_id = "",
                           .crm = ""});
    taken += full.ok() ? 1 : 0;
  }
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(full), "audit_full");
  EXPECT_EQ(Issue(id).status().code(), absl::StatusCode::kUnavailable);
  release.set_value();
  holder.join();
  Stop();
  EXPECT_TRUE(VerifyAudit(*database_).ok());
}

// Equal calls are one that waits: their number bounds nothing, their age does.
TEST_F(VaultTest, WhatHasWaitedTooLongForTheAuditLogStopsTheRest) {
  FakeClock clock(absl::FromUnixSeconds(1'700'000'000));
  std::atomic<int> refused = 0;
  AuditWriter writer(*database_, clock, [&](const Status& status) { refused += !status.ok(); });
  const AuditEvent event{.caller = "crm-reader",
                         .method = "IssueAccess",
                         .outcome = "OK",
                         .credential_id = "crd_1",
                         .account_id = "",
                         .crm = ""};
  Sql("CREATE TRIGGER no_room BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no room'); END");
  EXPECT_TRUE(writer.Append(event).ok());
  while (refused < 1) {
    std::this_thread::yield();
  }
  clock.Advance(AuditWriter::kMaxWait);
  EXPECT_TRUE(writer.Append(event).ok());
  clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(ReasonOf(writer.Append(event)), "audit_full");

  Sql("DROP TRIGGER no_room");
  while (!writer.Append(event).ok()) {
    std::this_thread::yield();
  }
}

TEST_F(VaultTest, TamperingWithTheAuditLogIsFound) {
  for (int i = 0; i < 3; ++i) {
    Put();
  }
  const AuditHead head = ValueOf(VerifyAudit(*database_));
  EXPECT_EQ(head.seq, 3);
  Sql("DROP TRIGGER audit_keeps_rows");
  Sql("DROP TRIGGER audit_loses_no_row");
  Sql("CREATE TABLE kept AS SELECT * FROM audit");
  for (const char* tampering : {"UPDATE audit SET caller = 'nobody' WHERE seq = 2",
                                "UPDATE audit SET outcome = 'OK2' WHERE seq = 3",
                                "DELETE FROM audit WHERE seq = 1",
                                "DELETE FROM audit WHERE seq = 2",
                                "UPDATE audit SET hash = '00' WHERE seq = 1"}) {
    Sql(tampering);
    EXPECT_EQ(VerifyAudit(*database_).status().code(), absl::StatusCode::kDataLoss) << tampering;
    Sql("DELETE FROM audit");
    Sql("INSERT INTO audit SELECT * FROM kept");
    EXPECT_TRUE(VerifyAudit(*database_, head).ok());
  }
  // A cut tail leaves a whole chain: only the head that was logged tells.
  Sql("DELETE FROM audit WHERE seq = 3");
  EXPECT_TRUE(VerifyAudit(*database_).ok());
  EXPECT_EQ(VerifyAudit(*database_, head).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(VaultTest, HalfAnExpectedAuditRowIsRefused) {
  Put();
  const AuditHead head = ValueOf(VerifyAudit(*database_));
  for (const AuditHead& half :
       {AuditHead{.seq = 0, .hash = head.hash}, AuditHead{.seq = head.seq, .hash = ""}}) {
    EXPECT_EQ(VerifyAudit(*database_, half).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_TRUE(VerifyAudit(*database_, head).ok());
}

// ---- Over the wire -----------------------------------------------------------------------------

class VaultWireTest : public VaultTest {
 protected:
  VaultWireTest() {
    const std::string command =
        fmt::format("{}/tools/certs {}/certs credential-vault dealctl crm-reader > /dev/null",
                    DEALSTREAM_SOURCE_DIR,
                    folder_);
    EXPECT_EQ(std::system(command.c_str()),
              0);  // NOLINT(concurrency-mt-unsafe): nobody else changes the environment.
    service_ = MakeGrpcService(*vault_, *workers_);
    server_ = ValueOf(rpc::Server::Create({.address = "127.0.0.1:0",
                                           .tls = Tls("credential-vault"),
                                           .reflection = false,
                                           .services = {service_.get()},
                                           .service_names = {GrpcServiceName()}},
                                          metrics_));
  }
  ~VaultWireTest() override { server_->Shutdown(absl::Now() + absl::Seconds(5)); }

  rpc::TlsFiles Tls(const std::string& name) const {
    return {.ca_file = folder_ + "/certs/ca.pem",
            .certificate_file = fmt::format("{}/certs/{}.pem", folder_, name),
            .key_file = fmt::format("{}/certs/{}-key.pem", folder_, name)};
  }
  std::unique_ptr<v1::VaultService::Stub> StubOf(const std::string& caller) const {
    return v1::VaultService::NewStub(rpc::MakeChannel(
        fmt::format("localhost:{}", server_->port()), Tls(caller), "credential-vault"));
  }
  static void Patience(grpc::ClientContext& context) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    context.set_wait_for_ready(true);
  }

  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<rpc::Server> server_;
};

TEST_F(VaultWireTest, TheCertificateSaysWhoMayDoWhat) {
  v1::PutCredentialResponse put;
  {
    grpc::ClientContext context;
    Patience(context);
    ASSERT_TRUE(StubOf("dealctl")->PutCredential(&context, PutRequest(), &put).ok());
  }
  v1::IssueAccessRequest request;
  request.set_credential_id(put.credential().id());
  v1::IssueAccessResponse issued;
  {
    grpc::ClientContext context;
    Patience(context);
    EXPECT_EQ(StubOf("dealctl")->IssueAccess(&context, request, &issued).error_code(),
              grpc::StatusCode::PERMISSION_DENIED);
  }
  const auto reader = StubOf("crm-reader");
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    Patience(context);
    const grpc::Status status = reader->IssueAccess(&context, request, &issued);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(issued.access().headers(0).value(), fmt::format("Key {}", kPlanted));
  }
  v1::PutCredentialResponse refused;
  grpc::ClientContext context;
  Patience(context);
  const grpc::Status status = reader->PutCredential(&context, PutRequest(), &refused);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), Not(HasSubstr(kPlanted)));
}

}  // namespace
}  // namespace dealstream::vault
