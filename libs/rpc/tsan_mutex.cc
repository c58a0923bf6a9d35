// Built only with the thread sanitizer. gRPC guards what it shares with abseil's mutexes, whose
// library is not instrumented: without this, all that passes through gRPC would look
// unsynchronised. These take the place of the library's (its callers find the executable's symbols
// first), call it, and tell the sanitizer.
#include "absl/synchronization/mutex.h"
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

namespace {

// The library's own function of this name, of which `self` is the object.
template <typename R, typename... Args>
R Real(void* function, Args... args) {
  return reinterpret_cast<R (*)(Args...)>(function)(args...);
}

}  // namespace

// By its mangled name, which bears Debian's inline namespace.
#define DEALSTREAM_REAL(name)                                                \
  [] {                                                                       \
    static void* const function = dlsym(RTLD_NEXT, "_ZN4absl7debian3" name); \
    return function;                                                         \
  }()

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  Real<void>(DEALSTREAM_REAL("5Mutex4LockEv"), this);
  __tsan_acquire(this);
}
void Mutex::Unlock() {
  __tsan_release(this);
  Real<void>(DEALSTREAM_REAL("5Mutex6UnlockEv"), this);
}
bool Mutex::TryLock() {
  const bool locked = Real<bool>(DEALSTREAM_REAL("5Mutex7TryLockEv"), this);
  if (locked) {
    __tsan_acquire(this);
  }
  return locked;
}
void Mutex::ReaderLock() {
  Real<void>(DEALSTREAM_REAL("5Mutex10ReaderLockEv"), this);
  __tsan_acquire(this);
}
void Mutex::ReaderUnlock() {
  __tsan_release(this);
  Real<void>(DEALSTREAM_REAL("5Mutex12ReaderUnlockEv"), this);
}
void CondVar::Wait(Mutex* mutex) {
  __tsan_release(mutex);
  Real<void>(DEALSTREAM_REAL("7CondVar4WaitEPNS0_5MutexE"), this, mutex);
  __tsan_acquire(mutex);
}
bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  __tsan_release(mutex);
  const bool timed_out =
      Real<bool>(DEALSTREAM_REAL("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE"),
                 this,
                 mutex,
                 timeout);
  __tsan_acquire(mutex);
  return timed_out;
}
bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  __tsan_release(mutex);
  const bool timed_out = Real<bool>(
      DEALSTREAM_REAL("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE"), this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

ABSL_NAMESPACE_END
}  // namespace absl
