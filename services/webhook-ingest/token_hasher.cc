#include "services/webhook-ingest/token_hasher.h"

#include <openssl/evp.h>

namespace dealstream::ingest {

TokenHasher::TokenHasher()
    : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  // The first use chooses the algorithm, the others begin anew with it.
  EVP_DigestInit_ex2(context_, algorithm_, nullptr);
}

TokenHasher::~TokenHasher() {
  EVP_MD_CTX_free(context_);
  EVP_MD_free(algorithm_);
}

TokenDigest TokenHasher::DigestOf(std::string_view token) {
  TokenDigest digest{};
  EVP_DigestInit_ex2(context_, nullptr, nullptr);
  EVP_DigestUpdate(context_, token.data(), token.size());
  EVP_DigestFinal_ex(context_, digest.data(), nullptr);
  return digest;
}

}  // namespace dealstream::ingest
