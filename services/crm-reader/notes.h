#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace dealstream::reader {

// What an adapter noted of one CRM account (crm::Session::Note). Not thread-safe.
class Notes {
 public:
  struct Options {
    // Keys and values of one account; a larger value is not kept.
    size_t most_bytes = 256 << 10;
  };

  Notes() : Notes(Options()) {}
  explicit Notes(Options options) : options_(options) {}

  // Null: none, or older than `at_most`. Good until the next Put.
  const std::string* Find(std::string_view key, absl::Time now, absl::Duration at_most);
  void Put(std::string_view key, std::string value, absl::Time now);
  size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    std::string value;
    absl::Time noted_at;
  };

  // An account has a handful. Most recently used first.
  std::list<Entry> entries_;
  size_t bytes_ = 0;
  Options options_;
};

}  // namespace dealstream::reader
