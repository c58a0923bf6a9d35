#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "libs/base/secret.h"
#include "libs/base/status.h"

namespace dealstream::vault {

// The keys that wrap data keys. A file of lines
//
//   <version>:<base 64 of 32 random bytes>
//
// ("#" begins a comment line); the largest version is used for wrapping, the others open what was
// wrapped before. A version is never reused. Values: never change once loaded.
class RootKeys {
 public:
  // FailedPrecondition: the file can be read by others (want mode 0600, or 0440 as Kubernetes
  // mounts it), or what line is malformed. The text of keys is in no message.
  static Result<std::shared_ptr<const RootKeys>> Load(const std::string& path);

  int64_t newest() const { return keys_.rbegin()->first; }
  const Secret& newest_key() const { return keys_.rbegin()->second; }
  // Null: not in the file (any more).
  const Secret* Find(int64_t version) const;
  // By version.
  const std::map<int64_t, Secret>& keys() const { return keys_; }
  bool operator==(const RootKeys& other) const { return keys_ == other.keys_; }

 private:
  std::map<int64_t, Secret> keys_;
};

// Adds a key with the next version to the file, or makes the file, mode 0600; gives the version.
// The file is replaced at once: a reader sees the old or the new one; others who add wait.
Result<int64_t> AddRootKey(const std::string& path);

// The keys in force. Thread-safe.
class RootKeyFile {
 public:
  static Result<std::unique_ptr<RootKeyFile>> Open(std::string path);

  // Shared with the calls that are under way.
  std::shared_ptr<const RootKeys> Current() const;
  // Looks at the file again; true: there are other keys now. On an error the old ones stay, as when
  // another key stands under a version in force: what that version wrapped would open no more.
  Result<bool> Reload();

 private:
  RootKeyFile(std::string path, std::shared_ptr<const RootKeys> keys)
      : path_(std::move(path)), keys_(std::move(keys)) {}

  const std::string path_;
  mutable std::mutex mutex_;
  std::shared_ptr<const RootKeys> keys_;
};

}  // namespace dealstream::vault
