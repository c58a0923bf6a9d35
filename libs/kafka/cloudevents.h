#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"

#include "libs/kafka/kafka.h"

namespace dealstream::kafka {

// CloudEvents 1.0 in Kafka's binary mode, and the trace context of this hop.
struct EventAttributes {
  std::string id;
  // "/crm/<crm>/integrations/<id>".
  std::string source;
  // "dealstream.deal.changed.v1".
  std::string_view type;
  std::string subject;
  absl::Time time;
  // Full name of the value's protobuf message.
  std::string_view data_schema;
  // W3C traceparent; empty: a new one is made.
  std::string traceparent;
};

Headers ToHeaders(const EventAttributes& attributes);

// A new W3C traceparent, "00-<32 hex>-<16 hex>-01"; with a parent, the same trace and a new span.
std::string NewTraceparent(std::string_view parent = "");

}  // namespace dealstream::kafka
