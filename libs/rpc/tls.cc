#include "libs/rpc/tls.h"

#include <cstdio>
#include <memory>
#include <string>

#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "libs/config/config.h"
#include "libs/obs/log.h"

namespace dealstream::rpc {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

std::shared_ptr<FileWatcherCertificateProvider> Watch(const TlsFiles& files) {
  return std::make_shared<FileWatcherCertificateProvider>(
      files.key_file, files.certificate_file, files.ca_file, kRefreshSeconds);
}

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;
using Certificate = std::unique_ptr<X509, FreeX509>;
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;

Result<File> Open(std::string_view config_key, const std::string& path) {
  File file(std::fopen(path.c_str(), "r"));
  if (!file) {
    return absl::FailedPreconditionError(
        fmt::format("{}: can't read {}; tools/certs makes a set for development",
                    config_key,
                    path.empty() ? "\"\" (not set)" : path));
  }
  return file;
}

Result<Certificate> ReadCertificate(std::string_view config_key, const std::string& path) {
  DEALSTREAM_ASSIGN_OR_RETURN(const File file, Open(config_key, path));
  Certificate certificate(PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
  if (!certificate) {
    ERR_clear_error();
    return absl::FailedPreconditionError(
        fmt::format("{}: no PEM certificate in {}", config_key, path));
  }
  return certificate;
}

// gRPC ends its connections behind its callers' backs: the process's end waits for that.
class Library {
 public:
  Library() {
    OPENSSL_init_ssl(0, nullptr);
    gpr_set_log_function([](gpr_log_func_args* line) {
      if (line->severity == GPR_LOG_SEVERITY_ERROR) {
        obs::Warn("grpc", line->message);
      } else {
        obs::Log(obs::Level::kDebug, "grpc", line->message);
      }
    });
    grpc_init();
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  // Waits only where no channel and no server is left.
  ~Library() { grpc_shutdown_blocking(); }
};

}  // namespace

void AddTlsConfig(config::Schema& schema, TlsFiles* files) {
  schema.Add("tls.ca_file",
             &files->ca_file,
             "PEM file of the authority that signs every component's certificate. Watched, as the "
             "other two.",
             true);
  schema.Add("tls.certificate_file",
             &files->certificate_file,
             "PEM file of this component's certificate; its common name is the component's name.",
             true);
  schema.Add("tls.key_file", &files->key_file, "PEM file of the certificate's private key.", true);
}

void UseGrpc() {
  // Made behind OpenSSL's own, so that it ends before it.
  static const Library library;
}

Status CheckTlsFiles(const TlsFiles& files) {
  DEALSTREAM_RETURN_IF_ERROR(ReadCertificate("tls.ca_file", files.ca_file).status());
  DEALSTREAM_ASSIGN_OR_RETURN(const Certificate certificate,
                              ReadCertificate("tls.certificate_file", files.certificate_file));
  DEALSTREAM_ASSIGN_OR_RETURN(const File file, Open("tls.key_file", files.key_file));
  const Key key(PEM_read_PrivateKey(file.get(), nullptr, nullptr, nullptr));
  const bool matches = key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!matches) {
    return absl::FailedPreconditionError(
        fmt::format("tls.key_file: {} holds {}",
                    files.key_file,
                    key ? "another key than that of tls.certificate_file" : "no PEM private key"));
  }
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const TlsFiles& files) {
  grpc::experimental::TlsServerCredentialsOptions options(Watch(files));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> MakeChannelCredentials(const TlsFiles& files) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(Watch(files));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_certificate_verifier(
      std::make_shared<grpc::experimental::HostNameCertificateVerifier>());
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace dealstream::rpc
