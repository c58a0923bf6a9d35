#include "libs/kafka/testing/embedded_broker.h"

#include <array>
#include <csignal>
#include <cstring>
#include <utility>

#include "fmt/format.h"
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace dealstream::kafka::testing {

EmbeddedBroker::EmbeddedBroker(pid_t pid, File to, File from)
    : pid_(pid), to_(std::move(to)), from_(std::move(from)) {}

EmbeddedBroker::~EmbeddedBroker() {
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

Result<std::unique_ptr<EmbeddedBroker>> EmbeddedBroker::Start(
    const std::string& executable, const std::vector<std::string>& arguments) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (pipe2(in.data(), O_CLOEXEC) != 0 || pipe2(out.data(), O_CLOEXEC) != 0) {
    return absl::InternalError(fmt::format("embedded-broker: pipe: {}", std::strerror(errno)));
  }
  std::vector<std::string> words = {executable, "--control", "--exit-with-parent"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, executable.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  File to(fdopen(in[1], "w"));
  File from(fdopen(out[0], "r"));
  if (error != 0) {
    return absl::InternalError(fmt::format("{}: {}", executable, std::strerror(error)));
  }
  std::unique_ptr<EmbeddedBroker> broker(new EmbeddedBroker(
      pid, std::move(to), std::move(from)));  // NOLINT: the constructor is private
  const std::string line = broker->ReadLine();
  if (line.rfind("ready ", 0) != 0) {
    return absl::InternalError(fmt::format("{}: found \"{}\", want \"ready\"", executable, line));
  }
  broker->address_ = line.substr(6);
  return broker;
}

Status EmbeddedBroker::Tell(const std::string& command) {
  std::fputs((command + "\n").c_str(), to_.get());
  std::fflush(to_.get());
  const std::string answer = ReadLine();
  return answer == "ok" ? absl::OkStatus() : absl::InternalError(answer);
}

std::string EmbeddedBroker::ReadLine() {
  std::string line;
  for (int c = std::fgetc(from_.get()); c != EOF && c != '\n'; c = std::fgetc(from_.get())) {
    line.push_back(static_cast<char>(c));
  }
  return line;
}

}  // namespace dealstream::kafka::testing
