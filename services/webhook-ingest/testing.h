#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "google/protobuf/any.pb.h"
#include <unistd.h>

#include "libs/base/ids.h"
#include "libs/crm/api/registry.h"
#include "libs/kafka/kafka.h"
#include "services/webhook-ingest/token_table.h"

// Stand-ins for tests: a CRM and Kafka.
namespace dealstream::ingest {

// Answers 202 with a text; wants one header of its own kept.
class FakeAdapter final : public crm::Adapter, crm::NoticeDecoder, crm::CredentialType {
 public:
  FakeAdapter(std::string id, absl::Duration patience) : id_(std::move(id)), patience_(patience) {}

  std::string_view id() const override { return id_; }
  std::string_view display_name() const override { return id_; }
  std::vector<crm::Purpose> Purposes() const override { return {integration::v1::PURPOSE_DEALS}; }
  const google::protobuf::Message& SettingsPrototype() const override {
    return google::protobuf::Any::default_instance();
  }
  Status CheckSettings(const google::protobuf::Any& /*settings*/, crm::Purpose) const override {
    return absl::OkStatus();
  }
  crm::RateLimit Limit(const google::protobuf::Any& /*settings*/) const override { return {}; }
  std::vector<std::string> AllowedHostSuffixes() const override { return {}; }
  absl::Duration SweepInterval() const override { return absl::ZeroDuration(); }
  const crm::CredentialType& credential() const override { return *this; }
  const crm::NoticeDecoder* notice_decoder() const override { return this; }

  crm::NoticeReply Reply() const override {
    crm::NoticeReply reply;
    reply.status = 202;
    reply.content_type = "text/plain";
    reply.body = "thanks";
    reply.patience = patience_;
    reply.headers = {"x-fake-event"};
    return reply;
  }
  Result<crm::DecodedNotice> Decode(const raw::v1::Notice& /*notice*/,
                                    crm::Purpose /*purpose*/) const override {
    return crm::DecodedNotice{};
  }
  std::vector<crm::CredentialFieldSpec> Fields() const override { return {}; }
  Result<std::string> CrmAccountId(const crm::CredentialFields& /*fields*/) const override {
    return "";
  }
  Result<crm::Access> MakeAccess(const crm::CredentialFields& /*fields*/,
                                 http::Transport& /*login*/) const override {
    return crm::Access{};
  }

 private:
  std::string id_;
  absl::Duration patience_;
};

inline crm::Registry FakeRegistry(absl::Duration patience = absl::Milliseconds(1500),
                                  const std::vector<std::string>& ids = {"acme"}) {
  std::vector<std::unique_ptr<crm::Adapter>> adapters;
  for (const std::string& id : ids) {
    adapters.push_back(std::make_unique<FakeAdapter>(id, patience));
  }
  return crm::Registry(std::move(adapters));
}

// What the brokers are doing; may be shared by several producers and changed from any thread.
class FakeBroker {
 public:
  enum class Mode {
    kAccept,
    kSilent,     // No report comes.
    kTimeOut,    // Each record is reported as given up.
    kQueueFull,  // Send refuses for want of room.
  };

  void Set(Mode mode) {
    const std::lock_guard lock(mutex_);
    mode_ = mode;
  }
  // Records for which this holds are refused for good.
  void RefuseIf(std::function<bool(const kafka::OutRecord&)> predicate) {
    const std::lock_guard lock(mutex_);
    refuse_ = std::move(predicate);
  }
  std::vector<kafka::OutRecord> stored() const {
    const std::lock_guard lock(mutex_);
    return stored_;
  }

 private:
  friend class FakeProducer;
  mutable std::mutex mutex_;
  Mode mode_ = Mode::kAccept;
  std::function<bool(const kafka::OutRecord&)> refuse_;
  std::vector<kafka::OutRecord> stored_;
};

// Manual polling, as the door uses it. What was sent is reported by the next Poll.
class FakeProducer final : public kafka::Producer {
 public:
  explicit FakeProducer(FakeBroker& broker, int notify_fd = -1)
      : broker_(broker), notify_fd_(notify_fd) {}

  Status Send(kafka::OutRecord record, Done done) override {
    const std::lock_guard lock(broker_.mutex_);
    if (broker_.mode_ == FakeBroker::Mode::kQueueFull) {
      return absl::ResourceExhaustedError("fake: queue full");
    }
    queue_.emplace_back(std::move(record), std::move(done));
    Notify();
    return absl::OkStatus();
  }

  int Poll() override {
    std::vector<std::pair<Done, Result<kafka::Position>>> reports;
    {
      const std::lock_guard lock(broker_.mutex_);
      if (broker_.mode_ == FakeBroker::Mode::kSilent) {
        return 0;
      }
      for (auto& [record, done] : std::exchange(queue_, {})) {
        reports.emplace_back(std::move(done), Decide(std::move(record)));
      }
    }
    for (auto& [done, report] : reports) {
      done(report);
    }
    return static_cast<int>(reports.size());
  }

  Status Flush(absl::Time /*deadline*/) override {
    Poll();
    return absl::OkStatus();
  }

  bool Connected() const override {
    const std::lock_guard lock(broker_.mutex_);
    return broker_.mode_ == FakeBroker::Mode::kAccept;
  }

 private:
  Result<kafka::Position> Decide(kafka::OutRecord record) {
    if (broker_.mode_ == FakeBroker::Mode::kTimeOut) {
      return absl::DeadlineExceededError("fake: given up");
    }
    if (broker_.refuse_ && broker_.refuse_(record)) {
      return absl::InvalidArgumentError("fake: record too large");
    }
    broker_.stored_.push_back(std::move(record));
    return kafka::Position{0, static_cast<int64_t>(broker_.stored_.size()) - 1};
  }

  void Notify() const {
    const uint64_t one = 1;
    if (notify_fd_ >= 0) {
      [[maybe_unused]] const ssize_t n = write(notify_fd_, &one, sizeof(one));
    }
  }

  FakeBroker& broker_;
  const int notify_fd_;
  std::vector<std::pair<kafka::OutRecord, Done>> queue_;
};

inline TokenDigest DigestForTest(std::string_view token) {
  TokenDigest digest;
  const std::string bytes = Sha256(token);
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

}  // namespace dealstream::ingest
