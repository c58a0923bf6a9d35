#pragma once

#include <memory>
#include <string>

#include "services/credential-vault/vault.h"
#include "services/credential-vault/worker_pool.h"

namespace grpc {
class Service;
}

namespace dealstream::vault {

// VaultService over gRPC's callback interface: what waits for the store runs on `workers`, access
// that is kept is answered on gRPC's own thread, out of locked memory. Both outlive it.
std::unique_ptr<grpc::Service> MakeGrpcService(Vault& vault, WorkerPool& workers);

// For the health service.
std::string GrpcServiceName();

}  // namespace dealstream::vault
