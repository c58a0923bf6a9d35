#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libs/base/status.h"

// An embedded, ordered store of bytes by key.
namespace dealstream::kv {

struct Write {
  std::string key;
  // Absent: the key is removed.
  std::optional<std::string> value;
};

// Thread-safe. Errors: DataLoss when the files are damaged, Unavailable when the disk refuses
// (full, read-only): the store can't be trusted to hold what came after.
class Store {
 public:
  virtual ~Store() = default;

  // False: no such key. `value` is the caller's so that its memory is used again: this is read once
  // for each event.
  virtual Result<bool> Get(std::string_view key, std::string& value) const = 0;

  // All of it or nothing, in order (the last write of a key counts). Survives the end of the
  // process; a power cut may lose the latest calls, never a part of one.
  virtual Status Apply(const std::vector<Write>& writes) = 0;

  // Removes every key that begins with `prefix` (not empty).
  virtual Status RemovePrefix(std::string_view prefix) = 0;

  // Calls `visit` for each key that begins with `prefix`, in order, until it returns false.
  virtual Status Scan(
      std::string_view prefix,
      const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;

  // About how many keys there are.
  virtual int64_t EstimateKeys() const = 0;
};

struct RocksOptions {
  // Folder; made if missing. One process at a time.
  std::string path;
  // Memory for blocks that were read, and for writes not yet in files (each of two buffers).
  int64_t cache_bytes = 64 << 20;
  int64_t write_buffer_bytes = 32 << 20;
};

// FailedPrecondition when another process has it open.
Result<std::unique_ptr<Store>> OpenRocks(const RocksOptions& options);

// For tests.
std::unique_ptr<Store> MakeMemoryStore();

}  // namespace dealstream::kv
