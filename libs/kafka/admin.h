#pragma once

#include <map>
#include <memory>
#include <string>

#include "libs/base/status.h"
#include "libs/kafka/kafka.h"

namespace dealstream::kafka {

// Topics of a cluster: what there is, and changes. For the command line, not for services: they
// have no right to it. Blocks; names are full (prefix included). The embedded broker answers none
// of it.
class Admin {
 public:
  struct Topic {
    int partitions = 0;
    int replication = 0;
    // Settings of the topic itself, not those it inherits.
    std::map<std::string, std::string> settings;
  };

  static Result<std::unique_ptr<Admin>> Create(const ClientConfig& config);
  virtual ~Admin() = default;

  // All topics but internal ones, by name.
  virtual Result<std::map<std::string, Topic>> List() = 0;
  virtual Status CreateTopic(const std::string& name, const Topic& topic) = 0;
  virtual Status AddPartitions(const std::string& name, int total) = 0;
  // The topic's own settings become these: one that isn't named falls back to the broker's.
  virtual Status ReplaceSettings(const std::string& name,
                                 const std::map<std::string, std::string>& settings) = 0;
};

}  // namespace dealstream::kafka
