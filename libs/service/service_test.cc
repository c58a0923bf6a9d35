#include "libs/service/service.h"

#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libs/obs/log.h"

namespace dealstream::service {
namespace {

using testing::HasSubstr;

// How the service of a test behaves.
struct Behaviour {
  Status start;
  Status stop;
  absl::Duration stop_takes;
  bool fails_by_itself = false;
  bool holds_secrets = false;
};

class TestService final : public Service {
 public:
  explicit TestService(Behaviour behaviour) : behaviour_(std::move(behaviour)) {}
  void StartDraining() override { obs::Info("draining", "told"); }
  Status Stop(absl::Time) override {
    Clock::System().Sleep(behaviour_.stop_takes);
    return behaviour_.stop;
  }

 private:
  Behaviour behaviour_;
};

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

// A child process that runs the shell; its stdout and stderr go to a file.
class Child {
 public:
  Child(std::vector<std::string> arguments, Behaviour behaviour, int port, std::string_view delay)
      : port_(port),
        output_path_(fmt::format("{}/service_test.{}.{}", testing::TempDir(), getpid(), port)) {
    arguments.insert(arguments.begin(), "test-service");
    pid_ = fork();
    if (pid_ != 0) {
      return;
    }
    if (std::freopen(output_path_.c_str(), "w", stdout) == nullptr) {
      std::_Exit(99);
    }
    dup2(fileno(stdout), STDERR_FILENO);
    setenv("DEALSTREAM_ADMIN_ADDRESS", fmt::format("127.0.0.1:{}", port).c_str(), 1);
    setenv("DEALSTREAM_DRAIN_DELAY", std::string(delay).c_str(), 1);
    setenv("DEALSTREAM_DRAIN_TIMEOUT", "300ms", 1);
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
      argv.push_back(argument.data());
    }
    std::string color = "red";
    const Definition definition{
        .name = "test-service",
        .holds_secrets = behaviour.holds_secrets,
        .add_config = [&color](config::Schema& schema) { schema.Add("color", &color, "Which."); },
        .check_config = [&color]() -> Status {
          return color == "red" ? absl::OkStatus()
                                : absl::InvalidArgumentError("\"color\": found " + color);
        },
        .start = [behaviour](Context& context) -> Result<std::unique_ptr<Service>> {
          if (!behaviour.start.ok()) {
            return behaviour.start;
          }
          context.health.SetReady("paint", true);
          rlimit core{};
          getrlimit(RLIMIT_CORE, &core);
          obs::Info("core_files", core.rlim_max == 0 ? "none" : "some");
          if (behaviour.fails_by_itself) {
            context.fail(absl::InternalError("out of paint"));
          }
          return std::make_unique<TestService>(behaviour);
        }};
    const int code = Run(static_cast<int>(argv.size()), argv.data(), definition);
    std::fflush(nullptr);
    std::_Exit(code);
  }
  ~Child() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    unlink(output_path_.c_str());
  }

  void Kill(int signal) { kill(pid_, signal); }

  int ExitCode() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }

  std::string Output() {
    std::ostringstream text;
    text << std::ifstream(output_path_).rdbuf();
    return text.str();
  }

  // The whole answer; empty while nobody listens.
  std::string Get(const std::string& path, const std::string& method = "GET") {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port_));
    std::string answer;
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
      const std::string request =
          fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
      send(fd, request.data(), request.size(), MSG_NOSIGNAL);
      char buffer[4096];
      for (ssize_t n = 0; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
        answer.append(buffer, static_cast<size_t>(n));
      }
    }
    close(fd);
    return answer;
  }

  bool WaitFor(const std::string& path, std::string_view text) {
    for (int i = 0; i < 500; ++i) {
      if (Get(path).find(text) != std::string::npos) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

 private:
  pid_t pid_ = -1;
  int port_;
  std::string output_path_;
};

TEST(RunTest, AnswersProbesAndMetricsAndStopsCleanly) {
  Child child({}, {}, FreePort(), "300ms");
  ASSERT_TRUE(child.WaitFor("/readyz", "200"));
  EXPECT_THAT(child.Get("/readyz"), HasSubstr("paint: ready"));
  EXPECT_THAT(child.Get("/livez"), HasSubstr("200"));
  EXPECT_THAT(child.Get("/metrics"), HasSubstr("dealstream_ready{condition=\"paint\"} 1"));
  EXPECT_THAT(child.Get("/metrics"), HasSubstr("dealstream_build_info{"));
  EXPECT_THAT(child.Get("/else"), HasSubstr("404"));
  EXPECT_THAT(child.Get("/metrics", "POST"), HasSubstr("405"));
  child.Kill(SIGTERM);
  EXPECT_TRUE(child.WaitFor("/readyz", "draining"));
  EXPECT_EQ(child.ExitCode(), 0);
  const std::string log = child.Output();
  EXPECT_THAT(log, HasSubstr("\"event\":\"starting\",\"msg\":\"effective configuration\""));
  EXPECT_THAT(log, HasSubstr("\"color\":\"red\""));
  EXPECT_THAT(log, HasSubstr("\"event\":\"draining\""));
  EXPECT_THAT(log, HasSubstr("\"event\":\"stopped\",\"msg\":\"clean\""));
}

TEST(RunTest, WhatHoldsSecretsLeavesNoCoreFile) {
  Child child({},
              {.start = absl::OkStatus(), .stop = {}, .stop_takes = {}, .holds_secrets = true},
              FreePort(),
              "0s");
  ASSERT_TRUE(child.WaitFor("/readyz", "200"));
  EXPECT_THAT(child.Output(), HasSubstr("\"event\":\"core_files\",\"msg\":\"none\""));
}

TEST(RunTest, SecondSignalAborts) {
  Child child({}, {}, FreePort(), "10m");
  ASSERT_TRUE(child.WaitFor("/readyz", "200"));
  child.Kill(SIGINT);
  ASSERT_TRUE(child.WaitFor("/readyz", "draining"));
  child.Kill(SIGTERM);
  EXPECT_EQ(child.ExitCode(), 1);
  EXPECT_THAT(child.Output(), HasSubstr("a second signal came"));
}

TEST(RunTest, DrainingTooLongAborts) {
  Child child({}, {.start = {}, .stop = {}, .stop_takes = absl::Minutes(5)}, FreePort(), "0s");
  ASSERT_TRUE(child.WaitFor("/readyz", "200"));
  child.Kill(SIGTERM);
  EXPECT_EQ(child.ExitCode(), 1);
  EXPECT_THAT(child.Output(), HasSubstr("longer than drain.timeout"));
}

TEST(RunTest, UncleanStopExitsWithOne) {
  Child child({},
              {.start = {}, .stop = absl::DeadlineExceededError("cut"), .stop_takes = {}},
              FreePort(),
              "0s");
  ASSERT_TRUE(child.WaitFor("/readyz", "200"));
  child.Kill(SIGTERM);
  EXPECT_EQ(child.ExitCode(), 1);
}

TEST(RunTest, FailureExitsWithOne) {
  Child child(
      {}, {.start = {}, .stop = {}, .stop_takes = {}, .fails_by_itself = true}, FreePort(), "5s");
  EXPECT_EQ(child.ExitCode(), 1);
  EXPECT_THAT(child.Output(), HasSubstr("out of paint"));
}

TEST(RunTest, FailedStartExitsWithOne) {
  Child child({},
              {.start = absl::UnavailableError("no disk"), .stop = {}, .stop_takes = {}},
              FreePort(),
              "5s");
  EXPECT_EQ(child.ExitCode(), 1);
  EXPECT_THAT(child.Output(), HasSubstr("no disk"));
}

TEST(RunTest, FlagsThatOnlyTell) {
  const auto output = [](std::vector<std::string> arguments, int code) {
    Child child(std::move(arguments), {}, FreePort(), "0s");
    EXPECT_EQ(child.ExitCode(), code);
    return child.Output();
  };
  EXPECT_THAT(output({"--version"}, 0), testing::StartsWith("test-service "));
  EXPECT_THAT(output({"--help"}, 0), HasSubstr("--check-config"));
  EXPECT_THAT(output({"--describe-config"}, 0), HasSubstr("color (text), default red"));
  EXPECT_THAT(output({"--describe-metrics"}, 0), HasSubstr("dealstream_build_info"));
  EXPECT_THAT(output({"--check-config"}, 0), HasSubstr("is good"));
  EXPECT_THAT(output({"--no-such-flag"}, 2), HasSubstr("--no-such-flag"));
  EXPECT_THAT(output({"--config", "/nonexistent/c.yaml"}, 2), HasSubstr("can't be read"));
}

TEST(RunTest, BadConfigurationExitsWithTwo) {
  const std::string path = testing::TempDir() + fmt::format("/service_test.{}.yaml", getpid());
  std::ofstream(path) << "colour: blue\n";
  Child unknown({"--check-config", "--config", path}, {}, FreePort(), "0s");
  EXPECT_EQ(unknown.ExitCode(), 2);
  EXPECT_THAT(unknown.Output(), HasSubstr("did you mean \"color\"?"));

  std::ofstream(path) << "color: blue\n";
  Child refused({"--config", path}, {}, FreePort(), "0s");
  EXPECT_EQ(refused.ExitCode(), 2);
  EXPECT_THAT(refused.Output(), HasSubstr("found blue"));

  std::ofstream(path) << "log: {level: loud}\n";
  Child level({"--config", path}, {}, FreePort(), "0s");
  EXPECT_EQ(level.ExitCode(), 2);
  EXPECT_THAT(level.Output(), HasSubstr("expected debug, info, warn or error"));
  unlink(path.c_str());
}

}  // namespace
}  // namespace dealstream::service
