#include "tools/cli/messages.h"

#include <algorithm>
#include <memory>

#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "dealstream/integration/v1/integration.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "dealstream/request/v1/request.pb.h"
#include "dealstream/state/v1/state.pb.h"
#include "libs/base/strings.h"

namespace dealstream::cli {
namespace {

using google::protobuf::Message;

// Naming each file's message once keeps its descriptors in the executable.
const Message* const kLinked[] = {
    &deal::v1::DealEvent::default_instance(),
    &integration::v1::Integration::default_instance(),
    &raw::v1::Record::default_instance(),
    &request::v1::RequestEvent::default_instance(),
    &state::v1::EntityState::default_instance(),
};

// "dealstream.deal.v1.DealEvent" out of the header's value, which may be a URI that ends with it.
std::string TypeOf(const kafka::InRecord& record, const std::vector<topics::Spec>& specs) {
  const std::string_view schema = kafka::FindHeader(record.headers, "ce_dataschema");
  if (!schema.empty()) {
    const size_t slash = schema.find_last_of("/:#");
    return std::string(slash == std::string_view::npos ? schema : schema.substr(slash + 1));
  }
  const topics::Spec* spec = topics::Find(specs, record.topic);
  return spec == nullptr ? "" : spec->value;
}

Result<Json> ValueToJson(const std::string& value, const std::string& type) {
  const auto* descriptor = kLinked[0]->GetDescriptor()->file()->pool()->FindMessageTypeByName(type);
  if (descriptor == nullptr) {
    return absl::InvalidArgumentError(fmt::format("unknown message type \"{}\"", type));
  }
  const std::unique_ptr<Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
  if (!message->ParseFromString(value)) {
    return absl::DataLossError(fmt::format("the value is no {}", type));
  }
  return ToJson(*message);
}

}  // namespace

Result<Json> ToJson(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string text;
  if (const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
      !status.ok()) {
    return absl::InternalError(fmt::format("{}: {}", message.GetTypeName(), status.ToString()));
  }
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    return absl::InternalError(
        fmt::format("{}: its JSON can't be read back", message.GetTypeName()));
  }
  return json;
}

Status FromJson(const Json& json, Message& message) {
  if (const auto status = google::protobuf::util::JsonStringToMessage(json.dump(), &message);
      !status.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("no {}: {}", message.GetTypeName(), std::string(status.message())));
  }
  return absl::OkStatus();
}

Result<Json> RecordToJson(const kafka::InRecord& record, const std::vector<topics::Spec>& specs) {
  Json headers = Json::object();
  for (const auto& [key, value] : record.headers) {
    headers[key] = value;
  }
  Json json = {{"topic", record.topic},
               {"partition", record.partition},
               {"offset", record.offset},
               {"key", record.key},
               {"headers", std::move(headers)},
               {"value", nullptr}};
  if (record.value.has_value()) {
    Result<Json> value = ValueToJson(*record.value, TypeOf(record, specs));
    if (!value.ok()) {
      return Annotate(value.status(),
                      fmt::format("{}/{}/{}", record.topic, record.partition, record.offset));
    }
    json["value"] = *std::move(value);
  }
  return json;
}

std::string ToLine(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t column = 0; column < row.size(); ++column) {
      line += column + 1 == row.size() ? row[column]
                                       : fmt::format("{:<{}}  ", row[column], widths[column]);
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace dealstream::cli
