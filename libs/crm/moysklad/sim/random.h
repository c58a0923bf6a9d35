#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

namespace dealstream::crm::moysklad::sim {

// The same seed gives the same numbers on every machine, which the distributions of <random> don't
// promise. Not thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // 0 <= result < bound; bound > 0.
  size_t Below(size_t bound) { return static_cast<size_t>(engine_() % bound); }
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<size_t>(high - low + 1)));
  }
  // True with this probability.
  bool Chance(double probability) {
    return static_cast<double>(engine_() >> 11) * 0x1.0p-53 < probability;
  }
  template <typename Container>
  auto& Of(Container& container) {
    return container[Below(std::size(container))];
  }
  // An id as MoySklad's are: "5b120ed1-1aa0-11f1-0a82-49e000849b3d".
  std::string Uuid();
  // 22 characters, as a generated externalCode.
  std::string Code();

 private:
  std::mt19937_64 engine_;
};

}  // namespace dealstream::crm::moysklad::sim
