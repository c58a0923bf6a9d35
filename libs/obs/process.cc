#include "libs/obs/process.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace dealstream::obs {
namespace {

prometheus::MetricFamily One(const char* name,
                             const char* help,
                             prometheus::MetricType type,
                             double value) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  prometheus::ClientMetric metric;
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family.metric.push_back(metric);
  return family;
}

// The fields of /proc/self/stat after the name, which may hold spaces: the first is field 3 of
// proc(5). Empty when it can't be read.
std::vector<std::string> StatFields() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  const size_t end_of_name = text.rfind(')');
  std::vector<std::string> fields;
  if (end_of_name == std::string::npos) {
    return fields;
  }
  std::istringstream stream(text.substr(end_of_name + 1));
  for (std::string field; stream >> field;) {
    fields.push_back(field);
  }
  return fields;
}

double StatField(const std::vector<std::string>& fields, size_t number_in_proc5) {
  const size_t index = number_in_proc5 - 3;
  return index < fields.size() ? std::strtod(fields[index].c_str(), nullptr) : 0;
}

double OpenFiles() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
       it.increment(error)) {
    ++count;
  }
  // Less the one that reads the folder.
  return count > 0 ? count - 1 : 0;
}

}  // namespace

double ProcessStartTime() {
  // btime is the boot in Unix time; field 22 of stat is the start since boot in clock ticks.
  std::ifstream file("/proc/stat");
  double boot = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) {
      boot = std::strtod(line.c_str() + 6, nullptr);
      break;
    }
  }
  return boot + StatField(StatFields(), 22) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::vector<prometheus::MetricFamily> ProcessCollector::Collect() const {
  using enum prometheus::MetricType;
  const std::vector<std::string> fields = StatFields();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  return {
      One("process_cpu_seconds_total",
          "User and system CPU time spent.",
          Counter,
          seconds(usage.ru_utime) + seconds(usage.ru_stime)),
      One("process_open_fds", "Open file descriptors.", Gauge, OpenFiles()),
      One("process_max_fds",
          "File descriptors that may be open.",
          Gauge,
          static_cast<double>(files.rlim_cur)),
      One("process_virtual_memory_bytes", "Virtual memory.", Gauge, StatField(fields, 23)),
      One("process_resident_memory_bytes",
          "Resident memory.",
          Gauge,
          StatField(fields, 24) * static_cast<double>(sysconf(_SC_PAGESIZE))),
      One("process_threads", "Threads of the process.", Gauge, StatField(fields, 20)),
      One("process_start_time_seconds",
          "When the process started, Unix time.",
          Gauge,
          ProcessStartTime()),
  };
}

}  // namespace dealstream::obs
