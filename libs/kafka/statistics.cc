#include <algorithm>

#include "libs/kafka/client.h"
#include "simdjson.h"

namespace dealstream::kafka::internal {

// The report's part that is read (times in µs):
//   {"brokers": {"<name>": {"state": "UP", "nodeid": 1, "rtt": {"avg": 350, ...}, ...}, ...}, ...}
// "nodeid" is -1 for logical and bootstrap brokers.
Result<Statistics> ParseStatistics(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::object brokers;
  if (parser.parse(json.data(), json.size())["brokers"].get(brokers) != simdjson::SUCCESS) {
    return absl::DataLossError("kafka statistics: \"brokers\": want an object");
  }
  Statistics statistics;
  for (const auto& [name, broker] : brokers) {
    std::string_view state;
    if (broker["state"].get(state) == simdjson::SUCCESS && state == "UP") {
      statistics.any_broker_up = true;
    }
    int64_t average_us = 0;
    if (broker["rtt"]["avg"].get(average_us) == simdjson::SUCCESS) {
      statistics.rtt_seconds =
          std::max(statistics.rtt_seconds, static_cast<double>(average_us) / 1e6);
    }
  }
  return statistics;
}

}  // namespace dealstream::kafka::internal
