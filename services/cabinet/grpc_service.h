#pragma once

#include <memory>
#include <string>
#include <vector>

#include "services/cabinet/cabinet.h"

namespace grpc {
class Service;
}

namespace dealstream::cabinet {

// CabinetService over a Cabinet: who may call (by the common name of the caller's certificate), and
// statuses. PERMISSION_DENIED for everybody else. `cabinet` outlives it.
std::unique_ptr<grpc::Service> MakeGrpcService(Cabinet& cabinet, std::vector<std::string> callers);

// "dealstream.cabinet.v1.CabinetService".
std::string GrpcServiceName();

}  // namespace dealstream::cabinet
