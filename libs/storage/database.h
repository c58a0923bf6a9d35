#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"

namespace soci {
class session;
}

// A relational store behind one SQL layer (SOCI): SQLite now, PostgreSQL later. Statements are
// written so that both take them; RocksDB has nothing to do with this.
namespace dealstream::storage {

// A step of the schema. Once released it never changes; a new one is added after it. Each statement
// is one SQL statement: what stands after its end would be left out without a word.
struct Migration {
  // 1, 2, 3, …
  int version;
  std::string_view name;
  std::vector<std::string_view> statements;
};

struct DatabaseOptions {
  // How long to wait for a lock of another process, or for a free session.
  absl::Duration busy_timeout = absl::Seconds(5);
  // Sessions for reading; reads beyond wait.
  int readers = 2;
  // Nothing is written, the file must be there: for tools that look at a running service's store.
  bool read_only = false;
};

// What a transaction does. It gets a session that no one else uses until it returns, begins nothing
// and commits nothing. It may throw what SOCI throws.
using Work = std::function<Status(soci::session&)>;

// An open store. Thread-safe: sessions are lent to one thread at a time; one writes, `readers` read
// a consistent snapshot beside it. Never call Read or Write inside of a work: it may wait for
// itself.
//
// Errors of Read and Write: what `work` returned, or, for what SOCI threw: AlreadyExists
// (uniqueness), FailedPrecondition (another constraint, a trigger's refusal), Unavailable (busy, no
// room, I/O), DataLoss (not a database, corrupt), Internal (the rest: our bug). Messages never show
// bound values, which may be secret.
class Database {
 public:
  // "sqlite3:///var/lib/x/vault.db" or "sqlite3:relative.db". A new file is made with mode 0600;
  // its folder must be there. WAL, synchronous=FULL (a commit survives a power cut), foreign keys
  // on.
  static Result<std::unique_ptr<Database>> Open(const std::string& url,
                                                const DatabaseOptions& options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Brings the schema to the last of `migrations`, which are in order; each is one transaction and
  // is recorded in the table schema_migrations. Safe when several processes start at once.
  // FailedPrecondition: the store is newer than this program, or a recorded step has changed.
  Status Migrate(const std::vector<Migration>& migrations);

  // Runs `work` in a transaction: committed when it returns ok, else rolled back.
  Status Write(const Work& work);
  Status Read(const Work& work) const;

  // For readiness: answers a query.
  Status Ping() const;

 private:
  class Pool;
  Database(std::unique_ptr<Pool> writer, std::unique_ptr<Pool> readers);

  std::unique_ptr<Pool> writer_;
  std::unique_ptr<Pool> readers_;
};

}  // namespace dealstream::storage
