// vault-tool: what is done to the vault's files by hand.

#include <iostream>
#include <optional>

#include "CLI/CLI.hpp"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/storage/database.h"
#include "services/credential-vault/audit.h"
#include "services/credential-vault/root_keys.h"

namespace dealstream::vault {
namespace {

int Fail(const Status& status) {
  std::cerr << fmt::format("vault-tool: {}\n", ToStd(status.message()));
  return 1;
}

int NewRootKey(const std::string& path) {
  const Result<int64_t> version = AddRootKey(path);
  if (!version.ok()) {
    return Fail(version.status());
  }
  std::cout << fmt::format("{}: root key {} added\n", path, *version);
  return 0;
}

int VerifyStore(const std::string& url, const std::optional<AuditHead>& expected) {
  const Result<std::unique_ptr<storage::Database>> database =
      storage::Database::Open(url, {.readers = 1, .read_only = true});
  if (!database.ok()) {
    return Fail(database.status());
  }
  const Result<AuditHead> head = VerifyAudit(**database, expected);
  if (!head.ok()) {
    return Fail(head.status());
  }
  std::cout << fmt::format(
      "the audit log is whole: {} rows, last hash {}\n", head->seq, head->hash);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Root keys and the audit log of credential-vault.", "vault-tool");
  app.require_subcommand(1);
  std::string path;
  CLI::App* key = app.add_subcommand("new-root-key",
                                     "Add a root key to the file (made, mode 0600, if it isn't "
                                     "there); a running vault re-wraps with it");
  key->add_option("file", path, "The file of root keys")->required();
  std::string url;
  AuditHead expected;
  CLI::App* verify =
      app.add_subcommand("verify-audit", "Read the whole audit log and check its chain of hashes");
  verify->add_option("--store", url, "The vault's store.url")->required();
  const CLI::Option* seq =
      verify->add_option("--expect-seq",
                         expected.seq,
                         "Row that must be there (from the log line audit_head_at_stop)");
  const CLI::Option* hash =
      verify->add_option("--expect-hash", expected.hash, "... with this hash; both or neither");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (key->parsed()) {
    return NewRootKey(path);
  }
  const bool expects = seq->count() + hash->count() > 0;
  return VerifyStore(url, expects ? std::optional(expected) : std::nullopt);
}

}  // namespace
}  // namespace dealstream::vault

int main(int argc, char** argv) {
  try {
    return dealstream::vault::Main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "vault-tool: " << error.what() << "\n";
    return 1;
  }
}
