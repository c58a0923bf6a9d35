#pragma once

#include <memory>
#include <string>

#include "libs/rpc/rpc.h"
#include "services/crm-reader/access_cache.h"

namespace dealstream::reader {

// The vault over gRPC. `name` is what the server's certificate must bear.
std::unique_ptr<Vault> MakeVaultClient(const std::string& address,
                                       const rpc::TlsFiles& tls,
                                       const std::string& name);

}  // namespace dealstream::reader
