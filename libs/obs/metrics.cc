#include "libs/obs/metrics.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "libs/obs/catalog.h"
#include "libs/obs/log.h"
#include "libs/obs/process.h"

namespace dealstream::obs {
namespace {

// Only our bug comes here: a metric that isn't declared.
[[noreturn]] void Die(std::string_view service, std::string_view name, std::string_view what) {
  fmt::print(stderr, "{}: metric \"{}\": {} (see libs/obs/catalog.cc)\n", service, name, what);
  std::abort();
}

std::string Names(const MetricSpec& spec) {
  std::string text;
  for (const LabelSpec& label : spec.labels) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", label.name);
  }
  return text.empty() ? "none" : text;
}

bool Allowed(const LabelSpec& spec, std::string_view value) {
  if (spec.values.empty()) {
    return true;
  }
  for (const std::string_view allowed : spec.values) {
    if (allowed == value) {
      return true;
    }
  }
  return false;
}

}  // namespace

struct Metrics::Impl {
  std::string service;
  prometheus::Registry registry;
  ProcessCollector process;
  std::map<std::string_view, const MetricSpec*> specs;

  std::mutex mutex;  // guards all below
  std::map<std::string_view, prometheus::Family<prometheus::Counter>*> counters;
  std::map<std::string_view, prometheus::Family<prometheus::Gauge>*> gauges;
  std::map<std::string_view, prometheus::Family<prometheus::Histogram>*> histograms;
  std::vector<std::function<void()>> updates;

  // The declared metric; aborts when there is none of this name, type and labels.
  const MetricSpec& Find(std::string_view name, MetricType type, Labels labels) const {
    const auto found = specs.find(name);
    if (found == specs.end() || found->second->type != type) {
      Die(service, name, found == specs.end() ? "isn't declared" : "is declared as another type");
    }
    const MetricSpec& spec = *found->second;
    if (labels.size() != spec.labels.size()) {
      Die(service, name, fmt::format("labels must be: {}", Names(spec)));
    }
    size_t i = 0;
    for (const Label& label : labels) {
      const LabelSpec& declared = spec.labels[i++];
      if (label.first != declared.name) {
        Die(service, name, fmt::format("labels must be: {}", Names(spec)));
      }
      if (!Allowed(declared, label.second)) {
        Die(service, name, fmt::format("label {}: undeclared value {}", label.first, label.second));
      }
    }
    return spec;
  }

  template <typename T, typename Builder>
  prometheus::Family<T>& FamilyOf(const MetricSpec& spec,
                                  std::map<std::string_view, prometheus::Family<T>*>& families,
                                  Builder builder) {
    prometheus::Family<T>*& family = families[spec.name];
    if (family == nullptr) {
      family = &builder.Name(fmt::format("{}{}", kMetricPrefix, spec.name))
                    .Help(std::string(spec.help))
                    .Register(registry);
    }
    return *family;
  }
};

namespace {

std::map<std::string, std::string> ToMap(Labels labels) {
  std::map<std::string, std::string> map;
  for (const Label& label : labels) {
    map.emplace(label.first, label.second);
  }
  return map;
}

}  // namespace

Metrics::Metrics(std::string_view service, std::string_view version, std::string_view revision)
    : impl_(std::make_unique<Impl>()) {
  impl_->service = service;
  for (const MetricSpec& spec : Catalog()) {
    impl_->specs.emplace(spec.name, &spec);
  }
  GetGauge("build_info", {{"version", version}, {"revision", revision}}).Set(1);
  GetGauge("start_time_seconds").Set(ProcessStartTime());
  const std::pair<Level, prometheus::Counter*> lines[] = {
      {Level::kDebug, &GetCounter("log_messages_total", {{"level", "debug"}})},
      {Level::kInfo, &GetCounter("log_messages_total", {{"level", "info"}})},
      {Level::kWarn, &GetCounter("log_messages_total", {{"level", "warn"}})},
      {Level::kError, &GetCounter("log_messages_total", {{"level", "error"}})},
  };
  for (const auto& [level, counter] : lines) {
    OnScrape([level = level, counter = counter] {
      counter->Increment(static_cast<double>(LogCount(level)) - counter->Value());
    });
  }
}

Metrics::~Metrics() = default;

prometheus::Counter& Metrics::GetCounter(std::string_view name, Labels labels) {
  const MetricSpec& spec = impl_->Find(name, MetricType::kCounter, labels);
  const std::lock_guard lock(impl_->mutex);
  return impl_->FamilyOf(spec, impl_->counters, prometheus::BuildCounter()).Add(ToMap(labels));
}

prometheus::Gauge& Metrics::GetGauge(std::string_view name, Labels labels) {
  const MetricSpec& spec = impl_->Find(name, MetricType::kGauge, labels);
  const std::lock_guard lock(impl_->mutex);
  return impl_->FamilyOf(spec, impl_->gauges, prometheus::BuildGauge()).Add(ToMap(labels));
}

prometheus::Histogram& Metrics::GetHistogram(std::string_view name, Labels labels) {
  const MetricSpec& spec = impl_->Find(name, MetricType::kHistogram, labels);
  const std::lock_guard lock(impl_->mutex);
  return impl_->FamilyOf(spec, impl_->histograms, prometheus::BuildHistogram())
      .Add(ToMap(labels), BucketBounds(spec.buckets));
}

void Metrics::OnScrape(std::function<void()> update) {
  const std::lock_guard lock(impl_->mutex);
  impl_->updates.push_back(std::move(update));
}

std::string Metrics::Render() {
  std::vector<std::function<void()>> updates;
  {
    const std::lock_guard lock(impl_->mutex);
    updates = impl_->updates;
  }
  for (const auto& update : updates) {
    update();
  }
  std::vector<prometheus::MetricFamily> families = impl_->registry.Collect();
  for (prometheus::MetricFamily& family : impl_->process.Collect()) {
    families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace dealstream::obs
