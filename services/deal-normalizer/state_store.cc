#include "services/deal-normalizer/state_store.h"

#include <limits>

#include "fmt/format.h"

namespace dealstream::normalizer {
namespace {

template <typename Number>
void AppendBigEndian(std::string& text, Number number) {
  for (int shift = std::numeric_limits<Number>::digits + 1 - 8; shift >= 0; shift -= 8) {
    text.push_back(static_cast<char>((number >> shift) & 0xFF));
  }
}

std::string KeyPrefix(char kind, int32_t partition) {
  std::string key(1, kind);
  AppendBigEndian(key, partition);
  return key;
}

std::string OffsetText(int64_t offset) {
  std::string text;
  AppendBigEndian(text, offset);
  return text;
}

}  // namespace

std::string StateStore::EntityKey(int32_t partition, std::string_view entity_id) {
  std::string key;
  key.reserve(5 + entity_id.size());
  key.push_back('s');
  AppendBigEndian(key, partition);
  key.append(entity_id);
  return key;
}

Result<std::optional<int64_t>> StateStore::Checkpoint(int32_t partition) const {
  std::string text;
  DEALSTREAM_ASSIGN_OR_RETURN(const bool found, store_->Get(KeyPrefix('c', partition), text));
  if (!found) {
    return std::nullopt;
  }
  if (text.size() != sizeof(int64_t)) {
    return absl::DataLossError(fmt::format(
        "state checkpoint of partition {}: got {} bytes, want 8", partition, text.size()));
  }
  uint64_t offset = 0;
  for (const char byte : text) {
    offset = (offset << 8) | static_cast<unsigned char>(byte);
  }
  return static_cast<int64_t>(offset);
}

Status StateStore::Apply(std::vector<kv::Write> entities,
                         const std::vector<kafka::Position>& checkpoints) {
  for (const kafka::Position& next : checkpoints) {
    entities.push_back({KeyPrefix('c', next.partition), OffsetText(next.offset)});
  }
  return store_->Apply(entities);
}

Status StateStore::Forget(int32_t partition) {
  // The checkpoint last: as long as it is there, the next restore forgets again. Without it, what
  // is left of another topic would pass for known to subscribers.
  DEALSTREAM_RETURN_IF_ERROR(store_->RemovePrefix(KeyPrefix('s', partition)));
  return store_->Apply({{KeyPrefix('c', partition), std::nullopt}});
}

}  // namespace dealstream::normalizer
