#pragma once

#include <string_view>

#include "services/webhook-ingest/token_table.h"

struct evp_md_ctx_st;
struct evp_md_st;

namespace dealstream::ingest {

// SHA-256 of tokens. OpenSSL's uses the processor's instructions for it, which libsodium's doesn't;
// what it prepares for each hash is kept. Belongs to one thread.
class TokenHasher {
 public:
  TokenHasher();
  ~TokenHasher();
  TokenHasher(const TokenHasher&) = delete;
  TokenHasher& operator=(const TokenHasher&) = delete;

  TokenDigest DigestOf(std::string_view token);

 private:
  evp_md_st* algorithm_;
  evp_md_ctx_st* context_;
};

}  // namespace dealstream::ingest
