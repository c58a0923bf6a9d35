#pragma once

#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace dealstream::obs {

// Prometheus' usual process_* metrics, read from /proc at each scrape.
class ProcessCollector final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override;
};

// When the process started, Unix time in seconds.
double ProcessStartTime();

}  // namespace dealstream::obs
