#include "libs/storage/database.h"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <ctime>
#include <exception>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <unistd.h>

#include "libs/base/ids.h"
#include "libs/base/strings.h"

namespace dealstream::storage {
namespace {

Status FromSqlite(int code, const std::string& message) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
      return absl::UnavailableError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_CONSTRAINT:
      // SOCI gives the primary code only; which constraint it was is in SQLite's text alone.
      return message.find("UNIQUE constraint failed") != std::string::npos
                 ? absl::AlreadyExistsError(message)
                 : absl::FailedPreconditionError(message);
    default:
      return absl::InternalError(message);
  }
}

// The one place where the exceptions of SOCI end. get_error_message, not what(): the latter tells
// the values that were bound.
Status Catch(const std::function<Status()>& body) {
  try {
    return body();
  } catch (const soci::sqlite3_soci_error& error) {
    return FromSqlite(error.result(), fmt::format("storage: {}", error.get_error_message()));
  } catch (const soci::soci_error& error) {
    return absl::InternalError(fmt::format("storage: {}", error.get_error_message()));
  } catch (const std::bad_cast&) {
    return absl::InternalError("storage: a column was read as another type than it has");
  }
}

// "sqlite3:///x" → "/x".
Result<std::string> SqlitePath(const std::string& url) {
  constexpr std::string_view kScheme = "sqlite3:";
  if (!url.starts_with(kScheme)) {
    return absl::UnimplementedError(
        fmt::format("storage: \"{}\": want sqlite3:///path (PostgreSQL is not built in yet)",
                    url.substr(0, url.find(':'))));
  }
  std::string path = url.substr(kScheme.size());
  if (path.starts_with("//")) {
    path.erase(0, 2);
  }
  if (path.empty() || path.find('"') != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("storage: \"{}\": want sqlite3:///path, without a quote in it", url));
  }
  return path;
}

// SQLite gives its -wal and -shm the mode of the database, so it is made here, for us alone.
Status TouchPrivate(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    return absl::UnavailableError(
        fmt::format("storage: can't open {}: {}", path, std::strerror(errno)));
  }
  close(file);
  return absl::OkStatus();
}

std::unique_ptr<soci::session> OpenSqlite(const std::string& path, const DatabaseOptions& options) {
  auto session = std::make_unique<soci::session>(
      soci::sqlite3,
      fmt::format("dbname=\"{}\" timeout=1{}", path, options.read_only ? " readonly=1" : ""));
  *session << fmt::format("PRAGMA busy_timeout = {}",
                          absl::ToInt64Milliseconds(options.busy_timeout));
  if (!options.read_only) {
    std::string mode;
    *session << "PRAGMA journal_mode = WAL", soci::into(mode);
  }
  *session << "PRAGMA synchronous = FULL";
  *session << "PRAGMA foreign_keys = ON";
  return session;
}

Status InTransaction(soci::session& session, const char* begin, const Work& work) {
  return Catch([&] {
    session << begin;
    Status status = Catch([&] { return work(session); });
    if (status.ok()) {
      status = Catch([&] {
        session << "COMMIT";
        return absl::OkStatus();
      });
    }
    if (!status.ok()) {
      // An error may have ended the transaction already; the first error is the one that counts.
      (void)Catch([&] {
        session << "ROLLBACK";
        return absl::OkStatus();
      });
    }
    return status;
  });
}

std::string Fingerprint(const Migration& migration) {
  std::string all;
  for (const std::string_view statement : migration.statements) {
    all += statement;
    all += ";\n";
  }
  return ToHex(Sha256(all));
}

constexpr const char* kMigrationsTable =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "version INTEGER PRIMARY KEY, name TEXT NOT NULL, fingerprint TEXT NOT NULL, "
    "applied_at BIGINT NOT NULL)";

Status Apply(soci::session& session, const Migration& migration) {
  const std::string fingerprint = Fingerprint(migration);
  std::string recorded;
  session << "SELECT fingerprint FROM schema_migrations WHERE version = :version",
      soci::use(migration.version), soci::into(recorded);
  if (session.got_data()) {
    return recorded == fingerprint
               ? absl::OkStatus()
               : absl::FailedPreconditionError(fmt::format(
                     "storage: migration {} ({}) differs from the one that was applied: a released "
                     "step never changes, add a new one",
                     migration.version,
                     migration.name));
  }
  for (const std::string_view statement : migration.statements) {
    session << statement;
  }
  const std::string name(migration.name);
  const auto now = static_cast<long long>(std::time(nullptr));
  session << "INSERT INTO schema_migrations (version, name, fingerprint, applied_at) "
             "VALUES (:version, :name, :fingerprint, :now)",
      soci::use(migration.version), soci::use(name), soci::use(fingerprint), soci::use(now);
  return absl::OkStatus();
}

}  // namespace

// Lends sessions to one thread at a time.
class Database::Pool {
 public:
  Pool(std::vector<std::unique_ptr<soci::session>> sessions, absl::Duration patience)
      : sessions_(std::move(sessions)), patience_(absl::ToChronoMilliseconds(patience)) {
    for (const auto& session : sessions_) {
      free_.push_back(session.get());
    }
  }

  Status Run(const char* begin, const Work& work) {
    soci::session* session = nullptr;
    {
      std::unique_lock lock(mutex_);
      if (!returned_.wait_for(lock, patience_, [this] { return !free_.empty(); })) {
        return absl::UnavailableError("storage: no free session: the store is too slow");
      }
      session = free_.back();
      free_.pop_back();
    }
    Status status = InTransaction(*session, begin, work);
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(session);
    }
    returned_.notify_one();
    return status;
  }

 private:
  const std::vector<std::unique_ptr<soci::session>> sessions_;
  const std::chrono::milliseconds patience_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<soci::session*> free_;
};

Database::Database(std::unique_ptr<Pool> writer, std::unique_ptr<Pool> readers)
    : writer_(std::move(writer)), readers_(std::move(readers)) {}

Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::Open(const std::string& url,
                                                 const DatabaseOptions& options) {
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string path, SqlitePath(url));
  if (!options.read_only) {
    DEALSTREAM_RETURN_IF_ERROR(TouchPrivate(path));
  }
  std::unique_ptr<Database> database;
  DEALSTREAM_RETURN_IF_ERROR(
      Annotate(Catch([&] {
                 std::vector<std::unique_ptr<soci::session>> writer;
                 std::vector<std::unique_ptr<soci::session>> readers;
                 writer.push_back(OpenSqlite(path, options));
                 for (int i = 0; i < options.readers; ++i) {
                   readers.push_back(OpenSqlite(path, options));
                 }
                 database.reset(new Database(
                     std::make_unique<Pool>(std::move(writer), options.busy_timeout),
                     std::make_unique<Pool>(std::move(readers), options.busy_timeout)));
                 return absl::OkStatus();
               }),
               path));
  return database;
}

Status Database::Migrate(const std::vector<Migration>& migrations) {
  const int last = migrations.empty() ? 0 : migrations.back().version;
  DEALSTREAM_RETURN_IF_ERROR(Write([&](soci::session& session) -> Status {
    session << kMigrationsTable;
    int stored = 0;
    session << "SELECT COALESCE(MAX(version), 0) FROM schema_migrations", soci::into(stored);
    if (stored > last) {
      return absl::FailedPreconditionError(fmt::format(
          "storage: the schema is at version {}, this program knows {}: run a newer program",
          stored,
          last));
    }
    return absl::OkStatus();
  }));
  for (const Migration& migration : migrations) {
    DEALSTREAM_RETURN_IF_ERROR(
        Annotate(Write([&](soci::session& session) { return Apply(session, migration); }),
                 fmt::format("migration {} ({})", migration.version, migration.name)));
  }
  return absl::OkStatus();
}

// IMMEDIATE takes the write lock at once: a transaction that reads first would fail, not wait, when
// another process has written in between.
Status Database::Write(const Work& work) { return writer_->Run("BEGIN IMMEDIATE", work); }

Status Database::Read(const Work& work) const { return readers_->Run("BEGIN", work); }

Status Database::Ping() const {
  return Read([](soci::session& session) {
    int one = 0;
    session << "SELECT 1", soci::into(one);
    return absl::OkStatus();
  });
}

}  // namespace dealstream::storage
