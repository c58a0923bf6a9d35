#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dealstream {

// Proof that the caller means to read a secret. `git grep RevealToken` finds every reader.
struct RevealToken {
  explicit RevealToken() = default;
};

// A value that must not be seen: it can't be printed, compares in constant time, and its memory is
// locked and wiped (libsodium). Movable, not copyable. Not thread-safe beyond concurrent reads.
class Secret {
 public:
  Secret() = default;
  // Copies the bytes; the caller wipes its own copy (see WipeString).
  explicit Secret(std::string_view bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  // The bytes; valid while this object lives and is not assigned to.
  std::string_view Reveal(RevealToken) const { return {data_, size_}; }
  Secret Clone() const { return Secret({data_, size_}); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Constant time for equal sizes.
  friend bool operator==(const Secret& a, const Secret& b);

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

// Overwrites the string's memory and empties it.
void WipeString(std::string& text);

// Constant time for equal sizes.
bool ConstantTimeEquals(std::string_view a, std::string_view b);

}  // namespace dealstream
