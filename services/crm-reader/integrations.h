#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "google/protobuf/any.pb.h"

#include "dealstream/integration/v1/integration.pb.h"
#include "libs/kafka/kafka.h"

namespace dealstream::reader {

// What the reader needs of an integration; an immutable snapshot of one version.
struct Integration {
  std::string id;
  std::string account_id;
  std::string crm_account_id;
  std::string credential_id;
  integration::v1::Purpose purpose = integration::v1::PURPOSE_UNSPECIFIED;
  bool active = false;
  int64_t version = 0;
  google::protobuf::Any settings;
  absl::Time created_at = absl::InfinitePast();
};

// The integrations of one CRM, from `integrations.v1`: some 0.7 KB each. Thread-safe.
class Integrations {
 public:
  explicit Integrations(std::string crm) : crm_(std::move(crm)) {}

  // A record of the topic, in the topic's order. What can't be read is logged and left out.
  void Apply(const kafka::InRecord& record);
  // Null when there is none of that id.
  std::shared_ptr<const Integration> Find(const std::string& id) const;
  size_t size() const;

 private:
  const std::string crm_;
  mutable std::mutex mutex_;
  // Shared with the work that is being done under a version.
  absl::flat_hash_map<std::string, std::shared_ptr<const Integration>> by_id_;
};

}  // namespace dealstream::reader
