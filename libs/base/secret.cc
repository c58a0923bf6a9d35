#include "libs/base/secret.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include <sodium.h>

namespace dealstream {
namespace {

// sodium_malloc needs sodium_init, which is safe to call often and from many threads.
char* Allocate(size_t size) {
  if (sodium_init() < 0) {
    std::abort();
  }
  void* memory = sodium_malloc(size);
  if (memory == nullptr) {
    std::abort();  // No locked memory left: going on would put secrets into ordinary memory.
  }
  return static_cast<char*>(memory);
}

}  // namespace

Secret::Secret(std::string_view bytes) : size_(bytes.size()) {
  if (size_ > 0) {
    data_ = Allocate(size_);
    std::memcpy(data_, bytes.data(), size_);
  }
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Secret::~Secret() { sodium_free(data_); }

bool operator==(const Secret& a, const Secret& b) {
  return ConstantTimeEquals({a.data_, a.size_}, {b.data_, b.size_});
}

void WipeString(std::string& text) {
  sodium_memzero(text.data(), text.size());
  text.clear();
}

bool ConstantTimeEquals(std::string_view a, std::string_view b) {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace dealstream
