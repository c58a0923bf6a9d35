#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

namespace dealstream::crm::simkit {

// The same seed gives the same numbers on every machine, which the distributions of <random> don't
// promise. Not thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Next() { return engine_(); }
  // 0 <= result < bound; bound > 0.
  size_t Below(size_t bound) { return static_cast<size_t>(engine_() % bound); }
  // Both ends included.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<size_t>(high - low + 1)));
  }
  // True with this probability.
  bool Chance(double probability) {
    return static_cast<double>(engine_() >> 11) * 0x1.0p-53 < probability;
  }
  // One of a container or an array that isn't empty.
  template <typename Container>
  auto& Of(Container& container) {
    return container[Below(std::size(container))];
  }
  // So many characters, each one of `alphabet`.
  std::string Text(size_t length, std::string_view alphabet);
  // So many lower-case hexadecimal digits.
  std::string Hex(size_t length) { return Text(length, "0123456789abcdef"); }
  // A random UUID (version 4).
  std::string Uuid();

 private:
  std::mt19937_64 engine_;
};

}  // namespace dealstream::crm::simkit
