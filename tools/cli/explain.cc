#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <utility>

#include "CLI/CLI.hpp"
#include "fmt/format.h"

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/strings.h"
#include "libs/crm/api/settings.h"
#include "libs/crm/registry.h"
#include "libs/domain/change.h"
#include "tools/cli/environment.h"
#include "tools/cli/messages.h"

namespace dealstream::cli {
namespace {

struct ExplainOptions {
  std::string record = "-";
  std::vector<std::string> settings;
};

Result<raw::v1::Record> ReadRecord(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path);
    if (!file) {
      return absl::InvalidArgumentError(fmt::format("--record: can't open \"{}\"", path));
    }
  }
  std::istream& in = path == "-" ? std::cin : file;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        "--record: want a JSON object: a line of `dealctl tail`, or a record");
  }
  raw::v1::Record record;
  // What `dead-letters show` prints has the record that it is about beside its bytes.
  if (json.contains("original")) {
    if (!json["original"].is_object()) {
      return absl::InvalidArgumentError(
          "--record: the dead letter's original is no readable record; there is nothing to map");
    }
    json = Json(json["original"]);
  }
  DEALSTREAM_RETURN_IF_ERROR(FromJson(json.contains("value") ? json["value"] : json, record));
  return record;
}

template <typename Entity>
void Identify(const raw::v1::Record& record, Entity& entity) {
  entity.set_id(domain::EntityId(record.integration_id(), record.external_id()));
  entity.set_integration_id(record.integration_id());
  entity.set_account_id(record.account_id());
  entity.set_crm(record.crm());
  entity.set_external_id(record.external_id());
}

Result<Json> Map(const crm::Adapter& adapter, const raw::v1::Record& record) {
  if (record.gone()) {
    return Json{{"gone", true}};
  }
  if (record.purpose() == crm::Purpose::PURPOSE_REQUESTS && adapter.request_mapper() != nullptr) {
    request::v1::Request request;
    DEALSTREAM_ASSIGN_OR_RETURN(const bool is_request,
                                adapter.request_mapper()->Map(record, request));
    if (!is_request) {
      return Json{{"ignored", "no request"}};
    }
    Identify(record, request);
    return ToJson(request);
  }
  if (adapter.deal_mapper() == nullptr) {
    return absl::FailedPreconditionError(fmt::format("{} maps no deals", record.crm()));
  }
  deal::v1::Deal deal;
  const Status mapped = adapter.deal_mapper()->Map(record, deal);
  if (ReasonOf(mapped) == crm::kNotADeal) {
    return Json{{"ignored", ToStd(mapped.message())}};
  }
  DEALSTREAM_RETURN_IF_ERROR(mapped);
  Identify(record, deal);
  return ToJson(deal);
}

Status Explain(const ExplainOptions& options) {
  DEALSTREAM_ASSIGN_OR_RETURN(raw::v1::Record record, ReadRecord(options.record));
  const crm::Registry registry = crm::AllAdapters();
  const crm::Adapter* adapter = registry.Find(record.crm());
  if (adapter == nullptr) {
    return absl::InvalidArgumentError(fmt::format("record: unknown crm \"{}\"", record.crm()));
  }
  std::vector<std::pair<std::string, std::string>> settings;
  for (const std::string& setting : options.settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(fmt::format("--set: got \"{}\", want key=value", setting));
    }
    settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  const google::protobuf::Any before = record.settings();
  DEALSTREAM_ASSIGN_OR_RETURN(*record.mutable_settings(),
                              crm::SettingsFromText(*adapter, record.purpose(), &before, settings));
  const Result<Json> mapped = Map(*adapter, record);
  if (!mapped.ok()) {
    // By whatever code: the record is what it is, and the command was used rightly.
    return absl::DataLossError(mapped.status().message());
  }
  std::cout << mapped->dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddExplainCommand(CLI::App& app, Environment& /*environment*/, Status& outcome) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* explain = app.add_subcommand(
      "explain", "Put one record through its CRM's mapper, offline, and print the deal");
  explain
      ->add_option("--record",
                   options->record,
                   "File with a line of `dealctl tail crm.record.<crm>`; -: standard input")
      ->capture_default_str();
  explain->add_option(
      "--set", options->settings, "A setting to use instead of the record's, key=value");
  explain->callback([options, &outcome] { outcome = Explain(*options); });
}

}  // namespace dealstream::cli
