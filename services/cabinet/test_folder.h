#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "libs/base/status.h"

namespace dealstream::cabinet {

// By value: a loop over what a reference to a temporary gives would outlive it.
template <typename T>
T ValueOf(Result<T> result) {
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

// A folder that goes with the test.
class TestFolder {
 public:
  TestFolder() {
    std::string name = testing::TempDir() + "/cabinet_test_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string StoreUrl() const { return fmt::format("sqlite3://{}/cabinet.db", path_); }

 private:
  std::string path_;
};

}  // namespace dealstream::cabinet
