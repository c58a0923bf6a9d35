#pragma once

#include <memory>

#include "libs/base/status.h"
#include "libs/rpc/rpc.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

// Credentials whose certificate files are looked at every kRefreshSeconds. Inside of the library.
namespace dealstream::rpc {

inline constexpr unsigned kRefreshSeconds = 2;

// FailedPrecondition names the file that can't be read, or says that key and certificate differ.
Status CheckTlsFiles(const TlsFiles& files);

// To be called before gRPC is: its own lines go into our log, as events "grpc" of level warn at
// most, and the process doesn't end amidst its work.
void UseGrpc();

// Demands a client certificate of the CA.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& files);
std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsFiles& files);

}  // namespace dealstream::rpc
