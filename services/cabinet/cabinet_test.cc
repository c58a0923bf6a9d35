#include "services/cabinet/cabinet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "libs/base/ids.h"
#include "libs/base/strings.h"
#include "libs/obs/metrics.h"
#include "services/cabinet/fakes.h"
#include "services/cabinet/schedule.h"
#include "services/cabinet/test_folder.h"
#include "services/cabinet/times.h"

namespace dealstream::cabinet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;
using Code = absl::StatusCode;

class CabinetTest : public testing::Test {
 protected:
  CabinetTest() {
    auto store = Store::Open(folder_.StoreUrl(), clock_);
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    for (const char* crm : {"acme", "daily", "blind", "halfblind"}) {
      progress_[crm] = std::make_unique<ProgressTable>(crm, clock_.Now(), metrics_);
    }
    credentials_.Put("crd_1", "acc", "acme", "acme:1");
    credentials_.Put("crd_same", "acc", "acme", "acme:1");
    credentials_.Put("crd_other", "acc", "acme", "acme:2");
    credentials_.Put("crd_theirs", "else", "acme", "acme:1");
    credentials_.Put("crd_daily", "acc", "daily", "daily:1");
    credentials_.Put("crd_blind", "acc", "blind", "blind:1");
    credentials_.Put("crd_halfblind", "acc", "halfblind", "halfblind:1");
    cabinet_ = std::make_unique<Cabinet>(
        Cabinet::Options{.public_base_url = "https://hooks.example.com", .poll_interval = {}},
        clock_,
        registry_,
        *store_,
        credentials_,
        progress_,
        [this] { ++wakes_; });
  }

  static v1::CreateIntegrationRequest Request() {
    v1::CreateIntegrationRequest request;
    request.set_account_id("acc");
    request.set_crm("acme");
    request.set_purpose(integration::v1::PURPOSE_DEALS);
    request.set_credential_id("crd_1");
    request.set_name("Продажи");
    request.set_active(true);
    Set(request, "units", "5");
    return request;
  }
  template <typename Request>
  static void Set(Request& request, const std::string& key, const std::string& value) {
    v1::Setting& setting = *request.add_settings();
    setting.set_key(key);
    setting.set_value(value);
  }
  std::string MakeOne(const v1::CreateIntegrationRequest& request = Request()) {
    const auto made = cabinet_->Create(request);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? made->view().integration().id() : "";
  }
  std::string CreateError(const v1::CreateIntegrationRequest& request) {
    const auto made = cabinet_->Create(request);
    EXPECT_EQ(made.status().code(), Code::kInvalidArgument) << made.status();
    return std::string(ToStd(made.status().message()));
  }
  // Everything in the outbox, emptied in the publisher's order.
  std::vector<kafka::OutRecord> TakeOutbox() {
    std::vector<kafka::OutRecord> all;
    while (true) {
      auto heads = store_->OutboxHeads(100);
      if (heads->empty()) {
        return all;
      }
      std::vector<int64_t> seqs;
      for (OutboxRecord& head : *heads) {
        seqs.push_back(head.seq);
        all.push_back(std::move(head.record));
      }
      EXPECT_TRUE(store_->RemoveFromOutbox(seqs).ok());
    }
  }
  static integration::v1::Integration Read(const kafka::OutRecord& record) {
    EXPECT_EQ(record.topic, kIntegrationsTopic);
    integration::v1::Integration integration;
    EXPECT_TRUE(integration.ParseFromString(*record.value));
    return integration;
  }
  static raw::v1::PollTick ReadTick(const kafka::OutRecord& record) {
    EXPECT_THAT(record.topic, StartsWith("crm.poll."));
    raw::v1::PollTick tick;
    EXPECT_TRUE(tick.ParseFromString(*record.value));
    return tick;
  }

  TestFolder folder_;
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  obs::Metrics metrics_{"test", "1", "r"};
  crm::Registry registry_ = FakeRegistry({{},
                                          {.id = "daily", .has_webhooks = false, .daily = true},
                                          {.id = "blind", .can_list = false},
                                          {.id = "halfblind", .lists_requests = false}});
  std::unique_ptr<Store> store_;
  FakeCredentials credentials_;
  ProgressTables progress_;
  int wakes_ = 0;
  std::unique_ptr<Cabinet> cabinet_;
};

TEST_F(CabinetTest, CreateStoresAndPublishes) {
  const auto made = cabinet_->Create(Request());
  ASSERT_TRUE(made.ok()) << made.status();
  const integration::v1::Integration& integration = made->view().integration();
  EXPECT_THAT(integration.id(), StartsWith("int_"));
  EXPECT_EQ(integration.crm_account_id(), "acme:1");
  EXPECT_EQ(integration.version(), 1);
  EXPECT_TRUE(integration.active());
  EXPECT_EQ(FromProto(integration.created_at()), clock_.Now());
  deal::v1::Money settings;
  ASSERT_TRUE(integration.settings().UnpackTo(&settings));
  EXPECT_EQ(settings.units(), 5);

  const std::string url = made->view().webhook_url();
  ASSERT_THAT(url, StartsWith("https://hooks.example.com/hook/"));
  const std::string token = url.substr(url.rfind('/') + 1);
  EXPECT_EQ(token.size(), 43U);
  EXPECT_EQ(integration.webhook_token_sha256(), Sha256(token));

  const auto outbox = TakeOutbox();
  ASSERT_THAT(outbox, SizeIs(1));
  EXPECT_EQ(outbox[0].key, integration.id());
  EXPECT_EQ(Read(outbox[0]).SerializeAsString(), integration.SerializeAsString());
  EXPECT_THAT(*outbox[0].value, Not(HasSubstr(token)));
  EXPECT_EQ(wakes_, 1);

  v1::GetIntegrationRequest get;
  get.set_id(integration.id());
  const auto got = cabinet_->Get(get);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->view().SerializeAsString(), made->view().SerializeAsString());
}

TEST_F(CabinetTest, CreateRefusesWhatIsWrongAndSaysWhat) {
  auto request = Request();
  Set(request, "unitz", "1");
  EXPECT_THAT(CreateError(request), HasSubstr("unitz"));

  request = Request();
  Set(request, "nanos", "abc");
  EXPECT_THAT(CreateError(request), HasSubstr("nanos: got \"abc\""));

  request = Request();
  Set(request, "nanos", "-1");
  EXPECT_THAT(CreateError(request), HasSubstr("nanos: got less than 0"));

  request = Request();
  request.set_crm("nosuch");
  EXPECT_THAT(CreateError(request), HasSubstr("found \"nosuch\", expected one of: acme, blind"));

  request = Request();
  request.set_purpose(integration::v1::PURPOSE_TELEPHONY);
  EXPECT_THAT(CreateError(request), HasSubstr("expected one of: PURPOSE_DEALS, PURPOSE_REQUESTS"));

  request = Request();
  request.clear_account_id();
  EXPECT_THAT(CreateError(request), HasSubstr("account_id: empty"));

  request = Request();
  request.set_name(std::string(201, 'x'));
  EXPECT_THAT(CreateError(request), HasSubstr("name: 201 bytes"));

  request = Request();
  request.set_name("a\nb");
  EXPECT_THAT(CreateError(request), HasSubstr("control character"));

  request = Request();
  request.clear_credential_id();
  EXPECT_THAT(CreateError(request), HasSubstr("credential_id: empty"));

  request.set_credential_id("crd_none");
  EXPECT_THAT(CreateError(request), HasSubstr("there is no credential crd_none"));

  request.set_credential_id("crd_theirs");
  EXPECT_THAT(CreateError(request), HasSubstr("isn't account acc's"));

  request.set_credential_id("crd_daily");
  EXPECT_THAT(CreateError(request), HasSubstr("is for daily, expected acme"));

  EXPECT_THAT(TakeOutbox(), IsEmpty());
}

TEST_F(CabinetTest, CredentialOfNoAccountServesAny) {
  credentials_.Put("crd_any", "", "acme", "acme:9");
  auto request = Request();
  request.set_credential_id("crd_any");
  const auto made = cabinet_->Create(request);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->view().integration().crm_account_id(), "acme:9");
}

TEST_F(CabinetTest, CreateNeedsTheVault) {
  credentials_.Fail(absl::UnavailableError("down"));
  EXPECT_EQ(cabinet_->Create(Request()).status().code(), Code::kUnavailable);
}

TEST_F(CabinetTest, NoWebhookUrlWithoutWebhooks) {
  auto request = Request();
  request.set_crm("daily");
  request.set_credential_id("crd_daily");
  const auto made = cabinet_->Create(request);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->view().webhook_url(), "");
}

TEST_F(CabinetTest, UpdateChangesWhatIsNamed) {
  const std::string id = MakeOne();
  TakeOutbox();
  clock_.Advance(absl::Seconds(5));
  v1::UpdateIntegrationRequest request;
  request.set_id(id);
  Set(request, "nanos", "7");
  request.set_credential_id("crd_same");
  request.set_expected_version(1);
  const auto updated = cabinet_->Update(request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  const auto outbox = TakeOutbox();
  ASSERT_THAT(outbox, SizeIs(1));
  const integration::v1::Integration integration = Read(outbox[0]);
  EXPECT_EQ(integration.version(), 2);
  EXPECT_EQ(integration.name(), "Продажи");
  EXPECT_EQ(integration.credential_id(), "crd_same");
  EXPECT_EQ(FromProto(integration.updated_at()), clock_.Now());
  deal::v1::Money settings;
  ASSERT_TRUE(integration.settings().UnpackTo(&settings));
  EXPECT_EQ(settings.units(), 5);
  EXPECT_EQ(settings.nanos(), 7);

  EXPECT_EQ(cabinet_->Update(request).status().code(), Code::kAborted);
  // What changes nothing publishes nothing.
  request.set_expected_version(0);
  const auto same = cabinet_->Update(request);
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->view().integration().version(), 2);
  EXPECT_THAT(TakeOutbox(), IsEmpty());
}

TEST_F(CabinetTest, UpdateNeverMovesToAnotherCrmAccount) {
  v1::UpdateIntegrationRequest request;
  request.set_id(MakeOne());
  request.set_credential_id("crd_other");
  const auto updated = cabinet_->Update(request);
  EXPECT_EQ(updated.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(std::string(ToStd(updated.status().message())),
              HasSubstr("opens CRM account acme:2, expected acme:1"));
  request.set_id("int_none");
  EXPECT_EQ(cabinet_->Update(request).status().code(), Code::kNotFound);
}

TEST_F(CabinetTest, SwitchingOffStopsSweepsAndOnSweepsAtOnce) {
  const std::string id = MakeOne();
  EXPECT_THAT(*store_->Schedules(), SizeIs(1));
  TakeOutbox();
  v1::SetIntegrationActiveRequest request;
  request.set_id(id);
  ASSERT_TRUE(cabinet_->SetActive(request).ok());
  EXPECT_THAT(*store_->Schedules(), IsEmpty());
  auto outbox = TakeOutbox();
  ASSERT_THAT(outbox, SizeIs(1));
  EXPECT_FALSE(Read(outbox[0]).active());
  EXPECT_EQ(Read(outbox[0]).version(), 2);

  request.set_active(true);
  ASSERT_TRUE(cabinet_->SetActive(request).ok());
  EXPECT_THAT(*store_->Schedules(), SizeIs(1));
  outbox = TakeOutbox();
  ASSERT_THAT(outbox, SizeIs(2));
  EXPECT_TRUE(Read(outbox[0]).active());
  EXPECT_EQ(ReadTick(outbox[1]).cause(), deal::v1::CAUSE_RECONCILIATION);
  EXPECT_EQ(outbox[1].key, "acme:1");

  ASSERT_TRUE(cabinet_->SetActive(request).ok());
  EXPECT_THAT(TakeOutbox(), IsEmpty());
}

TEST_F(CabinetTest, ListPages) {
  std::vector<std::string> made;
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Milliseconds(1));
    made.push_back(MakeOne());
  }
  std::vector<std::string> listed;
  v1::ListIntegrationsRequest request;
  request.set_account_id("acc");
  request.set_page_size(2);
  int pages = 0;
  do {
    const auto page = cabinet_->List(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::IntegrationView& view : page->views()) {
      listed.push_back(view.integration().id());
    }
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, made);
  EXPECT_EQ(pages, 3);

  request.set_page_size(1001);
  EXPECT_EQ(cabinet_->List(request).status().code(), Code::kInvalidArgument);
  request.set_page_size(0);
  request.set_page_token("garbage");
  EXPECT_EQ(cabinet_->List(request).status().code(), Code::kInvalidArgument);
}

TEST_F(CabinetTest, BackfillIsOrderedAndFollowed) {
  const std::string id = MakeOne();
  TakeOutbox();
  v1::StartBackfillRequest request;
  request.set_integration_id(id);
  EXPECT_EQ(cabinet_->StartBackfill(request).status().code(), Code::kInvalidArgument);
  *request.mutable_from() = ToProto(clock_.Now() - absl::Hours(24));
  *request.mutable_to() = ToProto(clock_.Now() - absl::Hours(25));
  EXPECT_EQ(cabinet_->StartBackfill(request).status().code(), Code::kInvalidArgument);
  request.clear_to();
  const auto started = cabinet_->StartBackfill(request);
  ASSERT_TRUE(started.ok()) << started.status();
  const auto outbox = TakeOutbox();
  ASSERT_THAT(outbox, SizeIs(1));
  const raw::v1::PollTick tick = ReadTick(outbox[0]);
  EXPECT_EQ(tick.poll_id(), started->backfill_id());
  EXPECT_EQ(tick.cause(), deal::v1::CAUSE_BACKFILL);
  EXPECT_EQ(tick.integration_id(), id);
  EXPECT_FALSE(tick.has_to());

  v1::GetBackfillRequest get;
  get.set_integration_id(id);
  get.set_backfill_id(started->backfill_id());
  auto progress = cabinet_->GetBackfill(get);
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_EQ(progress->progress().state(), raw::v1::POLL_STATE_RUNNING);
  EXPECT_EQ(progress->progress().listed(), 0);

  raw::v1::PollProgress done = progress->progress();
  done.set_state(raw::v1::POLL_STATE_DONE);
  done.set_listed(42);
  kafka::InRecord record;
  record.key = id + "/" + started->backfill_id();
  record.value = done.SerializeAsString();
  progress_["acme"]->Apply(record);
  progress = cabinet_->GetBackfill(get);
  ASSERT_TRUE(progress.ok());
  EXPECT_EQ(progress->progress().listed(), 42);

  get.set_integration_id("int_other");
  EXPECT_EQ(cabinet_->GetBackfill(get).status().code(), Code::kNotFound);
}

TEST_F(CabinetTest, PollNowWritesATick) {
  auto request = Request();
  request.set_crm("daily");
  request.set_credential_id("crd_daily");
  const std::string id = MakeOne(request);
  TakeOutbox();
  v1::PollNowRequest poll;
  poll.set_integration_id(id);
  const auto ordered = cabinet_->PollNow(poll);
  ASSERT_TRUE(ordered.ok()) << ordered.status();
  const auto outbox = TakeOutbox();
  ASSERT_THAT(outbox, SizeIs(1));
  EXPECT_EQ(ReadTick(outbox[0]).cause(), deal::v1::CAUSE_POLL);
  EXPECT_EQ(ReadTick(outbox[0]).poll_id(), ordered->poll_id());
}

TEST_F(CabinetTest, PurposeThatCannotBeListedHasNoSweeps) {
  auto request = Request();
  request.set_crm("halfblind");
  request.set_credential_id("crd_halfblind");
  request.set_purpose(integration::v1::PURPOSE_REQUESTS);
  const std::string id = MakeOne(request);
  EXPECT_THAT(*store_->Schedules(), IsEmpty());
  v1::PollNowRequest poll;
  poll.set_integration_id(id);
  const Status refused = cabinet_->PollNow(poll).status();
  EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
  EXPECT_THAT(std::string(ToStd(refused.message())), HasSubstr("not for PURPOSE_REQUESTS"));
  v1::StartBackfillRequest backfill;
  backfill.set_integration_id(id);
  *backfill.mutable_from() = ToProto(clock_.Now() - absl::Hours(1));
  EXPECT_EQ(cabinet_->StartBackfill(backfill).status().code(), Code::kFailedPrecondition);
  request.set_purpose(integration::v1::PURPOSE_DEALS);
  poll.set_integration_id(MakeOne(request));
  EXPECT_TRUE(cabinet_->PollNow(poll).ok());
  EXPECT_THAT(*store_->Schedules(), SizeIs(1));
}

TEST_F(CabinetTest, TicksNeedAnActiveIntegrationOfACrmThatLists) {
  auto request = Request();
  request.set_active(false);
  v1::PollNowRequest poll;
  poll.set_integration_id(MakeOne(request));
  EXPECT_EQ(cabinet_->PollNow(poll).status().code(), Code::kFailedPrecondition);
  request.set_active(true);
  request.set_crm("blind");
  request.set_credential_id("crd_blind");
  poll.set_integration_id(MakeOne(request));
  EXPECT_EQ(cabinet_->PollNow(poll).status().code(), Code::kFailedPrecondition);
  EXPECT_THAT(*store_->Schedules(), IsEmpty());
  poll.set_integration_id("int_none");
  EXPECT_EQ(cabinet_->PollNow(poll).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace dealstream::cabinet
