#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/klientiks/adapter.h"
#include "libs/crm/klientiks/sim/simulator.h"
#include "libs/crm/klientiks/wire.h"
#include "libs/crm/sim/testing.h"

// The adapter against the simulator, over HTTP: the two share no code, so that a mistake in one
// shows against the other.
namespace dealstream::crm::klientiks {
namespace {

using fixture::kDeals;
using fixture::kRequests;
using simkit::Json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

class AdapterAgainstSimulatorTest : public ::testing::Test {
 protected:
  void Start(std::map<std::string, std::string> settings = {}) {
    SimOptions options;
    options.settings = std::move(settings);
    options.settings.emplace("deals", "0");
    options.settings.emplace("requests_per_minute", "0");
    auto made = MakeSimulator(options);
    ASSERT_TRUE(made.ok()) << made.status();
    simulator_ = *std::move(made);
    sim_ = std::make_unique<simkit::SimulatorClient>(*simulator_);
    CredentialFields fields;
    const Json credential = sim_->Credential();
    for (const auto& [name, value] : credential.items()) {
      fields.emplace_back(name, Secret(value.get<std::string>()));
    }
    auto access = adapter_->credential().MakeAccess(fields, sim_->transport());
    ASSERT_TRUE(access.ok()) << access.status();
    session_ = std::make_unique<fixture::PlainSession>(sim_->transport(), *std::move(access));
  }

  void Set(Purpose purpose, const std::vector<std::pair<std::string, std::string>>& values) {
    auto settings = SettingsFromText(*adapter_, purpose, nullptr, values);
    ASSERT_TRUE(settings.ok()) << settings.status();
    settings_ = *std::move(settings);
  }

  Result<ReadObject> Read(const std::string& id, std::string_view kind = kAppointment) {
    return adapter_->record_source()->Read({std::string(kind), id}, settings_, *session_);
  }

  Result<raw::v1::Record> ReadRecord(const std::string& id, std::string_view kind) {
    DEALSTREAM_ASSIGN_OR_RETURN(const ReadObject object, Read(id, kind));
    raw::v1::Record record;
    *record.mutable_settings() = settings_;
    for (const auto& [name, body] : object.parts) {
      auto& part = *record.add_parts();
      part.set_name(name);
      part.set_body(body);
    }
    return record;
  }

  Result<deal::v1::Deal> ReadDeal(const std::string& id) {
    DEALSTREAM_ASSIGN_OR_RETURN(const raw::v1::Record record, ReadRecord(id, kAppointment));
    deal::v1::Deal deal;
    DEALSTREAM_RETURN_IF_ERROR(adapter_->deal_mapper()->Map(record, deal));
    return deal;
  }

  Result<request::v1::Request> ReadRequest(const std::string& id) {
    DEALSTREAM_ASSIGN_OR_RETURN(const raw::v1::Record record, ReadRecord(id, kBooking));
    request::v1::Request request;
    DEALSTREAM_ASSIGN_OR_RETURN(const bool is_request,
                                adapter_->request_mapper()->Map(record, request));
    return is_request ? Result<request::v1::Request>(request) : absl::NotFoundError("no request");
  }

  Json Step(const std::string& id, const std::string& step, const Json& fields = Json::object()) {
    return sim_->Control("POST", "deals/" + id + (step.empty() ? "" : "/" + step), fields);
  }
  Json Book(Json fields) {
    fields["account"] = 1;
    return sim_->Control("POST", "requests", fields);
  }
  void Faults(Json faults) {
    faults["account"] = 1;
    sim_->Control("POST", "faults", faults);
  }

  static std::string Amount(const deal::v1::Deal& deal) {
    return fmt::format("{}.{:02}", deal.amount().units(), deal.amount().nanos() / 10'000'000);
  }

  // Compares a deal with the truth.
  static void Check(const Json& truth,
                    const deal::v1::Deal& deal,
                    const std::string& amount = "amount",
                    const std::string& responsible = "executor") {
    const auto text = [&truth](const std::string& key) {
      return truth[key].is_null() ? "" : truth[key].get<std::string>();
    };
    EXPECT_EQ(deal.title(), text("title")) << truth;
    EXPECT_EQ(deal.pipeline().name(), "Клиентикс CRM");
    EXPECT_EQ(deal.stage().name(), text("stage")) << truth;
    EXPECT_EQ(deal.stage().id(), text("status")) << truth;
    EXPECT_EQ(deal::v1::StageKind_Name(deal.stage().kind()), "STAGE_KIND_" + text("stage_kind"));
    EXPECT_EQ(deal.has_amount(), !truth[amount].is_null()) << truth;
    if (deal.has_amount()) {
      EXPECT_EQ(Amount(deal), text(amount)) << truth;
      EXPECT_EQ(deal.amount().currency_code(), text("currency"));
    }
    EXPECT_EQ(deal.responsible().name(), text(responsible)) << truth;
    ASSERT_GE(deal.contacts_size(), 1) << truth;
    EXPECT_EQ(deal.contacts(0).name(), text("client")) << truth;
    EXPECT_EQ(deal.contacts(0).phones(0).e164(), text("phone")) << truth;
    EXPECT_EQ(deal.updated_at().seconds() * 1'000'000 + deal.updated_at().nanos() / 1'000,
              truth["updated_us"].get<int64_t>())
        << truth;
  }

  // Of all deals there are.
  std::set<std::string> Ids() {
    std::set<std::string> ids;
    const Json deals = sim_->Control("GET", "deals?account=1")["deals"];
    for (const Json& truth : deals) {
      ids.insert(truth["id"]);
    }
    return ids;
  }

  // All that List gives, page by page.
  std::set<std::string> List(const ListRequest& request, std::string* cursor = nullptr) {
    const auto pass = fixture::ListAll(*adapter_->record_source(), *session_, request, settings_);
    EXPECT_TRUE(pass.status.ok()) << pass.status;
    if (cursor != nullptr) {
      *cursor = pass.cursor;
    }
    std::set<std::string> ids;
    for (const auto& [id, version] : pass.versions) {
      ids.insert(id);
    }
    return ids;
  }

  const std::unique_ptr<Adapter> adapter_ = MakeAdapter();
  google::protobuf::Any settings_;
  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<simkit::SimulatorClient> sim_;
  std::unique_ptr<fixture::PlainSession> session_;
};

// K1 K2 K3 K4: whatever visits there are, each is the deal that the CRM means.
TEST_F(AdapterAgainstSimulatorTest, DealsAreWhatTheCrmMeans) {
  Start({{"deals", "60"}});
  sim_->Control("POST", "burst", {{"account", 1}, {"deals", 40}, {"changes", 100}});
  const Json deals = sim_->Control("GET", "deals?account=1")["deals"];
  for (const Json& truth : deals) {
    if (truth["gone"] == true) {
      EXPECT_TRUE(Read(truth["id"])->gone);
      continue;
    }
    const auto deal = ReadDeal(truth["id"]);
    ASSERT_TRUE(deal.ok()) << deal.status() << truth;
    Check(truth, *deal);
  }
}

// K4: the switch; the author's name stands in the list of employees.
TEST_F(AdapterAgainstSimulatorTest, AuthorAnswersForTheDeal) {
  Start();
  Set(kDeals, {{"responsible_is_author", "true"}});
  const Json employees = sim_->Control("GET", "employees?account=1")["employees"];
  const Json truth =
      sim_->NewDeal({{"author", employees[3]["id"]}, {"executor", employees[4]["id"]}});
  Check(truth, *ReadDeal(truth["id"]), "amount", "author");
  EXPECT_EQ(truth["author"], employees[3]["name"]);
  const Json nobody = sim_->NewDeal({{"author", nullptr}});
  EXPECT_FALSE(ReadDeal(nobody["id"])->has_responsible());
  const Json stranger = sim_->NewDeal({{"author", 77}});
  EXPECT_EQ(ReadDeal(stranger["id"])->responsible().id(), "77");
}

// K5: the customer's own fields, beside json_data or in it alone.
TEST_F(AdapterAgainstSimulatorTest, OwnFieldsAreCarried) {
  for (const char* flatten : {"1", "0"}) {
    Start({{"flatten", flatten}});
    const Json truth =
        sim_->NewDeal({{"custom_fields", {{"lead", "VK"}, {"room", 4}, {"insured", true}}}});
    const auto deal = ReadDeal(truth["id"]);
    ASSERT_TRUE(deal.ok()) << deal.status();
    std::map<std::string, std::string> fields;
    for (const auto& field : deal->custom_fields()) {
      fields[field.id()] = field.text() + field.number() + (field.flag() ? "yes" : "");
    }
    EXPECT_EQ(fields["lead"], "VK");
    EXPECT_EQ(fields["room"], "4");
    EXPECT_EQ(fields["insured"], "yes");
    EXPECT_TRUE(fields.contains("start_datetime"));
  }
}

// K10: with the setting, what subscriptions pay doesn't count.
TEST_F(AdapterAgainstSimulatorTest, SubscriptionsAreCountedOut) {
  Start();
  const Json truth = sim_->NewDeal({{"services",
                                     {{{"name", "A"}, {"price", 1000}, {"by_subscription", true}},
                                      {{"name", "B"}, {"price", 700}}}},
                                    {"amount", 1700}});
  EXPECT_EQ(Amount(*ReadDeal(truth["id"])), "1700.00");
  Set(kDeals, {{"count_out_subscription", "true"}});
  Check(truth, *ReadDeal(truth["id"]), "amount_without_subscription");
  EXPECT_EQ(Amount(*ReadDeal(truth["id"])), "700.00");
  const Json whole = sim_->NewDeal({{"title", "C"}, {"by_subscription", true}});
  EXPECT_EQ(Amount(*ReadDeal(whole["id"])), "0.00");
}

// K6 K7 K8 K11: a booking with all that the widget knows.
TEST_F(AdapterAgainstSimulatorTest, BookingsAreRequests) {
  Start();
  Set(kRequests, {{"lead_tag", "true"}, {"source", "Сайт"}, {"site", "clinic.example"}});
  const Json truth = Book({{"name", "Анна"},
                           {"surname", "Лукина"},
                           {"phone", "79000001122"},
                           {"email", "Anna@Example.com"},
                           {"lead", "Telegram-канал"},
                           {"utm_source", "yandex"},
                           {"utm_campaign", "osen"},
                           {"session", 700100200}});
  const auto request = ReadRequest(truth["id"]);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->contact().name(), HasSubstr("Лукина Анна"));
  EXPECT_EQ(request->contact().phones(0).e164(), "+79000001122");
  EXPECT_EQ(request->contact().emails(0), "anna@example.com");
  EXPECT_EQ(request->created_at().seconds(), truth["created_us"].get<int64_t>() / 1'000'000);
  EXPECT_EQ(request->session().utm_source(), "yandex");
  EXPECT_EQ(request->session().utm_campaign(), "osen");
  EXPECT_EQ(request->session().id(), "700100200");
  EXPECT_EQ(request->session().source(), "");
  EXPECT_EQ(request->tags(0), "Telegram-канал");
}

// K9 K12: a booking without a session.
TEST_F(AdapterAgainstSimulatorTest, BookingsWithoutSessionHaveTheDefault) {
  Start();
  const std::string id = Book({{"name", "Анна"}})["id"];
  Set(kRequests, {{"source", "Сайт"}, {"site", "clinic.example"}, {"campaign", "Осень"}});
  EXPECT_EQ(ReadRequest(id)->session().source(), "Сайт");
  EXPECT_EQ(ReadRequest(id)->session().site(), "clinic.example");
  EXPECT_EQ(ReadRequest(id)->session().campaign(), "");
  Set(kRequests, {{"source", "Сайт"}, {"campaign", "Осень"}, {"traffic_type", "campaign"}});
  EXPECT_EQ(ReadRequest(id)->session().campaign(), "Осень");
  EXPECT_EQ(ReadRequest(id)->session().source(), "");
  EXPECT_THAT(ReadRequest(id)->tags(), IsEmpty());
}

// K13: what the simulator's templates give is what the decoder takes, whatever was pasted.
TEST_F(AdapterAgainstSimulatorTest, WebhooksNameTheirVisit) {
  simkit::WebhookReceiver receiver;
  Start();
  sim_->Control("POST", "webhook", {{"account", 1}, {"url", receiver.Url()}});
  const auto decode = [&](size_t number) {
    EXPECT_TRUE(receiver.WaitForCount(number + 1));
    raw::v1::Notice notice;
    notice.set_method("GET");
    notice.set_query(receiver.received().at(number).query);
    return adapter_->notice_decoder()->Decode(notice, kDeals);
  };
  const Json truth = sim_->NewDeal();
  const ObjectRef ref{std::string(kAppointment), truth["id"].get<std::string>()};
  EXPECT_EQ(decode(0)->objects.at(0), ref);
  Faults({{"leftover", true}});
  Step(truth["id"], "move");
  EXPECT_EQ(decode(1)->objects.at(0), ref);
  Faults({{"unfilled", true}});
  Step(truth["id"], "move");
  EXPECT_EQ(decode(2)->ignored.at(0), "unfilled_template");
  Faults({{"empty", true}});
  Step(truth["id"], "move");
  EXPECT_EQ(decode(3)->ignored.at(0), "empty_template");
}

TEST_F(AdapterAgainstSimulatorTest, EveryEnvelopeIsRead) {
  for (const char* envelope : {"0", "1", "2", "3", "4"}) {
    for (const char* nested : {"0", "1"}) {
      Start({{"envelope", envelope}, {"nested_client", nested}});
      const Json truth = sim_->NewDeal();
      const auto deal = ReadDeal(truth["id"]);
      ASSERT_TRUE(deal.ok()) << deal.status() << " envelope " << envelope;
      Check(truth, *deal);
      EXPECT_LE(session_->calls(), *nested == '1' ? 2 : 3);
    }
  }
}

TEST_F(AdapterAgainstSimulatorTest, ChangesAreSeen) {
  Start();
  Json truth = sim_->NewDeal({{"title", "Стрижка"}, {"amount", "1500.50"}});
  const std::string id = truth["id"];
  const int64_t first = Read(id)->version;
  truth = Step(id, "move", {{"stage", "in_progress"}});
  Check(truth, *ReadDeal(id));
  EXPECT_GT(Read(id)->version, first);
  truth = Step(id, "", {{"amount", nullptr}});
  EXPECT_FALSE(ReadDeal(id)->has_amount());
  truth = Step(id, "move", {{"stage", "rescheduled_by_robot"}});
  Check(truth, *ReadDeal(id));
  sim_->Control("DELETE", "deals/" + id);
  EXPECT_TRUE(Read(id)->gone);
}

TEST_F(AdapterAgainstSimulatorTest, VisitsThatComeLateAreNotTakenForRemoved) {
  Start();
  Faults({{"late_ms", 100}});
  const Json truth = sim_->NewDeal();
  EXPECT_TRUE(Read(truth["id"])->perhaps_not_yet);
  EXPECT_TRUE(simkit::WaitFor([&] { return !Read(truth["id"])->gone; }));
  EXPECT_FALSE(Read(truth["id"])->perhaps_not_yet);
}

TEST_F(AdapterAgainstSimulatorTest, TokenGoesIntoThePathWhereTheHeaderIsRefused) {
  Start({{"header_token", "0"}});
  const Json truth = sim_->NewDeal();
  Check(truth, *ReadDeal(truth["id"]));
  EXPECT_EQ(session_->calls(), 4);
  Set(kDeals, {{"token_place", "path"}});
  Check(truth, *ReadDeal(truth["id"]));
  EXPECT_EQ(session_->calls(), 6);
  sim_->Control("POST", "revoke", {{"account", 1}});
  EXPECT_TRUE(absl::IsPermissionDenied(Read(truth["id"]).status()));
}

TEST_F(AdapterAgainstSimulatorTest, RefusalsMayComeWith200) {
  Start({{"header_token", "0"}, {"refuse_with_200", "1"}});
  const Json truth = sim_->NewDeal();
  Check(truth, *ReadDeal(truth["id"]));
  EXPECT_EQ(session_->calls(), 4);
  sim_->Control("POST", "revoke", {{"account", 1}});
  EXPECT_TRUE(absl::IsPermissionDenied(Read(truth["id"]).status()));
}

// A deal without the right to see clients has no contacts, and is a deal all the same.
TEST_F(AdapterAgainstSimulatorTest, DealsGoWithoutClientsThatAreHidden) {
  for (const char* with_200 : {"0", "1"}) {
    Start({{"refuse_with_200", with_200}});
    const Json truth = sim_->NewDeal();
    Faults({{"hide_clients", true}, {"hide_users", true}});
    const auto deal = ReadDeal(truth["id"]);
    ASSERT_TRUE(deal.ok()) << deal.status();
    EXPECT_EQ(deal->contacts_size(), 0);
    EXPECT_EQ(deal->title(), truth["title"]);
  }
}

// K6: a request is made once; the widget's visitor may be a client a moment later.
TEST_F(AdapterAgainstSimulatorTest, BookingsWaitForTheirClients) {
  Start();
  Faults({{"late_client_ms", 150}});
  const Json truth = Book({{"name", "Анна"}, {"phone", "79000001122"}});
  const auto early = Read(truth["id"], kBooking);
  ASSERT_TRUE(early.ok()) << early.status();
  EXPECT_FALSE(early->gone);
  EXPECT_TRUE(early->perhaps_not_yet);
  EXPECT_FALSE(Read(truth["id"])->perhaps_not_yet);
  EXPECT_TRUE(simkit::WaitFor([&] { return !Read(truth["id"], kBooking)->perhaps_not_yet; }));
  EXPECT_EQ(ReadRequest(truth["id"])->contact().phones(0).e164(), "+79000001122");
}

TEST_F(AdapterAgainstSimulatorTest, RemovedVisitsMayBeShown) {
  Start({{"show_removed", "1"}});
  const Json truth = sim_->NewDeal();
  EXPECT_FALSE(ReadDeal(truth["id"])->deleted());
  sim_->Control("DELETE", "deals/" + truth["id"].get<std::string>());
  EXPECT_TRUE(ReadDeal(truth["id"])->deleted());
}

// What a CRM may do, and what must become of it.
TEST_F(AdapterAgainstSimulatorTest, FaultsAreToldApart) {
  Start();
  const Json truth = sim_->NewDeal();
  const auto status = [&](const Json& faults) {
    Faults(faults);
    return Read(truth["id"]).status().code();
  };
  EXPECT_EQ(status({{"status", 401}}), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(status({{"status", 402}}), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status({{"status", 403}}), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(status({{"status", 404}}), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status({{"status", 429}}), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status({{"status", 500}}), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status({{"status", 503}, {"html", true}}), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status({{"status", 200}, {"html", true}}), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status({{"cut", true}}), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status({{"hide_clients", true}}), absl::StatusCode::kOk);
  EXPECT_EQ(status({{"php_notice", true}}), absl::StatusCode::kOk);
  EXPECT_EQ(status({{"hide_users", true}}), absl::StatusCode::kOk);
}

TEST_F(AdapterAgainstSimulatorTest, BlockedHoursAreNoDeals) {
  Start();
  const Json blocked = sim_->NewDeal({{"client", nullptr}});
  EXPECT_EQ(ReasonOf(ReadDeal(blocked["id"]).status()), kNotADeal);
  EXPECT_EQ(session_->calls(), 1);
  const Json demo = sim_->NewDeal({{"client", {{"name", "Демо"}, {"demo", true}}}});
  EXPECT_EQ(ReasonOf(ReadDeal(demo["id"]).status()), kNotADeal);
}

// What webhooks lost is found.
TEST_F(AdapterAgainstSimulatorTest, SweepFindsWhatHasChanged) {
  Start({{"deals", "30"}});
  ListRequest request;
  request.from = absl::Now() - absl::Hours(24 * 30);
  std::string cursor;
  const std::set<std::string> all = Ids();
  EXPECT_THAT(List(request, &cursor), IsSupersetOf(all));
  const std::string changed = *all.begin();
  Step(changed, "move");
  const std::string made = sim_->NewDeal({{"move_minutes", 100'000}})["id"];
  request = ListRequest();
  request.cursor = cursor;
  EXPECT_THAT(List(request), IsSupersetOf(std::set<std::string>{changed, made}));
}

TEST_F(AdapterAgainstSimulatorTest, LongListsArePaged) {
  for (const char* most : {"0", "7", "50"}) {
    for (const char* newest_first : {"0", "1"}) {
      Start({{"most_rows", most}, {"newest_first", newest_first}});
      sim_->Control("POST", "burst", {{"account", 1}, {"deals", 230}, {"changes", 0}});
      ListRequest request;
      request.from = absl::Now() - absl::Hours(1);
      const std::set<std::string> all = Ids();
      EXPECT_GT(all.size(), 200u);
      EXPECT_THAT(List(request), IsSupersetOf(all)) << most;
    }
  }
}

}  // namespace
}  // namespace dealstream::crm::klientiks
