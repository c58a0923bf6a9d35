#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libs/base/status.h"
#include "libs/http/transport.h"

namespace dealstream::obs {
class Metrics;
}

namespace dealstream::http {

struct CurlOptions {
  // Host suffixes that may be called: "example.ru" allows it and its subdomains.
  std::vector<std::string> allowed_host_suffixes;
  // Development only: http:// and loopback addresses are allowed too, whatever the host.
  bool allow_loopback = false;
  int64_t max_response_bytes = 32 << 20;
  int max_connections_per_host = 8;
};

// Transport over libcurl's multi interface: pooled connections, TLS, HTTP/2, gzip; one thread of
// its own. Outside of the development mode only https:// on port 443 to allowed hosts, and never an
// address that is private, loopback, link-local, multicast or reserved: checked on the resolved
// address at connect time, IPv4 in IPv6 included. Redirects are not followed.
class CurlTransport final : public Transport {
 public:
  static Result<std::unique_ptr<CurlTransport>> Create(CurlOptions options);
  ~CurlTransport() override;
  Result<Response> Send(const Request& request) override;

 private:
  struct Impl;
  explicit CurlTransport(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dealstream::http
