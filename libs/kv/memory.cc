#include <map>
#include <mutex>

#include "libs/kv/key_value.h"

namespace dealstream::kv {
namespace {

class MemoryStore final : public Store {
 public:
  Result<bool> Get(std::string_view key, std::string& value) const override {
    const std::lock_guard lock(mutex_);
    const auto found = values_.find(key);
    if (found == values_.end()) {
      return false;
    }
    value = found->second;
    return true;
  }

  Status Apply(const std::vector<Write>& writes) override {
    const std::lock_guard lock(mutex_);
    for (const Write& write : writes) {
      if (write.value.has_value()) {
        values_[write.key] = *write.value;
      } else {
        values_.erase(write.key);
      }
    }
    return absl::OkStatus();
  }

  Status RemovePrefix(std::string_view prefix) override {
    const std::lock_guard lock(mutex_);
    auto it = values_.lower_bound(prefix);
    while (it != values_.end() && it->first.starts_with(prefix)) {
      it = values_.erase(it);
    }
    return absl::OkStatus();
  }

  Status Scan(std::string_view prefix,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    const std::lock_guard lock(mutex_);
    for (auto it = values_.lower_bound(prefix);
         it != values_.end() && it->first.starts_with(prefix);
         ++it) {
      if (!visit(it->first, it->second)) {
        break;
      }
    }
    return absl::OkStatus();
  }

  int64_t EstimateKeys() const override {
    const std::lock_guard lock(mutex_);
    return static_cast<int64_t>(values_.size());
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace

std::unique_ptr<Store> MakeMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace dealstream::kv
