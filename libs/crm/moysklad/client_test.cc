#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/moysklad/adapter.h"
#include "libs/crm/moysklad/sim/simulator.h"
#include "libs/crm/moysklad/wire.h"
#include "libs/http/curl_transport.h"
#include "libs/http/server.h"

// The adapter against the simulator, over HTTP: the two share no code, so that a mistake in one
// shows against the other.
namespace dealstream::crm::moysklad {
namespace {

using fixture::kDeals;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class AdapterAgainstSimulatorTest : public ::testing::Test {
 protected:
  void Start(const std::string& units = "1000000") {
    SimOptions options;
    options.settings["units"] = units;
    options.settings["deals"] = "0";
    auto made = MakeSimulator(options);
    ASSERT_TRUE(made.ok()) << made.status();
    simulator_ = *std::move(made);
    http::CurlOptions curl;
    curl.allow_loopback = true;
    transport_ = *http::CurlTransport::Create(std::move(curl));
    const Json account = Json::parse(simulator_->Describe())["accounts"][0];
    for (const auto& [name, value] : account["credential"].items()) {
      fields_.emplace_back(name, Secret(value.get<std::string>()));
    }
    auto access = adapter_->credential().MakeAccess(fields_, *transport_);
    ASSERT_TRUE(access.ok()) << access.status();
    session_ = std::make_unique<fixture::PlainSession>(*transport_, *std::move(access));
  }

  Json Control(const std::string& method,
               const std::string& path,
               const Json& body = Json::object()) {
    http::Request request;
    request.method = method;
    request.url = fmt::format("http://127.0.0.1:{}/_sim/{}", simulator_->port(), path);
    request.body = method == "GET" ? "" : body.dump();
    request.operation = "control";
    auto response = transport_->Send(request);
    EXPECT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response.ok() ? response->status : 0, 200) << path << response->body;
    return response.ok() ? Json::parse(response->body, nullptr, false) : Json();
  }

  Json NewOrder(Json fields = Json::object()) {
    fields["account"] = "company1";
    return Control("POST", "deals", fields);
  }

  Result<ReadObject> Read(const std::string& id) {
    return adapter_->record_source()->Read({std::string(kOrder), id}, {}, *session_);
  }

  Result<deal::v1::Deal> ReadDeal(const std::string& id) {
    DEALSTREAM_ASSIGN_OR_RETURN(const ReadObject object, Read(id));
    raw::v1::Record record;
    record.set_version(object.version);
    for (const auto& [name, body] : object.parts) {
      auto& part = *record.add_parts();
      part.set_name(name);
      part.set_body(body);
    }
    deal::v1::Deal deal;
    DEALSTREAM_RETURN_IF_ERROR(adapter_->deal_mapper()->Map(record, deal));
    return deal;
  }

  const std::unique_ptr<Adapter> adapter_ = MakeAdapter();
  std::unique_ptr<Simulator> simulator_;
  std::unique_ptr<http::CurlTransport> transport_;
  CredentialFields fields_;
  std::unique_ptr<fixture::PlainSession> session_;
};

// M1 M2 M3 M4
TEST_F(AdapterAgainstSimulatorTest, AnOrderBecomesADeal) {
  Start();
  const Json truth =
      NewOrder({{"sum", "12345.6789"},
                {"positions", {{{"quantity", 2}, {"price", 1000}, {"discount", 5}}}},
                {"agent", {{"name", "Лукин"}, {"phone", "8 900 000-11-22"}, {"email", "L@x.ru"}}}});
  const auto deal = ReadDeal(truth["id"]);
  ASSERT_TRUE(deal.ok()) << deal.status();
  EXPECT_EQ(deal->title(), truth["title"]);
  EXPECT_EQ(deal->stage().id(), truth["state_id"]);
  EXPECT_EQ(deal->stage().name(), truth["stage"]);
  EXPECT_EQ(deal->contacts(0).name(), "Лукин");
  EXPECT_EQ(deal->contacts(0).phones(0).e164(), "+79000001122");
  EXPECT_EQ(deal->contacts(0).emails(0), "l@x.ru");
  EXPECT_EQ(deal->items_size(), 1);
  EXPECT_EQ(deal->items(0).total().units(), 19);
  EXPECT_EQ(deal->pipeline().name(), "Заказы покупателей");
  EXPECT_FALSE(deal->deleted());
  const auto object = Read(truth["id"]);
  ASSERT_TRUE(object.ok());
  EXPECT_EQ(object->version, truth["updated_us"]);
}

TEST_F(AdapterAgainstSimulatorTest, FractionsOfAKopeckArriveExactly) {
  Start();
  const Json truth = NewOrder({{"positions", 1}});
  Control("POST", "deals/" + truth["id"].get<std::string>(), {{"sum", "12345.6789"}});
  const auto deal = ReadDeal(truth["id"]);
  ASSERT_TRUE(deal.ok()) << deal.status();
  EXPECT_EQ(deal->amount().units(), 123);
  EXPECT_EQ(deal->amount().nanos(), 456'789'000);
  EXPECT_EQ(deal->amount().currency_code(), "RUB");
}

TEST_F(AdapterAgainstSimulatorTest, PositionsOverSeveralPages) {
  Start();
  const Json truth = NewOrder({{"positions", 1234}});
  const auto deal = ReadDeal(truth["id"]);
  ASSERT_TRUE(deal.ok()) << deal.status();
  EXPECT_EQ(deal->items_size(), 1234);
  std::set<std::string> ids;
  for (const auto& item : deal->items()) {
    ids.insert(item.id());
    EXPECT_FALSE(item.name().empty());
  }
  EXPECT_EQ(ids.size(), 1234u);
}

TEST_F(AdapterAgainstSimulatorTest, AbsentReferencesAreAbsent) {
  Start();
  const Json truth = NewOrder({{"state", nullptr},
                               {"store", nullptr},
                               {"owner", nullptr},
                               {"positions", 0},
                               {"currency", "USD"}});
  const auto deal = ReadDeal(truth["id"]);
  ASSERT_TRUE(deal.ok()) << deal.status();
  EXPECT_FALSE(deal->has_stage());
  EXPECT_FALSE(deal->has_branch());
  EXPECT_FALSE(deal->has_responsible());
  EXPECT_EQ(deal->amount().currency_code(), "USD");
}

TEST_F(AdapterAgainstSimulatorTest, BinRestoreAndDeletion) {
  Start();
  const std::string id = NewOrder()["id"];
  Control("POST", "deals/" + id + "/trash");
  EXPECT_TRUE(ReadDeal(id)->deleted());
  Control("POST", "deals/" + id + "/restore");
  EXPECT_FALSE(ReadDeal(id)->deleted());
  Control("DELETE", "deals/" + id);
  const auto gone = Read(id);
  ASSERT_TRUE(gone.ok()) << gone.status();
  EXPECT_TRUE(gone->gone);
  EXPECT_EQ(gone->version, 0);
}

TEST_F(AdapterAgainstSimulatorTest, ListsWhatAnAccountsLifeLeft) {
  Start();
  Control("POST", "burst", {{"account", "company1"}, {"deals", 350}, {"changes", 300}});
  ListRequest request;
  request.from = absl::UnixEpoch();
  const auto pass = fixture::ListAll(*adapter_->record_source(), *session_, request);
  ASSERT_TRUE(pass.status.ok()) << pass.status;
  EXPECT_GT(pass.pages, 3);
  int there = 0;
  const Json truth = Control("GET", "deals?account=company1");
  for (const Json& order : truth["deals"]) {
    if (order["gone"] == true) {
      EXPECT_FALSE(pass.versions.contains(order["id"]));
      continue;
    }
    ++there;
    ASSERT_TRUE(pass.versions.contains(order["id"])) << order;
    EXPECT_EQ(pass.versions.at(order["id"]), order["updated_us"]);
  }
  EXPECT_EQ(static_cast<int>(pass.versions.size()), there);
  // Each of them is a deal, whatever life made of it.
  int checked = 0;
  for (const Json& order : truth["deals"]) {
    if (order["gone"] == true || ++checked > 60) {
      continue;
    }
    const auto deal = ReadDeal(order["id"]);
    ASSERT_TRUE(deal.ok()) << deal.status() << order;
    EXPECT_EQ(deal->title(), order["title"]);
    EXPECT_EQ(deal->amount().currency_code(), order["currency"]);
    EXPECT_EQ(deal->items_size(), order["positions"].get<int>()) << order;
    EXPECT_EQ(deal->deleted(), !order["deleted"].is_null() && order["deleted"] != false) << order;
  }
}

TEST_F(AdapterAgainstSimulatorTest, WrongPassword) {
  Start();
  CredentialFields wrong;
  for (const auto& [name, value] : fields_) {
    wrong.emplace_back(name, name == "password" ? Secret("wrong") : value.Clone());
  }
  session_ = std::make_unique<fixture::PlainSession>(
      *transport_, *adapter_->credential().MakeAccess(wrong, *transport_));
  EXPECT_TRUE(absl::IsUnauthenticated(Read(NewOrder()["id"]).status()));
}

TEST_F(AdapterAgainstSimulatorTest, TheLimitSaysWhenToComeBack) {
  Start(/*units=*/"30");
  const std::string id = NewOrder()["id"];
  Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) {
    status = Read(id).status();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  ASSERT_TRUE(RetryAfter(status).has_value());
  EXPECT_GT(*RetryAfter(status), absl::ZeroDuration());
  EXPECT_LE(*RetryAfter(status), absl::Seconds(3));
}

TEST_F(AdapterAgainstSimulatorTest, FaultsAreToBeTriedAgain) {
  Start();
  const std::string id = NewOrder()["id"];
  for (const Json& fault :
       {Json{{"status", 500}}, Json{{"status", 503}, {"html", true}}, Json{{"cut", true}}}) {
    Json body = fault;
    body["account"] = "company1";
    body["for_requests"] = 1;
    Control("POST", "faults", body);
    const Status status = Read(id).status();
    EXPECT_EQ(DispositionOf(status), Disposition::kRetry) << fault << status;
    EXPECT_TRUE(Read(id).ok());
  }
}

// Webhooks as they are sent: whatever is in a body, each order of it is named.
TEST_F(AdapterAgainstSimulatorTest, WebhooksNameTheOrders) {
  std::mutex mutex;
  std::vector<http::ServerRequest> received;
  http::ServerOptions options;
  options.address = "127.0.0.1:0";
  auto door = *http::Server::Create(options, [&](const http::ServerRequest& request) {
    std::lock_guard lock(mutex);
    received.push_back(request);
    http::ServerResponse response;
    response.status = adapter_->notice_decoder()->Reply().status;
    return response;
  });
  Start();
  Control(
      "POST",
      "webhook",
      {{"account", "company1"}, {"url", fmt::format("http://127.0.0.1:{}/hook/x", door->port())}});
  const std::string id = NewOrder()["id"];
  Control("POST", "deals/" + id, {{"sum", "100"}});
  Control("DELETE", "deals/" + id);
  for (int i = 0; i < 1000; ++i) {
    {
      std::lock_guard lock(mutex);
      if (received.size() >= 3) {
        break;
      }
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  std::lock_guard lock(mutex);
  ASSERT_EQ(received.size(), 3u);
  std::set<std::string> deliveries;
  for (const http::ServerRequest& request : received) {
    raw::v1::Notice notice;
    notice.set_query(request.query);
    notice.set_body(request.body);
    const auto decoded = adapter_->notice_decoder()->Decode(notice, kDeals);
    ASSERT_TRUE(decoded.ok()) << decoded.status() << request.body;
    ASSERT_EQ(decoded->objects.size(), 1u) << request.body;
    EXPECT_EQ(decoded->objects[0].external_id, id);
    EXPECT_TRUE(IsUuid(decoded->delivery_id)) << request.query;
    deliveries.insert(decoded->delivery_id);
  }
  EXPECT_EQ(deliveries.size(), 3u);
}

}  // namespace
}  // namespace dealstream::crm::moysklad
