#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libs/base/status.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace dealstream::obs {

// Label name and value, in the order of the catalog.
using Label = std::pair<std::string_view, std::string_view>;
using Labels = std::initializer_list<Label>;

// The process's metrics. Only names of the catalog (catalog.cc: name, type, help, labels) exist;
// another name, or labels other than the declared ones, is our bug and aborts at start, where all
// handles are taken: look a handle up once and keep it, a lookup costs 100 ns and a mutex.
// Thread-safe; outlives every holder of a handle.
class Metrics {
 public:
  Metrics(std::string_view service, std::string_view version, std::string_view revision);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Names without the prefix "dealstream_".
  prometheus::Counter& GetCounter(std::string_view name, Labels labels = {});
  prometheus::Gauge& GetGauge(std::string_view name, Labels labels = {});
  prometheus::Histogram& GetHistogram(std::string_view name, Labels labels = {});

  // Called before each scrape, on the scraping thread: for figures that are read, not counted.
  void OnScrape(std::function<void()> update);

  // Prometheus text format.
  std::string Render();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dealstream::obs
