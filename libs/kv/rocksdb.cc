#include <filesystem>

#include "fmt/format.h"
#include "rocksdb/cache.h"
#include "rocksdb/db.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"

#include "libs/kv/key_value.h"

namespace dealstream::kv {
namespace {

rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view FromSlice(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Status ToStatus(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) {
    return absl::OkStatus();
  }
  const std::string text = fmt::format("rocksdb {}: {}", what, status.ToString());
  if (status.IsCorruption()) {
    return absl::DataLossError(text);
  }
  if (status.IsIOError() && text.find("lock") != std::string::npos) {
    return absl::FailedPreconditionError(text + "; is another process using this folder?");
  }
  return absl::UnavailableError(text);
}

// The least key above all that begin with `prefix`; empty when there is none.
std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xFF) {
    end.pop_back();
  }
  if (!end.empty()) {
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  }
  return end;
}

class RocksStore final : public Store {
 public:
  explicit RocksStore(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

  Result<bool> Get(std::string_view key, std::string& value) const override {
    const rocksdb::Status status = db_->Get(read_, ToSlice(key), &value);
    if (status.IsNotFound()) {
      return false;
    }
    DEALSTREAM_RETURN_IF_ERROR(ToStatus(status, "get"));
    return true;
  }

  Status Apply(const std::vector<Write>& writes) override {
    rocksdb::WriteBatch batch;
    for (const Write& write : writes) {
      const rocksdb::Status status = write.value.has_value()
                                         ? batch.Put(ToSlice(write.key), ToSlice(*write.value))
                                         : batch.Delete(ToSlice(write.key));
      DEALSTREAM_RETURN_IF_ERROR(ToStatus(status, "batch"));
    }
    return ToStatus(db_->Write(rocksdb::WriteOptions(), &batch), "write");
  }

  Status RemovePrefix(std::string_view prefix) override {
    const std::string end = PrefixEnd(prefix);
    rocksdb::WriteBatch batch;
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read_));
    for (it->Seek(ToSlice(prefix)); it->Valid() && it->key().starts_with(ToSlice(prefix));
         it->Next()) {
      if (!end.empty()) {
        batch.DeleteRange(ToSlice(prefix), end);
        break;
      }
      batch.Delete(it->key());
    }
    DEALSTREAM_RETURN_IF_ERROR(ToStatus(it->status(), "scan"));
    return ToStatus(db_->Write(rocksdb::WriteOptions(), &batch), "remove");
  }

  Status Scan(std::string_view prefix,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read_));
    for (it->Seek(ToSlice(prefix)); it->Valid() && it->key().starts_with(ToSlice(prefix));
         it->Next()) {
      if (!visit(FromSlice(it->key()), FromSlice(it->value()))) {
        break;
      }
    }
    return ToStatus(it->status(), "scan");
  }

  int64_t EstimateKeys() const override {
    uint64_t keys = 0;
    return db_->GetIntProperty("rocksdb.estimate-num-keys", &keys) ? static_cast<int64_t>(keys) : 0;
  }

 private:
  const rocksdb::ReadOptions read_;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace

Result<std::unique_ptr<Store>> OpenRocks(const RocksOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.path, error);
  if (error) {
    return absl::UnavailableError(
        fmt::format("rocksdb: folder {}: {}", options.path, error.message()));
  }
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(static_cast<size_t>(options.cache_bytes));
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  rocksdb::Options rocks;
  rocks.create_if_missing = true;
  rocks.write_buffer_size = static_cast<size_t>(options.write_buffer_bytes);
  rocks.max_write_buffer_number = 2;
  rocks.compression = rocksdb::kLZ4Compression;
  rocks.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocks.max_open_files = 256;
  rocks.keep_log_file_num = 3;
  rocks.max_log_file_size = 4 << 20;
  rocks.stats_dump_period_sec = 0;
  rocksdb::DB* db = nullptr;
  DEALSTREAM_RETURN_IF_ERROR(
      ToStatus(rocksdb::DB::Open(rocks, options.path, &db), "open " + options.path));
  return std::make_unique<RocksStore>(std::unique_ptr<rocksdb::DB>(db));
}

}  // namespace dealstream::kv
