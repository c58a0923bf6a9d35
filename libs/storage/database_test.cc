#include "libs/storage/database.h"

#include <filesystem>
#include <thread>

#include "gtest/gtest.h"
#include <fmt/format.h>
#include <soci/soci.h>
#include <sys/stat.h>

namespace dealstream::storage {
namespace {

const std::vector<Migration> kPeople = {
    {1,
     "people",
     {"CREATE TABLE people (name TEXT PRIMARY KEY, age INTEGER NOT NULL CHECK (age >= 0))",
      "CREATE TABLE pets (owner TEXT NOT NULL REFERENCES people (name))"}},
};

class DatabaseTest : public testing::Test {
 protected:
  DatabaseTest() {
    std::string folder = testing::TempDir() + "dealstream_storage_XXXXXX";
    folder_ = mkdtemp(folder.data());
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Database> Open(const DatabaseOptions& options = {}) {
    auto database = Database::Open(Url(), options);
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  std::unique_ptr<Database> OpenPeople() {
    auto database = Open();
    EXPECT_TRUE(database->Migrate(kPeople).ok());
    return database;
  }
  std::string Url() const { return fmt::format("sqlite3://{}/a b.db", folder_); }

  static Status Insert(Database& database, const std::string& name, int age) {
    return database.Write([&](soci::session& session) {
      session << "INSERT INTO people VALUES (:name, :age)", soci::use(name), soci::use(age);
      return absl::OkStatus();
    });
  }
  static int Count(const Database& database) {
    int count = -1;
    EXPECT_TRUE(database
                    .Read([&](soci::session& session) {
                      session << "SELECT COUNT(*) FROM people", soci::into(count);
                      return absl::OkStatus();
                    })
                    .ok());
    return count;
  }

  std::string folder_;
};

TEST_F(DatabaseTest, KeepsWhatWasCommitted) {
  EXPECT_TRUE(Insert(*OpenPeople(), "Anna", 30).ok());
  EXPECT_EQ(Count(*OpenPeople()), 1);
}

TEST_F(DatabaseTest, FileIsPrivate) {
  const auto database = OpenPeople();
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    struct stat status {};
    ASSERT_EQ(stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0600u) << entry.path();
  }
}

TEST_F(DatabaseTest, PragmasHold) {
  const auto database = Open();
  std::string mode;
  int synchronous = 0;
  int foreign_keys = 0;
  ASSERT_TRUE(database
                  ->Write([&](soci::session& session) {
                    session << "PRAGMA journal_mode", soci::into(mode);
                    session << "PRAGMA synchronous", soci::into(synchronous);
                    session << "PRAGMA foreign_keys", soci::into(foreign_keys);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(mode, "wal");
  EXPECT_EQ(synchronous, 2);
  EXPECT_EQ(foreign_keys, 1);
}

TEST_F(DatabaseTest, AFailedWorkLeavesNothing) {
  const auto database = OpenPeople();
  const Status status = database->Write([](soci::session& session) {
    session << "INSERT INTO people VALUES ('Anna', 30)";
    return absl::AbortedError("changed my mind");
  });
  EXPECT_EQ(status, absl::AbortedError("changed my mind"));
  EXPECT_EQ(Count(*database), 0);
}

TEST_F(DatabaseTest, AThrowingWorkLeavesNothing) {
  const auto database = OpenPeople();
  const Status status = database->Write([](soci::session& session) {
    session << "INSERT INTO people VALUES ('Anna', 30)";
    session << "INSERT INTO nowhere VALUES (1)";
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << status;
  EXPECT_EQ(Count(*database), 0);
  EXPECT_TRUE(Insert(*database, "Boris", 1).ok()) << "the session is fit for use";
}

TEST_F(DatabaseTest, ConstraintsHaveCodes) {
  const auto database = OpenPeople();
  EXPECT_TRUE(Insert(*database, "Anna", 30).ok());
  EXPECT_EQ(Insert(*database, "Anna", 31).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Insert(*database, "Boris", -1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(database
                ->Write([](soci::session& session) {
                  session << "INSERT INTO pets VALUES ('nobody')";
                  return absl::OkStatus();
                })
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(DatabaseTest, ErrorsDontShowValues) {
  const auto database = OpenPeople();
  EXPECT_TRUE(Insert(*database, "pa55word", 30).ok());
  const Status status = Insert(*database, "pa55word", 30);
  EXPECT_EQ(status.ToString().find("pa55word"), std::string::npos) << status;
}

TEST_F(DatabaseTest, MigratesInStepsAndOnce) {
  const auto database = OpenPeople();
  EXPECT_TRUE(database->Migrate(kPeople).ok());
  std::vector<Migration> more = kPeople;
  more.push_back({2, "seed", {"INSERT INTO people VALUES ('Anna', 30)"}});
  EXPECT_TRUE(database->Migrate(more).ok());
  EXPECT_TRUE(database->Migrate(more).ok());
  EXPECT_EQ(Count(*database), 1);
  EXPECT_EQ(database->Migrate(kPeople).code(), absl::StatusCode::kFailedPrecondition)
      << "the store is newer than the program";
}

TEST_F(DatabaseTest, AFailedMigrationLeavesNothing) {
  const auto database = Open();
  const std::vector<Migration> broken = {
      {1, "broken", {"CREATE TABLE people (name TEXT)", "CREATE TABLE people (name TEXT)"}}};
  EXPECT_FALSE(database->Migrate(broken).ok());
  EXPECT_TRUE(database->Migrate(kPeople).ok());
}

TEST_F(DatabaseTest, AChangedMigrationIsRefused) {
  const auto database = OpenPeople();
  const std::vector<Migration> changed = {{1, "people", {"CREATE TABLE people (name TEXT)"}}};
  EXPECT_EQ(database->Migrate(changed).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DatabaseTest, ManyThreadsReadAndWrite) {
  const auto database = OpenPeople();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&database, thread] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(Insert(*database, fmt::format("{}-{}", thread, i), i).ok());
        EXPECT_GT(Count(*database), 0);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(Count(*database), 160);
}

TEST_F(DatabaseTest, ReadersDontWaitForAWriter) {
  const auto database = OpenPeople();
  EXPECT_TRUE(database
                  ->Write([&](soci::session& session) {
                    session << "INSERT INTO people VALUES ('Anna', 30)";
                    std::thread([&] { EXPECT_EQ(Count(*database), 0); }).join();
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(Count(*database), 1);
}

TEST_F(DatabaseTest, ReadOnlyDoesNotWrite) {
  const auto database = OpenPeople();
  const auto reader = Open({.read_only = true});
  EXPECT_EQ(Count(*reader), 0);
  EXPECT_EQ(Insert(*reader, "Anna", 30).code(), absl::StatusCode::kUnavailable);
}

TEST_F(DatabaseTest, ReadOnlyTakesAStoreThatNobodyHasOpen) {
  EXPECT_TRUE(Insert(*OpenPeople(), "Anna", 30).ok());
  EXPECT_EQ(Count(*Open({.read_only = true})), 1);
}

TEST_F(DatabaseTest, ReadOnlyMakesNoFile) {
  EXPECT_FALSE(Database::Open(Url(), {.read_only = true}).ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(DatabaseTest, OpenSaysWhatIsWrong) {
  EXPECT_EQ(Database::Open("postgresql://x").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Database::Open("sqlite3:").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Database::Open("sqlite3:///nowhere/at/all.db").status().code(),
            absl::StatusCode::kUnavailable);
  const std::string text = folder_ + "/text";
  std::FILE* file = std::fopen(text.c_str(), "w");
  std::fputs(std::string(4096, 'x').c_str(), file);
  std::fclose(file);
  EXPECT_EQ(Database::Open("sqlite3://" + text).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace dealstream::storage
