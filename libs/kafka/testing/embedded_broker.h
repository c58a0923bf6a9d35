#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "libs/base/status.h"

namespace dealstream::kafka::testing {

// The embedded broker (tools/broker) as a process that lives as long as this object. For tests.
class EmbeddedBroker {
 public:
  // `arguments` besides --control and --exit-with-parent: {"--topic", "deals.v1:3"}.
  static Result<std::unique_ptr<EmbeddedBroker>> Start(
      const std::string& executable, const std::vector<std::string>& arguments = {});
  ~EmbeddedBroker();
  EmbeddedBroker(const EmbeddedBroker&) = delete;
  EmbeddedBroker& operator=(const EmbeddedBroker&) = delete;

  // "127.0.0.1:40123".
  const std::string& address() const { return address_; }
  // A fault or a topic (tools/broker/README.md): "down", "up", "topic deals.v1 3".
  Status Tell(const std::string& command);

 private:
  struct FileCloser {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, FileCloser>;

  EmbeddedBroker(pid_t pid, File to, File from);
  std::string ReadLine();

  pid_t pid_;
  File to_;
  File from_;
  std::string address_;
};

}  // namespace dealstream::kafka::testing
