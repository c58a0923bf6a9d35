#pragma once

#include <memory>
#include <string>

#include "absl/time/time.h"

#include "dealstream/vault/v1/vault.pb.h"
#include "libs/base/status.h"

namespace grpc {
class Channel;
}
namespace dealstream::obs {
class Metrics;
}

namespace dealstream::cabinet {

// What the cabinet asks the vault: metadata of a credential, never a secret. Thread-safe.
class Credentials {
 public:
  virtual ~Credentials() = default;
  // NotFound: there is none of that id. Unavailable: the vault doesn't answer.
  virtual Result<vault::v1::Credential> Get(const std::string& id) = 0;
};

std::unique_ptr<Credentials> MakeVaultCredentials(std::shared_ptr<grpc::Channel> channel,
                                                  absl::Duration timeout,
                                                  obs::Metrics& metrics);

}  // namespace dealstream::cabinet
