#include "libs/crm/api/fixture.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/text_format.h"
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "libs/base/strings.h"
#include "libs/crm/api/settings.h"
#include "simdjson.h"

namespace dealstream::crm::fixture {
namespace {

using nlohmann::json;

Status Broken(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", path, what));
}

// A value's text as written; of a string its content, of null nothing.
std::string RawText(simdjson::ondemand::value value) {
  simdjson::ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS || type == simdjson::ondemand::json_type::null) {
    return {};
  }
  if (type == simdjson::ondemand::json_type::string) {
    std::string_view text;
    return value.get_string().get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
  }
  std::string_view text;
  return simdjson::to_json_string(value).get(text) == simdjson::SUCCESS ? std::string(text)
                                                                        : std::string();
}

// The `body` of each object in the array under `path` (a JSON pointer).
std::vector<std::string> RawBodies(const std::string& file, std::string_view path) {
  std::vector<std::string> bodies;
  const simdjson::padded_string padded(file);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::array array;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.at_pointer(path).get_array().get(array) != simdjson::SUCCESS) {
    return bodies;
  }
  for (auto element : array) {
    simdjson::ondemand::value body;
    bodies.push_back(element["body"].get(body) == simdjson::SUCCESS ? RawText(body)
                                                                    : std::string());
  }
  return bodies;
}

std::string RawBody(const std::string& file) {
  const simdjson::padded_string padded(file);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::value body;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document["body"].get(body) != simdjson::SUCCESS) {
    return {};
  }
  return RawText(body);
}

// What a JSON pointer names, as written; empty when it names nothing.
std::string Piece(const std::string& body, const std::string& pointer) {
  const simdjson::padded_string padded(body);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::value value;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.at_pointer(pointer).get(value) != simdjson::SUCCESS) {
    return {};
  }
  return RawText(value);
}

std::string PercentEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    encoded += absl::ascii_isalnum(byte) ? std::string(1, c)
                                         : fmt::format("%{:02X}", static_cast<int>(byte));
  }
  return encoded;
}

Result<json> Parse(const std::string& path, const std::string& file) {
  json parsed = json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    return Broken(path, "no JSON object");
  }
  return parsed;
}

// Calls load(name, path, file text, parsed) for each .json file of a folder.
template <typename Load>
Status ForEachFile(const std::string& folder, const Load& load) {
  for (const std::string& name : Names(folder)) {
    if (!name.ends_with(".json")) {
      continue;
    }
    const std::string path = folder + "/" + name;
    const std::string file = ReadFile(path);
    DEALSTREAM_ASSIGN_OR_RETURN(const json parsed, Parse(path, file));
    try {
      load(name.substr(0, name.size() - 5), file, parsed);
    } catch (const json::exception& error) {
      return Broken(path, error.what());
    }
  }
  return absl::OkStatus();
}

std::vector<Exchange> ExchangeOf(const std::string& file, const json& parsed) {
  std::vector<Exchange> exchange;
  const std::vector<std::string> bodies = RawBodies(file, "/exchange");
  for (const json& element : parsed.at("exchange")) {
    Exchange one;
    one.request = element.at("request");
    one.optional = element.value("optional", false);
    if (element.contains("request_body")) {
      one.request_body = element.at("request_body").dump();
    }
    one.response.status = element.value("status", 200);
    const json headers = element.value("headers", json::object());
    for (const auto& [name, value] : headers.items()) {
      one.response.headers.emplace_back(name, value.get<std::string>());
    }
    one.response.body = bodies.at(exchange.size());
    exchange.push_back(std::move(one));
  }
  return exchange;
}

Purpose PurposeOf(const json& parsed) {
  return parsed.value("purpose", "deals") == "requests" ? Purpose::PURPOSE_REQUESTS
                                                        : Purpose::PURPOSE_DEALS;
}

SettingTexts SettingsOf(const json& parsed) {
  SettingTexts settings;
  const json given = parsed.value("settings", json::object());
  for (const auto& [key, value] : given.items()) {
    settings.emplace_back(key, value.get<std::string>());
  }
  return settings;
}

// The parts under `path` (a JSON pointer) of a case; see the header.
std::vector<std::pair<std::string, std::string>> PartsOf(const std::string& file,
                                                         const std::string& path,
                                                         const json& parsed,
                                                         const std::vector<Exchange>& exchange) {
  std::vector<std::pair<std::string, std::string>> made;
  const json::json_pointer pointer(path);
  if (!parsed.contains(pointer)) {
    return made;
  }
  for (const json& part : parsed.at(pointer)) {
    const size_t number = made.size();
    if (part.is_string()) {
      made.emplace_back(part.get<std::string>(), exchange.at(number).response.body);
      continue;
    }
    const std::string name = part.at("name");
    if (part.contains("body")) {
      made.emplace_back(name, RawBodies(file, path).at(number));
      continue;
    }
    const std::string& body = exchange.at(part.at("call").get<size_t>()).response.body;
    made.emplace_back(name, part.contains("pointer") ? Piece(body, part.at("pointer")) : body);
  }
  return made;
}

absl::Time TimeOf(const json& parsed, const char* key, absl::Time absent) {
  absl::Time time = absent;
  if (parsed.contains(key)) {
    std::string error;
    absl::ParseTime(absl::RFC3339_full, parsed.at(key).get<std::string>(), &time, &error);
  }
  return time;
}

Result<raw::v1::Record> LoadRecord(const Adapter& adapter,
                                   Purpose purpose,
                                   const std::string& folder) {
  raw::v1::Record record;
  record.set_crm(std::string(adapter.id()));
  record.set_purpose(purpose);
  const std::string path = folder + "/input.json";
  const std::string file = ReadFile(path);
  DEALSTREAM_ASSIGN_OR_RETURN(const json parsed, Parse(path, file));
  const std::vector<std::string> bodies = RawBodies(file, "/parts");
  for (const json& part : parsed.value("parts", json::array())) {
    auto& added = *record.add_parts();
    added.set_name(part.value("name", ""));
    added.set_body(bodies.at(static_cast<size_t>(record.parts_size() - 1)));
  }
  std::vector<std::pair<std::string, std::string>> values;
  const json settings = json::parse(ReadFile(folder + "/settings.json"), nullptr, false);
  if (settings.is_object()) {
    for (const auto& [key, value] : settings.items()) {
      values.emplace_back(key, value.get<std::string>());
    }
  }
  DEALSTREAM_ASSIGN_OR_RETURN(*record.mutable_settings(),
                              SettingsFromText(adapter, record.purpose(), nullptr, values));
  return record;
}

// The cases in a folder of folders.
Result<std::vector<MappingCase>> LoadFolder(const Adapter& adapter,
                                            Purpose purpose,
                                            const std::string& folder) {
  std::vector<MappingCase> cases;
  for (const std::string& name : Names(folder)) {
    MappingCase one;
    const std::string path = fmt::format("{}/{}", folder, name);
    one.name = name;
    one.expected_path = path + "/expected.txtpb";
    DEALSTREAM_ASSIGN_OR_RETURN(one.record, LoadRecord(adapter, purpose, path));
    cases.push_back(std::move(one));
  }
  return cases;
}

std::string ToText(const google::protobuf::Message& message) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  std::string text;
  printer.PrintToString(message, &text);
  return text;
}

std::string ErrorToText(const Status& status) {
  return fmt::format(
      "error: {}: {}\n", absl::StatusCodeToString(status.code()), ToStd(status.message()));
}

}  // namespace

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<std::string> Names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool HasMapper(const Adapter& adapter, Purpose purpose) {
  return purpose == Purpose::PURPOSE_REQUESTS ? adapter.request_mapper() != nullptr
                                              : adapter.deal_mapper() != nullptr;
}

Result<std::vector<MappingCase>> LoadDealCases(const Adapter& adapter,
                                               const std::string& testdata) {
  return LoadFolder(adapter, Purpose::PURPOSE_DEALS, testdata + "/deals");
}

Result<std::vector<MappingCase>> LoadRequestCases(const Adapter& adapter,
                                                  const std::string& testdata) {
  return LoadFolder(adapter, Purpose::PURPOSE_REQUESTS, testdata + "/requests");
}

Result<std::vector<MappingCase>> LoadMappingCases(const Adapter& adapter,
                                                  const std::string& testdata) {
  std::vector<MappingCase> all;
  for (const auto& [purpose, load] : {std::pair{Purpose::PURPOSE_DEALS, &LoadDealCases},
                                      std::pair{Purpose::PURPOSE_REQUESTS, &LoadRequestCases}}) {
    if (HasMapper(adapter, purpose)) {
      DEALSTREAM_ASSIGN_OR_RETURN(std::vector<MappingCase> cases, load(adapter, testdata));
      std::move(cases.begin(), cases.end(), std::back_inserter(all));
    }
  }
  return all;
}

Result<bool> Mapped::Map(const Adapter& adapter, const raw::v1::Record& record) {
  if (record.purpose() == Purpose::PURPOSE_REQUESTS) {
    return adapter.request_mapper()->Map(record, request_);
  }
  DEALSTREAM_RETURN_IF_ERROR(adapter.deal_mapper()->Map(record, deal_));
  return true;
}

std::string Mapped::Outcome(const Adapter& adapter, const raw::v1::Record& record) {
  const Result<bool> mapped = Map(adapter, record);
  if (!mapped.ok()) {
    return mapped.status().ToString();
  }
  return *mapped ? MessageOf(record.purpose()).SerializeAsString() : "not a request";
}

google::protobuf::Message& Mapped::MessageOf(Purpose purpose) {
  if (purpose == Purpose::PURPOSE_REQUESTS) {
    return request_;
  }
  return deal_;
}

std::string MapToText(const Adapter& adapter, const raw::v1::Record& record) {
  Mapped fresh;
  const Result<bool> mapped = fresh.Map(adapter, record);
  if (!mapped.ok()) {
    return ErrorToText(mapped.status());
  }
  return *mapped ? ToText(fresh.MessageOf(record.purpose())) : "not a request\n";
}

bool IsMappingFailure(const Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsDataLoss(status) || absl::IsOutOfRange(status);
}

std::string RefusalOfSettings(const Adapter& adapter, Purpose purpose, const SettingTexts& texts) {
  const Status status = SettingsFromText(adapter, purpose, nullptr, texts).status();
  if (!absl::IsInvalidArgument(status)) {
    return fmt::format("got {}, want InvalidArgument", absl::StatusCodeToString(status.code()));
  }
  return std::string(ToStd(status.message()));
}

Result<std::vector<NoticeCase>> LoadNoticeCases(const std::string& testdata) {
  std::vector<NoticeCase> cases;
  DEALSTREAM_RETURN_IF_ERROR(ForEachFile(
      testdata + "/notices", [&](std::string name, const std::string& file, const json& parsed) {
        NoticeCase one;
        one.name = std::move(name);
        one.purpose = PurposeOf(parsed);
        one.notice.set_method(parsed.value("method", "POST"));
        one.notice.set_query(parsed.value("query", ""));
        one.notice.set_body(RawBody(file));
        const json& expect = parsed.at("expect");
        one.error = expect.value("error", "");
        for (const json& object : expect.value("objects", json::array())) {
          one.expected.objects.push_back({object.at("kind"), object.at("id")});
        }
        one.expected.ignored = expect.value("ignored", std::vector<std::string>());
        one.expected.delivery_id = expect.value("delivery_id", "");
        if (expect.contains("unreadable")) {
          one.expected.unreadable =
              absl::InvalidArgumentError(expect.at("unreadable").get<std::string>());
        }
        cases.push_back(std::move(one));
      }));
  return cases;
}

Result<std::vector<ReadCase>> LoadReadCases(const std::string& testdata) {
  std::vector<ReadCase> cases;
  DEALSTREAM_RETURN_IF_ERROR(ForEachFile(
      testdata + "/read", [&](std::string name, const std::string& file, const json& parsed) {
        ReadCase one;
        one.name = std::move(name);
        one.ref = {parsed.at("kind"), parsed.at("id")};
        one.purpose = PurposeOf(parsed);
        one.settings = SettingsOf(parsed);
        one.exchange = ExchangeOf(file, parsed);
        const json& expect = parsed.at("expect");
        one.error = expect.value("error", "");
        one.code = expect.value("code", "");
        one.expected.version = expect.value("version", int64_t{0});
        one.expected.gone = expect.value("gone", false);
        one.expected.perhaps_not_yet = expect.value("perhaps_not_yet", false);
        if (expect.contains("ref")) {
          one.expected.ref = ObjectRef{expect.at("ref").at("kind"), expect.at("ref").at("id")};
        }
        one.expected.parts = PartsOf(file, "/expect/parts", parsed, one.exchange);
        cases.push_back(std::move(one));
      }));
  return cases;
}

Result<std::vector<ListCase>> LoadListCases(const std::string& testdata) {
  std::vector<ListCase> cases;
  DEALSTREAM_RETURN_IF_ERROR(ForEachFile(
      testdata + "/list", [&](std::string name, const std::string& file, const json& parsed) {
        ListCase one;
        one.name = std::move(name);
        one.purpose = PurposeOf(parsed);
        one.settings = SettingsOf(parsed);
        one.request.page_token = parsed.value("page_token", "");
        one.request.cursor = parsed.value("cursor", "");
        one.request.from = TimeOf(parsed, "from", absl::InfinitePast());
        one.request.to = TimeOf(parsed, "to", absl::InfiniteFuture());
        one.exchange = ExchangeOf(file, parsed);
        const json& expect = parsed.at("expect");
        for (const json& object : expect.value("objects", json::array())) {
          const std::string path =
              fmt::format("/expect/objects/{}/parts", one.expected.objects.size());
          one.expected.objects.push_back({{object.at("kind"), object.at("id")},
                                          object.at("version"),
                                          PartsOf(file, path, parsed, one.exchange)});
        }
        one.expected.next_page_token = expect.value("next_page_token", "");
        one.expected.cursor = expect.value("cursor", "");
        one.expected.total = expect.value("total", int64_t{0});
        cases.push_back(std::move(one));
      }));
  return cases;
}

Result<http::Response> ScriptedSession::Send(const Call& call) {
  const size_t number = calls_.size();
  calls_.push_back(call);
  if (number == replaced_) {
    return replacement_;
  }
  std::string request = fmt::format("{} {}", call.method, call.path);
  for (size_t i = 0; i < call.query.size(); ++i) {
    const auto& [name, value] = call.query[i];
    request += fmt::format("{}{}{}{}", i == 0 ? "?" : "&", name, name.empty() ? "" : "=", value);
  }
  if (number >= script_.size() || script_[number].request != request) {
    off_script_ = true;
    return absl::InternalError(
        fmt::format("call {}: got {}, want {}",
                    number,
                    request,
                    number < script_.size() ? script_[number].request : "no more calls"));
  }
  const std::string& body = script_[number].request_body;
  if (!body.empty() && json::parse(call.body, nullptr, false) != json::parse(body)) {
    off_script_ = true;
    return absl::InternalError(
        fmt::format("call {}: {}: got body {}, want {}", number, request, call.body, body));
  }
  return script_[number].response;
}

Result<http::Response> PlainSession::Send(const Call& call) {
  ++calls_;
  http::Request request;
  request.method = std::string(call.method);
  request.operation = call.operation;
  request.timeout = call.timeout;
  request.idempotent = call.idempotent;
  request.body = call.body;
  std::string path = call.path;
  for (const auto& [name, value] : access_.path) {
    const std::string placeholder = fmt::format("{{{}}}", name);
    const size_t at = path.find(placeholder);
    if (at != std::string::npos) {
      path.replace(at, placeholder.size(), PercentEncode(value.Reveal(RevealToken())));
    }
  }
  request.url = access_.base_url + path;
  char mark = path.find('?') == std::string::npos ? '?' : '&';
  const auto add = [&](std::string_view name, std::string_view value) {
    request.url += fmt::format(
        "{}{}{}{}", mark, PercentEncode(name), name.empty() ? "" : "=", PercentEncode(value));
    mark = '&';
  };
  for (const auto& [name, value] : call.query) {
    add(name, value);
  }
  for (const auto& [name, value] : access_.query) {
    add(name, value.Reveal(RevealToken()));
  }
  request.headers = call.headers;
  for (const auto& [name, value] : access_.headers) {
    request.headers.emplace_back(name, std::string(value.Reveal(RevealToken())));
  }
  return transport_.Send(request);
}

absl::Time PlainSession::Now() const { return absl::Now(); }

Pass ListAll(const RecordSource& source,
             Session& session,
             ListRequest request,
             const google::protobuf::Any& settings) {
  constexpr int kMostPages = 5000;
  Pass pass;
  while (pass.pages < kMostPages) {
    auto page = source.List(request, Purpose::PURPOSE_DEALS, settings, session);
    pass.status = page.status();
    if (!page.ok()) {
      return pass;
    }
    ++pass.pages;
    for (ListedObject& object : page->objects) {
      int64_t& version = pass.versions[object.ref.external_id];
      version = std::max(version, object.version);
      pass.objects.push_back(std::move(object));
    }
    pass.cursor = page->cursor;
    request.page_token = page->next_page_token;
    if (request.page_token.empty()) {
      return pass;
    }
  }
  pass.status = absl::InternalError("no end");
  return pass;
}

}  // namespace dealstream::crm::fixture
