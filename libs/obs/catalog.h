#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libs/base/status.h"

namespace dealstream::obs {

enum class MetricType { kCounter, kGauge, kHistogram };

// Bounds of a histogram's buckets.
enum class Buckets {
  kNone,
  // 5 ms to 60 s: how long a request takes.
  kRequest,
  // 0.1 s to 6 h: how long something waits or is under way.
  kDelay,
};

struct LabelSpec {
  std::string_view name;
  // Allowed values; empty where the set is closed elsewhere (CRMs, topics, routes, operations).
  std::vector<std::string_view> values = {};
};

struct MetricSpec {
  // Without the prefix "dealstream_".
  std::string_view name;
  MetricType type;
  std::string_view help;
  std::vector<LabelSpec> labels = {};
  Buckets buckets = Buckets::kNone;
};

constexpr std::string_view kMetricPrefix = "dealstream_";

// Every metric of ours there is. The names of process_* are Prometheus' own and are not in it.
const std::vector<MetricSpec>& Catalog();

// Upper bounds in seconds.
const std::vector<double>& BucketBounds(Buckets buckets);

// The catalog as a Markdown table, for --describe-metrics and the reference page.
std::string DescribeCatalog();

}  // namespace dealstream::obs
