#include "libs/obs/metrics.h"

#include <chrono>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include "libs/obs/catalog.h"
#include "libs/obs/log.h"

namespace dealstream::obs {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MetricsTest, RendersWhatWasTakenWithZeroAndNothingElse) {
  Metrics metrics("test", "1.2.3", "abc");
  metrics.GetCounter("webhooks_received_total", {{"crm", "acme"}});
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("# HELP dealstream_webhooks_received_total Requests with a known"));
  EXPECT_THAT(text, HasSubstr("dealstream_webhooks_received_total{crm=\"acme\"} 0"));
  EXPECT_THAT(text, HasSubstr("dealstream_build_info{revision=\"abc\",version=\"1.2.3\"} 1"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
  EXPECT_THAT(text, HasSubstr("dealstream_log_messages_total{level=\"error\"}"));
  EXPECT_THAT(text, Not(HasSubstr("dealstream_kms_seconds")));
}

TEST(MetricsTest, SameLabelsGiveTheSameHandle) {
  Metrics metrics("test", "1", "r");
  auto& a = metrics.GetHistogram("webhook_ack_seconds", {{"crm", "acme"}});
  auto& b = metrics.GetHistogram("webhook_ack_seconds", {{"crm", "acme"}});
  EXPECT_EQ(&a, &b);
  EXPECT_NE(&a, &metrics.GetHistogram("webhook_ack_seconds", {{"crm", "other"}}));
  a.Observe(0.2);
  EXPECT_THAT(metrics.Render(),
              HasSubstr("dealstream_webhook_ack_seconds_bucket{crm=\"acme\",le=\"0.25\"} 1"));
}

TEST(MetricsTest, ScrapeCallsUpdates) {
  Metrics metrics("test", "1", "r");
  prometheus::Gauge& depth = metrics.GetGauge("queue_depth", {{"queue", "q"}});
  metrics.OnScrape([&depth] { depth.Set(7); });
  EXPECT_THAT(metrics.Render(), HasSubstr("dealstream_queue_depth{queue=\"q\"} 7"));
}

TEST(MetricsTest, CountsLogLines) {
  Metrics metrics("test", "1", "r");
  const int64_t before = LogCount(Level::kDebug);
  Log(Level::kDebug, "e", "m");
  EXPECT_THAT(
      metrics.Render(),
      HasSubstr("dealstream_log_messages_total{level=\"debug\"} " + std::to_string(before + 1)));
}

TEST(MetricsTest, FiveThousandSeriesRenderQuickly) {
  Metrics metrics("test", "1", "r");
  for (int i = 0; i < 5000; ++i) {
    metrics.GetCounter("kafka_consumed_total", {{"topic", "t" + std::to_string(i)}}).Increment();
  }
  const auto start = std::chrono::steady_clock::now();
  metrics.Render();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  RecordProperty("render_ms", std::to_string(took.count()));
  EXPECT_LT(took.count(), 1000);
}

TEST(MetricsDeathTest, UndeclaredNamesTypesAndLabelsAbort) {
  Metrics metrics("test", "1", "r");
  EXPECT_DEATH(metrics.GetCounter("no_such_total"), "isn't declared");
  EXPECT_DEATH(metrics.GetGauge("webhooks_received_total", {{"crm", "a"}}), "another type");
  EXPECT_DEATH(metrics.GetCounter("webhooks_received_total"), "labels must be: crm");
  EXPECT_DEATH(metrics.GetCounter("webhooks_accepted_total", {{"durable", "kafka"}, {"crm", "a"}}),
               "labels must be: crm, durable");
  EXPECT_DEATH(metrics.GetCounter("webhooks_accepted_total", {{"crm", "a"}, {"durable", "disk"}}),
               "undeclared value disk");
}

// Labels of closed sets. What tells tenants, deals or people apart never is one.
const std::set<std::string_view> kLabels = {"active",
                                            "client",
                                            "code",
                                            "condition",
                                            "crm",
                                            "durable",
                                            "kind",
                                            "level",
                                            "method",
                                            "operation",
                                            "outcome",
                                            "partition",
                                            "queue",
                                            "reason",
                                            "revision",
                                            "route",
                                            "stage",
                                            "topic",
                                            "version"};

TEST(CatalogTest, NamesFollowTheRules) {
  std::set<std::string_view> names;
  for (const MetricSpec& spec : Catalog()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name << " is declared twice";
    EXPECT_FALSE(spec.help.empty()) << spec.name;
    EXPECT_EQ(spec.help.back(), '.') << spec.name;
    EXPECT_EQ(spec.name.ends_with("_total"), spec.type == MetricType::kCounter) << spec.name;
    EXPECT_EQ(spec.buckets != Buckets::kNone, spec.type == MetricType::kHistogram) << spec.name;
    for (const LabelSpec& label : spec.labels) {
      EXPECT_TRUE(kLabels.contains(label.name)) << spec.name << " " << label.name;
    }
  }
  EXPECT_THAT(DescribeCatalog(), HasSubstr("| `dealstream_events_in_total` | counter | `crm`, "));
}

}  // namespace
}  // namespace dealstream::obs
