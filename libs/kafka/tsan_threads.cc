// Built only with the thread sanitizer. It follows POSIX threads but not C11's, which librdkafka is
// built on: its threads would crash in our callbacks, and what passes through its queues would look
// unsynchronised. Here C11's calls become POSIX's; the library finds these in place of glibc's,
// whose types have the same size and shape.
#include <cerrno>
#include <cstdint>
#include <memory>

#include <pthread.h>
#include <sanitizer/tsan_interface.h>
#include <threads.h>

static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t));
static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t));
static_assert(sizeof(thrd_t) == sizeof(pthread_t));

namespace {

pthread_mutex_t* Posix(mtx_t* mutex) {
  return reinterpret_cast<pthread_mutex_t*>(mutex);  // NOLINT
}
pthread_cond_t* Posix(cnd_t* condition) {
  return reinterpret_cast<pthread_cond_t*>(condition);  // NOLINT
}

int ToC11(int error) {
  switch (error) {
    case 0:
      return thrd_success;
    case EBUSY:
      return thrd_busy;
    case ETIMEDOUT:
      return thrd_timedout;
    case ENOMEM:
      return thrd_nomem;
    default:
      return thrd_error;
  }
}

struct Start {
  thrd_start_t function;
  void* argument;
};

void* Run(void* opaque) {
  const std::unique_ptr<Start> start(static_cast<Start*>(opaque));
  return reinterpret_cast<void*>(  // NOLINT
      static_cast<intptr_t>(start->function(start->argument)));
}

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t function, void* argument) {
  auto start = std::make_unique<Start>(Start{function, argument});
  const int error = pthread_create(thread, nullptr, Run, start.get());
  if (error == 0) {
    // Owned by the new thread.
    static_cast<void>(start.release());
  }
  return ToC11(error);
}

int thrd_join(thrd_t thread, int* result) {
  void* returned = nullptr;
  const int error = pthread_join(thread, &returned);
  if (error == 0 && result != nullptr) {
    *result = static_cast<int>(reinterpret_cast<intptr_t>(returned));  // NOLINT
  }
  return ToC11(error);
}

int mtx_init(mtx_t* mutex, int type) noexcept {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  const bool recursive = (type & mtx_recursive) != 0;
  pthread_mutexattr_settype(&attributes,
                            recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
  const int error = pthread_mutex_init(Posix(mutex), &attributes);
  pthread_mutexattr_destroy(&attributes);
  __tsan_release(mutex);
  return ToC11(error);
}
int mtx_lock(mtx_t* mutex) {
  // Who made it has handed it over in a way that the sanitizer may not have seen.
  __tsan_acquire(mutex);
  return ToC11(pthread_mutex_lock(Posix(mutex)));
}
int mtx_trylock(mtx_t* mutex) { return ToC11(pthread_mutex_trylock(Posix(mutex))); }
int mtx_unlock(mtx_t* mutex) { return ToC11(pthread_mutex_unlock(Posix(mutex))); }
void mtx_destroy(mtx_t* mutex) noexcept { pthread_mutex_destroy(Posix(mutex)); }

int cnd_init(cnd_t* condition) { return ToC11(pthread_cond_init(Posix(condition), nullptr)); }
int cnd_signal(cnd_t* condition) { return ToC11(pthread_cond_signal(Posix(condition))); }
int cnd_broadcast(cnd_t* condition) { return ToC11(pthread_cond_broadcast(Posix(condition))); }
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return ToC11(pthread_cond_wait(Posix(condition), Posix(mutex)));
}
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  return ToC11(pthread_cond_timedwait(Posix(condition), Posix(mutex), until));
}
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy(Posix(condition)); }

}  // extern "C"
