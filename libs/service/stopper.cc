#include "libs/service/stopper.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "absl/time/clock.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "libs/obs/log.h"

namespace dealstream::service {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

[[noreturn]] void Abort(std::string_view why) {
  obs::Error("stop_aborted", why);
  obs::FlushLog(true);
  std::_Exit(1);
}

}  // namespace

Stopper::Stopper() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A peer that hangs up is an error of write(), not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  watcher_ = std::thread([this] { Watch(); });
}

Stopper::~Stopper() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  eventfd_write(wake_, 1);
  watcher_.join();
  close(wake_);
  close(signals_);
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void Stopper::Fail(const Status& why) {
  const std::lock_guard lock(mutex_);
  if (!reason_) {
    reason_ = why;
    asked_.notify_all();
  }
}

Status Stopper::Wait(const std::function<void()>& tick) {
  std::unique_lock lock(mutex_);
  while (!asked_.wait_for(lock, std::chrono::seconds(1), [this] { return reason_.has_value(); })) {
    lock.unlock();
    tick();
    lock.lock();
  }
  return *reason_;
}

void Stopper::SetDeadline(absl::Time deadline) {
  {
    const std::lock_guard lock(mutex_);
    deadline_ = deadline;
  }
  eventfd_write(wake_, 1);
}

void Stopper::Watch() {
  while (true) {
    absl::Time deadline;
    {
      const std::lock_guard lock(mutex_);
      if (over_) {
        return;
      }
      deadline = deadline_;
    }
    const absl::Duration left =
        std::clamp(deadline - absl::Now(), absl::ZeroDuration(), absl::Hours(1));
    pollfd fds[] = {{.fd = signals_, .events = POLLIN, .revents = 0},
                    {.fd = wake_, .events = POLLIN, .revents = 0}};
    // Rounded up, so that the deadline is over when poll says that it is.
    poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    eventfd_t unused = 0;
    eventfd_read(wake_, &unused);
    if (absl::Now() >= deadline) {
      Abort("stopping took longer than drain.timeout");
    }
    signalfd_siginfo info{};
    while (read(signals_, &info, sizeof(info)) == sizeof(info)) {
      const std::lock_guard lock(mutex_);
      if (reason_) {
        Abort("a second signal came");
      }
      reason_ = absl::OkStatus();
      asked_.notify_all();
    }
  }
}

}  // namespace dealstream::service
