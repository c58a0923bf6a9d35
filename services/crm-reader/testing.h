#pragma once

#include <charconv>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "libs/base/clock.h"
#include "libs/crm/api/adapter.h"
#include "libs/http/transport.h"
#include "libs/kafka/kafka.h"
#include "services/crm-reader/access_cache.h"

// Fakes for the reader's tests: a broker, a vault, a CRM and its adapter.
namespace dealstream::reader::testing {

// Keeps what is sent. Reports at once, or when told to.
class FakeProducer final : public kafka::Producer {
 public:
  struct Sent {
    kafka::OutRecord record;
    kafka::Position position;
  };

  Status Send(kafka::OutRecord record, Done done) override {
    Result<kafka::Position> result = Status(absl::StatusCode::kUnavailable, "no broker");
    {
      std::lock_guard lock(mutex_);
      if (full) {
        return absl::ResourceExhaustedError("queue full");
      }
      if (away) {
        ++refused;
      } else if (too_large != 0 && record.value.value_or("").size() > too_large &&
                 !record.topic.starts_with("dlq.")) {
        result = absl::InvalidArgumentError("too large");
      } else {
        std::vector<Sent>& topic = by_topic_[record.topic];
        kafka::Position position{partition, static_cast<int64_t>(topic.size())};
        topic.push_back({std::move(record), position});
        result = position;
      }
      if (hold) {
        held_.emplace_back(std::move(done), std::move(result));
        return absl::OkStatus();
      }
    }
    done(result);
    return absl::OkStatus();
  }

  // Reports what was held, and what that leads to.
  void Release() {
    hold = false;
    while (true) {
      std::vector<std::pair<Done, Result<kafka::Position>>> held;
      {
        std::lock_guard lock(mutex_);
        held.swap(held_);
      }
      if (held.empty()) {
        return;
      }
      for (auto& [done, result] : held) {
        done(result);
      }
    }
  }
  // As after a crash: what was sent and not reported stays unreported.
  void DropReports() { held_.clear(); }

  int Poll() override { return 0; }
  Status Flush(absl::Time) override { return absl::OkStatus(); }
  bool Connected() const override { return !away; }

  std::vector<Sent> Topic(const std::string& topic) {
    std::lock_guard lock(mutex_);
    return by_topic_[topic];
  }
  template <typename Message>
  std::vector<Message> Read(const std::string& topic) {
    std::vector<Message> messages;
    for (const Sent& sent : Topic(topic)) {
      messages.emplace_back().ParseFromString(sent.record.value.value_or(""));
    }
    return messages;
  }

  bool hold = false;
  bool away = false;
  bool full = false;
  size_t too_large = 0;
  int refused = 0;
  int32_t partition = 0;

 private:
  std::mutex mutex_;
  std::map<std::string, std::vector<Sent>> by_topic_;
  std::vector<std::pair<Done, Result<kafka::Position>>> held_;
};

// Access whose base URL is the credential's id as a host.
class FakeVault final : public Vault {
 public:
  Result<IssuedAccess> IssueAccess(const std::string& credential_id, int64_t) override {
    DEALSTREAM_RETURN_IF_ERROR(error);
    IssuedAccess issued;
    issued.access.base_url = "https://" + credential_id;
    issued.access.headers.emplace_back("authorization", Secret("Basic c2VjcmV0"));
    issued.access.query.emplace_back("key", Secret("q s"));
    issued.access.path.emplace_back("token", Secret("p/s"));
    issued.version = version;
    return issued;
  }

  Status error;
  int64_t version = 1;
};

// Answers by host.
class FakeTransport final : public http::Transport {
 public:
  using Handler = std::function<Result<http::Response>(const http::Request&)>;

  Result<http::Response> Send(const http::Request& request) override {
    std::string host = request.url.substr(8, request.url.find('/', 8) - 8);
    Handler handler;
    {
      std::lock_guard lock(mutex_);
      requests.push_back(request);
      ++calls[host];
      handler = handlers[host];
    }
    if (handler) {
      return handler(request);
    }
    return http::Response{200, {}, "1"};
  }

  std::map<std::string, Handler> handlers;
  std::map<std::string, int> calls;
  std::vector<http::Request> requests;

 private:
  std::mutex mutex_;
};

// A CRM whose notices are "kind:id,kind:id" (delivery id in the query), whose objects are their
// version as a number (a "booking" may come after its notice), and whose lists are "id version"
// lines (with the object as a third word where the listing gives it whole), then "next X" or
// "cursor Y". A "payment:7" is read as order 7.
class FakeAdapter final : public crm::Adapter,
                          private crm::NoticeDecoder,
                          private crm::RecordSource {
 public:
  std::string_view id() const override { return "acme"; }
  std::string_view display_name() const override { return "Acme"; }
  std::vector<crm::Purpose> Purposes() const override { return {integration::v1::PURPOSE_DEALS}; }
  const google::protobuf::Message& SettingsPrototype() const override {
    return google::protobuf::Any::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any&, crm::Purpose) const override {
    return absl::OkStatus();
  }
  crm::RateLimit Limit(const google::protobuf::Any& settings) const override {
    return limit_of ? limit_of(settings) : limit;
  }
  std::vector<std::string> AllowedHostSuffixes() const override { return {}; }
  absl::Duration SweepInterval() const override { return absl::Minutes(10); }
  const crm::CredentialType& credential() const override { std::abort(); }
  const crm::NoticeDecoder* notice_decoder() const override { return this; }
  const crm::RecordSource* record_source() const override { return has_source ? this : nullptr; }

  std::function<crm::RateLimit(const google::protobuf::Any& settings)> limit_of;
  crm::RateLimit limit{.units = 1000, .interval = absl::Seconds(1), .reader_share = 1};
  bool has_source = true;

 private:
  crm::NoticeReply Reply() const override { return {}; }

  Result<crm::DecodedNotice> Decode(const raw::v1::Notice& notice, crm::Purpose) const override {
    crm::DecodedNotice decoded;
    decoded.delivery_id = notice.query();
    if (notice.body().starts_with("!")) {
      return absl::InvalidArgumentError("acme notice: found \"!\", want kind:id");
    }
    std::string_view rest = notice.body();
    while (!rest.empty()) {
      std::string_view one = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), one.size() + 1));
      size_t colon = one.find(':');
      if (one == "?") {
        decoded.unreadable = absl::InvalidArgumentError("acme notice: found \"?\", want kind:id");
        continue;
      }
      if (one == "other") {
        decoded.ignored.push_back("other_entity");
        continue;
      }
      decoded.objects.push_back(
          {std::string(one.substr(0, colon)), std::string(one.substr(colon + 1))});
    }
    if (decoded.objects.empty()) {
      decoded.ignored.push_back("other_entity");
    }
    return decoded;
  }

  static Status Check(const http::Response& response) {
    switch (response.status) {
      case 200:
        return absl::OkStatus();
      case 401:
        return absl::UnauthenticatedError("acme: 401");
      case 403:
        return WithReason(absl::FailedPreconditionError("acme: 403"), crm::kObjectForbidden);
      case 412:
        return absl::FailedPreconditionError("acme: 412");
      case 429: {
        std::string_view wait = http::FindHeader(response.headers, "retry-ms");
        Status status = WithReason(absl::ResourceExhaustedError("acme: 429"), "rate_limited");
        return wait.empty()
                   ? status
                   : WithRetryAfter(status, absl::Milliseconds(std::stoi(std::string(wait))));
      }
      default:
        return response.status >= 500 ? absl::UnavailableError("acme: 5xx")
                                      : absl::DataLossError("acme: odd answer");
    }
  }

  static int64_t Number(std::string_view text) {
    int64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
  }

  Result<crm::ReadObject> Read(const crm::ObjectRef& ref,
                               const google::protobuf::Any&,
                               crm::Session& session) const override {
    crm::Session::Call call;
    call.operation = "get_object";
    call.path = "/obj/" + ref.external_id;
    DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session.Send(call));
    crm::ReadObject object;
    if (response.status == 404) {
      object.gone = true;
      object.perhaps_not_yet = ref.kind == "booking";
      return object;
    }
    DEALSTREAM_RETURN_IF_ERROR(Check(response));
    object.version = Number(response.body);
    if (object.version == 0) {
      return absl::DataLossError("acme object: want a number");
    }
    object.parts.emplace_back("object", response.body);
    if (ref.kind == "payment") {
      object.ref = crm::ObjectRef{"order", ref.external_id};
    }
    return object;
  }

  bool CanList() const override { return true; }
  bool Lists(crm::Purpose purpose) const override {
    return purpose != integration::v1::PURPOSE_REQUESTS;
  }

  Result<crm::ListPage> List(const crm::ListRequest& request,
                             crm::Purpose,
                             const google::protobuf::Any&,
                             crm::Session& session) const override {
    crm::Session::Call call;
    call.operation = "list_objects";
    call.path = "/list/" + request.page_token;
    call.query.emplace_back("cursor", request.cursor);
    DEALSTREAM_ASSIGN_OR_RETURN(http::Response response, session.Send(call));
    DEALSTREAM_RETURN_IF_ERROR(Check(response));
    crm::ListPage page;
    std::string_view rest = response.body;
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      std::string first(line.substr(0, line.find(' ')));
      std::string second(line.substr(line.find(' ') + 1));
      if (first == "next") {
        page.next_page_token = second;
      } else if (first == "cursor") {
        page.cursor = second;
      } else {
        crm::ListedObject& object = page.objects.emplace_back();
        object.ref = {"order", first};
        object.version = Number(second);
        if (size_t third = second.find(' '); third != std::string::npos) {
          object.parts.emplace_back("object", second.substr(third + 1));
        }
      }
    }
    return page;
  }
};

}  // namespace dealstream::reader::testing
