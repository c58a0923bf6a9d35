#include "libs/crm/api/conformance.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "dealstream/settings/v1/options.pb.h"
#include "libs/base/strings.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/api/fuzz.h"
#include "libs/crm/api/settings.h"

namespace dealstream::crm {
namespace {

using nlohmann::json;
using Findings = std::vector<std::string>;

// Asked for by DEALSTREAM_UPDATE_EXPECTED=1: expected files are written anew.
bool UpdateExpected() {
  const char* value = std::getenv("DEALSTREAM_UPDATE_EXPECTED");
  return value != nullptr && std::string_view(value) == "1";
}

std::string Text(const Status& status) {
  return fmt::format("{}: {}", absl::StatusCodeToString(status.code()), ToStd(status.message()));
}

// ---- What the adapter says of itself ---------------------------------------------------------

Findings CheckIdentity(const Adapter& adapter, const std::string&) {
  Findings findings;
  const std::string_view id = adapter.id();
  if (id.empty() || !std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
      })) {
    findings.push_back(fmt::format("id: got \"{}\", want [a-z0-9]+", id));
  }
  if (adapter.display_name().empty()) {
    findings.emplace_back("display_name is empty");
  }
  if (adapter.Purposes().empty()) {
    findings.emplace_back("no purpose");
  }
  for (const std::string& suffix : adapter.AllowedHostSuffixes()) {
    if (suffix.find('.') == std::string::npos || suffix.front() == '.') {
      findings.push_back(
          fmt::format("allowed host \"{}\": want a domain without a leading dot", suffix));
    }
  }
  const RateLimit limit = adapter.Limit({});
  if (!(limit.units > 0) || !(limit.unit_price > 0) || limit.interval <= absl::ZeroDuration() ||
      !(limit.reader_share > 0) || limit.reader_share > 1) {
    findings.emplace_back("rate limit: want units, price, interval and share above zero");
  }
  if (adapter.notice_decoder() != nullptr) {
    const NoticeReply reply = adapter.notice_decoder()->Reply();
    if (reply.methods.empty() || reply.patience <= absl::ZeroDuration()) {
      findings.emplace_back("reply: want methods and a patience above zero");
    }
  }
  return findings;
}

// The settings that an integration of this purpose has.
std::vector<std::string> KeysOf(const Adapter& adapter, Purpose purpose) {
  std::vector<std::string> keys;
  const auto& type = *adapter.SettingsPrototype().GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (SettingApplies(*type.field(i), purpose)) {
      keys.push_back(type.field(i)->name());
    }
  }
  return keys;
}

// A setting of another purpose is no key of this one, neither shown nor taken.
void CheckOtherPurposes(const Adapter& adapter, Purpose purpose, Findings& findings) {
  const auto& type = *adapter.SettingsPrototype().GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    if (SettingApplies(field, purpose)) {
      continue;
    }
    const Status status =
        SettingsFromText(adapter, purpose, nullptr, {{field.name(), ""}}).status();
    if (!absl::IsInvalidArgument(status) ||
        ToStd(status.message()).find(field.name()) == std::string_view::npos) {
      findings.push_back(fmt::format("setting {}: taken for {}, which doesn't have it",
                                     field.name(),
                                     integration::v1::Purpose_Name(purpose)));
    }
  }
}

// What is shown after an empty value was taken is an empty value: an empty list with a default
// would be that default.
void CheckEmptyLists(const Adapter& adapter, Purpose purpose, Findings& findings) {
  const auto& type = *adapter.SettingsPrototype().GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    if (!field.is_repeated() || !SettingApplies(field, purpose)) {
      continue;
    }
    for (const char* empty : {"", " , "}) {
      const auto settings = SettingsFromText(adapter, purpose, nullptr, {{field.name(), empty}});
      const auto shown =
          settings.ok() ? SettingsToText(adapter, purpose, *settings) : settings.status();
      const std::pair<std::string, std::string> want(field.name(), "");
      const bool good = shown.ok() ? std::find(shown->begin(), shown->end(), want) != shown->end()
                                   : absl::IsInvalidArgument(shown.status());
      if (!good) {
        findings.push_back(
            fmt::format("setting {}: set to \"{}\" it has another value", field.name(), empty));
      }
    }
  }
}

Findings CheckSettingsForm(const Adapter& adapter, const std::string&) {
  Findings findings;
  const auto& type = *adapter.SettingsPrototype().GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& options = type.field(i)->options().GetExtension(settings::v1::setting);
    if (options.label().ru().empty() || options.label().en().empty() ||
        options.help().ru().empty() || options.help().en().empty()) {
      findings.push_back(
          fmt::format("setting {}: want labels and help in ru and en", type.field(i)->name()));
    }
    if (!options.default_value().empty() && !type.field(i)->is_repeated() &&
        !type.field(i)->has_presence()) {
      findings.push_back(
          fmt::format("setting {}: has a default, want it optional", type.field(i)->name()));
    }
  }
  for (Purpose purpose : adapter.Purposes()) {
    auto defaults = SettingsFromText(adapter, purpose, nullptr, {});
    if (!defaults.ok()) {
      findings.push_back("defaults: " + Text(defaults.status()));
      continue;
    }
    auto text = SettingsToText(adapter, purpose, *defaults);
    std::vector<std::string> keys;
    for (const auto& [key, value] : text.value_or(fixture::SettingTexts())) {
      keys.push_back(key);
    }
    if (keys != KeysOf(adapter, purpose)) {
      findings.emplace_back("defaults as text: want every key of the purpose, and no other");
    }
    CheckOtherPurposes(adapter, purpose, findings);
    CheckEmptyLists(adapter, purpose, findings);
    const Status unknown =
        SettingsFromText(adapter, purpose, nullptr, {{"no_such_key", "1"}}).status();
    if (!absl::IsInvalidArgument(unknown) ||
        ToStd(unknown.message()).find("no_such_key") == std::string_view::npos) {
      findings.push_back("unknown key: want InvalidArgument that names it, got " + Text(unknown));
    }
    google::protobuf::Any other;
    other.PackFrom(deal::v1::Money());
    if (adapter.CheckSettings(other, purpose).ok()) {
      findings.emplace_back("another message is taken for settings");
    }
    other = *defaults;
    other.set_value("\xff\xff\xff");
    if (adapter.CheckSettings(other, purpose).ok()) {
      findings.emplace_back("bytes that are no settings are taken for settings");
    }
  }
  return findings;
}

class NoLogin final : public http::Transport {
 public:
  Result<http::Response> Send(const http::Request&) override {
    return absl::UnavailableError("no login in this test");
  }
};

constexpr std::string_view kPlanted = "pl4nted-s3cret";

// Answers with what it was asked, as some CRMs and many proxies do when they refuse: URL, headers
// and body, in the place of `shape` that bears an ECHO.
class EchoingLogin final : public http::Transport {
 public:
  EchoingLogin(int status, std::string_view shape) : status_(status), shape_(shape) {}
  Result<http::Response> Send(const http::Request& request) override {
    std::string asked = fmt::format("{} {}", request.url, request.body);
    for (const auto& [name, value] : request.headers) {
      asked += fmt::format(" {}: {}", name, value);
    }
    // The secret before the rest: a text may be cut where it is quoted.
    const std::string echo = json(fmt::format("{} {}", kPlanted, asked)).dump();
    http::Response response;
    response.status = status_;
    response.headers = {{"content-type", "application/json"}};
    response.body = shape_;
    if (const size_t at = shape_.find("ECHO"); at != std::string_view::npos) {
      response.body.replace(at, 4, echo.substr(1, echo.size() - 2));
    }
    return response;
  }

 private:
  const int status_;
  const std::string_view shape_;
};

// Fields that the adapter takes, with a secret planted in the secret ones; none if the values tried
// here don't do.
std::vector<CredentialFields> GoodFields(const Adapter& adapter) {
  std::vector<std::string> values = {"a@b.example", "7"};
  for (const std::string& suffix : adapter.AllowedHostSuffixes()) {
    values.push_back("shop." + suffix);
  }
  std::vector<CredentialFields> all(1);
  for (const CredentialFieldSpec& spec : adapter.credential().Fields()) {
    std::vector<CredentialFields> longer;
    for (const CredentialFields& fields : all) {
      for (const std::string& value : values) {
        CredentialFields& more = longer.emplace_back();
        for (const auto& [name, kept] : fields) {
          more.emplace_back(name, kept.Clone());
        }
        if (spec.secret || spec.required) {
          more.emplace_back(std::string(spec.name), Secret(spec.secret ? kPlanted : value));
        }
        if (spec.secret || !spec.required) {
          break;
        }
      }
    }
    all = std::move(longer);
  }
  std::erase_if(all, [&adapter](const CredentialFields& fields) {
    return !adapter.credential().CrmAccountId(fields).ok();
  });
  return all;
}

// Whatever a CRM answers to a login, what it quotes of the credential goes no further.
void CheckEchoedLogins(const Adapter& adapter, Findings& findings) {
  const std::vector<CredentialFields> good = GoodFields(adapter);
  if (good.empty()) {
    findings.emplace_back("credential: no field value known here is taken: add one to GoodFields");
  }
  for (const CredentialFields& fields : good) {
    for (const int status : {200, 400, 401, 403, 404, 422, 429, 500}) {
      for (std::string_view shape : {R"({"error":"ECHO"})",
                                     R"({"error":{"message":"ECHO"},"meta":{"status":"ECHO"}})",
                                     R"({"message":"ECHO","token":null})",
                                     R"({"token":"ECHO"})",
                                     R"({"access_token":"t","expires_in":"ECHO"})",
                                     R"({"ECHO":1})",
                                     R"(["ECHO"])",
                                     R"("ECHO")",
                                     R"({"error":"ECHO)",
                                     "<html>ECHO</html>",
                                     "ECHO"}) {
        EchoingLogin echo(status, shape);
        const Status refused =
            adapter.credential()
                .LogIn(fields, {.state = Secret(kPlanted), .now = absl::UnixEpoch()}, echo)
                .status();
        if (refused.ToString().find(std::string(kPlanted)) != std::string::npos) {
          findings.push_back(
              fmt::format("login answered {} {}: the error text holds the secret", status, shape));
        }
      }
    }
  }
}

Findings CheckCredential(const Adapter& adapter, const std::string&) {
  Findings findings;
  NoLogin login;
  const auto specs = adapter.credential().Fields();
  for (const CredentialFieldSpec& spec : specs) {
    if (spec.name.empty() || spec.label_ru.empty() || spec.label_en.empty()) {
      findings.push_back(fmt::format("credential field {}: want labels", spec.name));
    }
  }
  // Every field in turn missing, and then garbage, with a secret planted in the secret ones.
  for (std::string_view garbage : {"", "x", "\xff\x00:@/ ?#", "@", "http://", "a@b@c"}) {
    CredentialFields fields;
    for (const CredentialFieldSpec& spec : specs) {
      fields.emplace_back(std::string(spec.name), Secret(spec.secret ? kPlanted : garbage));
    }
    const Status account = adapter.credential().CrmAccountId(fields).status();
    const Status access =
        adapter.credential()
            .LogIn(fields, {.state = Secret("x"), .now = absl::UnixEpoch()}, login)
            .status();
    for (const Status& status : {account, access}) {
      if (ToStd(status.message()).find(kPlanted) != std::string_view::npos) {
        findings.emplace_back("an error text holds a secret");
      }
    }
  }
  CheckEchoedLogins(adapter, findings);
  if (adapter.credential().CrmAccountId({}).ok()) {
    findings.emplace_back("no fields at all give a CRM account");
  }
  return findings;
}

// ---- Notices ---------------------------------------------------------------------------------

std::string Shown(const Result<DecodedNotice>& decoded) {
  if (!decoded.ok()) {
    return Text(decoded.status());
  }
  std::string text;
  for (const ObjectRef& ref : decoded->objects) {
    text += fmt::format("{} {}; ", ref.kind, ref.external_id);
  }
  if (!decoded->unreadable.ok()) {
    text += fmt::format("unreadable {}; ", Text(decoded->unreadable));
  }
  return fmt::format(
      "{}ignored [{}] delivery {}", text, fmt::join(decoded->ignored, ", "), decoded->delivery_id);
}

void CheckDecoded(const fixture::NoticeCase& one,
                  const Result<DecodedNotice>& got,
                  Findings& findings) {
  const bool as_expected =
      one.error.empty()
          ? got.ok() && Shown(got) == Shown(one.expected)
          : !got.ok() && ToStd(got.status().message()).find(one.error) != std::string_view::npos;
  if (!as_expected) {
    findings.push_back(fmt::format("notice {}: got {}, want {}",
                                   one.name,
                                   Shown(got),
                                   one.error.empty() ? Shown(one.expected) : one.error));
  }
  if (!got.ok() && !absl::IsInvalidArgument(got.status())) {
    findings.push_back(
        fmt::format("notice {}: got {}, want InvalidArgument", one.name, Shown(got)));
  }
  if (got.ok() && got->objects.empty() && got->ignored.empty()) {
    findings.push_back(fmt::format("notice {}: names nothing and says no reason", one.name));
  }
}

Findings CheckNotices(const Adapter& adapter, const std::string& testdata) {
  Findings findings;
  const NoticeDecoder* decoder = adapter.notice_decoder();
  if (decoder == nullptr) {
    return findings;
  }
  auto cases = fixture::LoadNoticeCases(testdata);
  if (!cases.ok() || cases->empty()) {
    findings.push_back("notices: no cases: " + Text(cases.status()));
    return findings;
  }
  for (const fixture::NoticeCase& one : *cases) {
    const auto decode_query = [&](std::string query) {
      raw::v1::Notice notice = one.notice;
      notice.set_query(std::move(query));
      return decoder->Decode(notice, one.purpose);
    };
    const auto decode = [&](std::string body) {
      raw::v1::Notice notice = one.notice;
      notice.set_body(std::move(body));
      return decoder->Decode(notice, one.purpose);
    };
    const auto got = decode(one.notice.body());
    CheckDecoded(one, got, findings);
    if (Shown(decode(one.notice.body())) != Shown(got)) {
      findings.push_back(fmt::format("notice {}: another answer the second time", one.name));
    }
    for (size_t size = 0; size < one.notice.body().size(); ++size) {
      const auto cut = decode(one.notice.body().substr(0, size));
      if (!cut.ok() && !absl::IsInvalidArgument(cut.status())) {
        findings.push_back(fmt::format("notice {} cut at {}: got {}", one.name, size, Shown(cut)));
      }
    }
    for (size_t size = 0; size < one.notice.query().size(); ++size) {
      const auto cut = decode_query(one.notice.query().substr(0, size));
      if (!cut.ok() && !absl::IsInvalidArgument(cut.status())) {
        findings.push_back(
            fmt::format("notice {} query cut at {}: got {}", one.name, size, Shown(cut)));
      }
    }
    for (std::string_view hostile : {"", "%", "%f", "%ff=%00", "=", "&&&", "a=b&a=b", "{{}}"}) {
      const auto answer = decode_query(std::string(hostile));
      if (!answer.ok() && !absl::IsInvalidArgument(answer.status())) {
        findings.push_back(fmt::format("notice query \"{}\": got {}", hostile, Shown(answer)));
      }
    }
    for (std::string_view hostile :
         {"", "null", "[]", "{}", "\"x\"", "\xff\xfe", "<html>", "a=b&c=d"}) {
      const auto answer = decode(std::string(hostile));
      if (!answer.ok() && !absl::IsInvalidArgument(answer.status())) {
        findings.push_back(fmt::format("notice \"{}\": got {}", hostile, Shown(answer)));
      }
    }
  }
  return findings;
}

// ---- Mapping ---------------------------------------------------------------------------------

Result<std::vector<fixture::MappingCase>> LoadCases(const Adapter& adapter,
                                                    Purpose purpose,
                                                    const std::string& testdata) {
  return purpose == Purpose::PURPOSE_REQUESTS ? fixture::LoadRequestCases(adapter, testdata)
                                              : fixture::LoadDealCases(adapter, testdata);
}

Findings CheckMappingCases(const Adapter& adapter, Purpose purpose, const std::string& testdata) {
  Findings findings;
  if (!fixture::HasMapper(adapter, purpose)) {
    return findings;
  }
  auto cases = LoadCases(adapter, purpose, testdata);
  if (!cases.ok() || cases->empty()) {
    findings.push_back("mapping: no cases: " + Text(cases.status()));
    return findings;
  }
  for (const fixture::MappingCase& one : *cases) {
    const std::string got = fixture::MapToText(adapter, one.record);
    if (UpdateExpected()) {
      std::ofstream(one.expected_path, std::ios::binary) << got;
    }
    if (got != fixture::ReadFile(one.expected_path)) {
      findings.push_back(fmt::format(
          "case {}: got\n{}\nwant what is in {} (DEALSTREAM_UPDATE_EXPECTED=1 writes it)",
          one.name,
          got,
          one.expected_path));
    }
  }
  return findings;
}

Findings CheckDealCases(const Adapter& adapter, const std::string& testdata) {
  return CheckMappingCases(adapter, Purpose::PURPOSE_DEALS, testdata);
}

Findings CheckRequestCases(const Adapter& adapter, const std::string& testdata) {
  return CheckMappingCases(adapter, Purpose::PURPOSE_REQUESTS, testdata);
}

// Calls visit(changed document) with every value of the document in turn replaced by what
// change(value) makes of it; false leaves it out.
void ForEachChange(json& root,
                   json& value,
                   const std::function<bool(json&)>& change,
                   const std::function<void()>& visit) {
  if (value.is_structured()) {
    for (json& child : value) {
      ForEachChange(root, child, change, visit);
    }
  }
  json kept = value;
  if (change(value)) {
    visit();
  }
  value = std::move(kept);
}

// One part of a record as a document that can be changed.
class Mutations {
 public:
  Mutations(const Adapter& adapter, const fixture::MappingCase& one, int part, Findings& findings)
      : adapter_(adapter),
        name_(one.name),
        record_(one.record),
        part_(part),
        document_(json::parse(one.record.parts(part).body(), nullptr, false)),
        findings_(findings) {}

  void Run() {
    if (!document_.is_structured()) {
      return;
    }
    const std::string plain = Map();
    if (plain.starts_with("error:")) {
      return;
    }
    CheckUnknownFields(plain);
    for (const json& other : {json(nullptr),
                              json(7),
                              json(-1.5e300),
                              json("x"),
                              json(true),
                              json::array(),
                              json::object(),
                              json("\u0000\n"),
                              json(json::array({1, json::object()}))}) {
      ForEachChange(
          document_,
          document_,
          [&other](json& value) {
            value = other;
            return true;
          },
          [this] { CheckFailure(); });
    }
    CheckAbsentFields(document_);
  }

 private:
  std::string Map() {
    record_.mutable_parts(part_)->set_body(document_.dump());
    return fixture::MapToText(adapter_, record_);
  }

  void CheckFailure() {
    record_.mutable_parts(part_)->set_body(document_.dump());
    const Status status = mapped_.Map(adapter_, record_).status();
    if (!status.ok() && !fixture::IsMappingFailure(status)) {
      findings_.push_back(fmt::format("case {}: a wrong type gives {}", name_, Text(status)));
    }
  }

  void CheckUnknownFields(const std::string& plain) {
    ForEachChange(
        document_,
        document_,
        [](json& value) {
          if (value.is_object()) {
            value["zzz_unknown"] = {{"id", 1}, {"rows", {nullptr, "x"}}};
          }
          return value.is_object();
        },
        [this, &plain] {
          if (Map() != plain) {
            findings_.push_back(fmt::format("case {}: an unknown field changes the result", name_));
          }
        });
  }

  // A field that is null is as good as one that is absent.
  void CheckAbsentFields(json& value) {
    if (value.is_structured()) {
      for (json& child : value) {
        CheckAbsentFields(child);
      }
    }
    if (!value.is_object()) {
      return;
    }
    const json kept = value;
    for (const auto& [key, unused] : kept.items()) {
      value[key] = nullptr;
      const std::string with_null = Map();
      value.erase(key);
      if (Map() != with_null) {
        findings_.push_back(fmt::format("case {}: {}: null and absent differ", name_, key));
      }
      CheckFailure();
      value = kept;
    }
  }

  const Adapter& adapter_;
  const std::string& name_;
  raw::v1::Record record_;
  int part_;
  json document_;
  Findings& findings_;
  fixture::Mapped mapped_;
};

void CheckCuts(const Adapter& adapter,
               const fixture::MappingCase& one,
               int part,
               Findings& findings) {
  raw::v1::Record record = one.record;
  fixture::Mapped mapped;
  const std::string& whole = one.record.parts(part).body();
  record.mutable_parts(part)->set_body("no JSON");
  if (mapped.Map(adapter, record).ok()) {
    return;  // This part isn't looked at.
  }
  for (size_t size = 0; size < whole.size(); ++size) {
    record.mutable_parts(part)->set_body(whole.substr(0, size));
    const Status status = mapped.Map(adapter, record).status();
    if (status.ok() ? whole.find_first_not_of(" \r\n\t", size) != std::string::npos
                    : !fixture::IsMappingFailure(status)) {
      findings.push_back(
          fmt::format("case {}: part {} cut at {}: got {}", one.name, part, size, Text(status)));
    }
  }
}

Findings CheckMapperOf(const Adapter& adapter, Purpose purpose, const std::string& testdata) {
  Findings findings;
  if (!fixture::HasMapper(adapter, purpose)) {
    return findings;
  }
  auto cases = LoadCases(adapter, purpose, testdata);
  if (!cases.ok()) {
    return {Text(cases.status())};
  }
  fixture::Mapped mapped;
  for (const fixture::MappingCase& one : *cases) {
    const bool good = mapped.Map(adapter, one.record).ok();
    for (int part = 0; part < one.record.parts_size(); ++part) {
      if (good) {
        CheckCuts(adapter, one, part, findings);
      }
      Mutations(adapter, one, part, findings).Run();
    }
    if (findings.size() > 20) {
      break;
    }
  }
  raw::v1::Record empty;
  empty.set_purpose(purpose);
  const Status status = mapped.Map(adapter, empty).status();
  if (!fixture::IsMappingFailure(status)) {
    findings.push_back("an empty record: got " + Text(status));
  }
  return findings;
}

Findings CheckDealMapper(const Adapter& adapter, const std::string& testdata) {
  return CheckMapperOf(adapter, Purpose::PURPOSE_DEALS, testdata);
}

Findings CheckRequestMapper(const Adapter& adapter, const std::string& testdata) {
  return CheckMapperOf(adapter, Purpose::PURPOSE_REQUESTS, testdata);
}

// ---- Mapping one record after another ----------------------------------------------------------

// Calls visit(cases, what a message that was never used gives for each).
template <typename Visit>
Findings WithCases(const Adapter& adapter, const std::string& testdata, const Visit& visit) {
  auto cases = fixture::LoadMappingCases(adapter, testdata);
  if (!cases.ok()) {
    return {Text(cases.status())};
  }
  std::vector<std::string> expected;
  for (const fixture::MappingCase& one : *cases) {
    expected.push_back(fixture::Mapped().Outcome(adapter, one.record));
  }
  return visit(*cases, expected);
}

void Soil(google::protobuf::Message& message);

void SoilField(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field) {
  using Field = google::protobuf::FieldDescriptor;
  const auto& reflection = *message.GetReflection();
  const bool list = field.is_repeated();
  switch (field.cpp_type()) {
    case Field::CPPTYPE_STRING:
      list ? reflection.AddString(&message, &field, "old")
           : reflection.SetString(&message, &field, "old");
      return;
    case Field::CPPTYPE_INT64:
      reflection.SetInt64(&message, &field, 7);
      return;
    case Field::CPPTYPE_INT32:
      reflection.SetInt32(&message, &field, 7);
      return;
    case Field::CPPTYPE_BOOL:
      reflection.SetBool(&message, &field, true);
      return;
    case Field::CPPTYPE_ENUM:
      reflection.SetEnumValue(&message, &field, 1);
      return;
    case Field::CPPTYPE_MESSAGE:
      if (!list) {
        Soil(*reflection.MutableMessage(&message, &field));
        return;
      }
      // More than any case has.
      for (int i = 0; i < 40; ++i) {
        Soil(*reflection.AddMessage(&message, &field));
      }
      return;
    default:
      fmt::print(stderr, "{}: a type that the schema had not\n", field.full_name());
      std::abort();
  }
}

// Fills every field there is.
void Soil(google::protobuf::Message& message) {
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    SoilField(message, *message.GetDescriptor()->field(i));
  }
}

// The mapper fills messages over: nothing of the one before may shine through, in fields that will
// be added to the schema either.
Findings CheckSoiledMessages(const Adapter& adapter, const std::string& testdata) {
  return WithCases(adapter, testdata, [&adapter](const auto& cases, const auto& expected) {
    Findings findings;
    for (size_t i = 0; i < cases.size(); ++i) {
      const raw::v1::Record& record = cases[i].record;
      fixture::Mapped soiled;
      Soil(soiled.MessageOf(record.purpose()));
      if (soiled.Outcome(adapter, record) != expected[i]) {
        findings.push_back(fmt::format("case {}: something is left of the message before: {}",
                                       cases[i].name,
                                       soiled.MessageOf(record.purpose()).ShortDebugString()));
      }
    }
    return findings;
  });
}

// Memory that mappers share within a thread, and attempts that fail in the middle, leave no trace.
Findings CheckOrderOfRecords(const Adapter& adapter, const std::string& testdata) {
  return WithCases(adapter, testdata, [&adapter](const auto& cases, const auto& expected) {
    Findings findings;
    fixture::Mapped used;
    for (const fixture::MappingCase& before : cases) {
      for (size_t i = 0; i < cases.size(); ++i) {
        (void)used.Map(adapter, before.record).ok();
        if (used.Outcome(adapter, cases[i].record) != expected[i]) {
          findings.push_back(
              fmt::format("case {} gives another result after {}", cases[i].name, before.name));
        }
      }
    }
    return findings;
  });
}

Findings CheckThreads(const Adapter& adapter, const std::string& testdata) {
  return WithCases(adapter, testdata, [&adapter](const auto& cases, const auto& expected) {
    constexpr size_t kThreads = 4;
    constexpr size_t kRounds = 20;
    std::vector<Findings> found(kThreads);
    std::vector<std::thread> threads;
    for (size_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        fixture::Mapped used;
        for (size_t round = 0; round < kRounds * cases.size(); ++round) {
          const size_t i = (round * 7 + thread) % cases.size();
          if (used.Outcome(adapter, cases[i].record) != expected[i]) {
            found[thread].push_back(
                fmt::format("case {} gives another result beside other threads", cases[i].name));
          }
        }
      });
    }
    Findings findings;
    for (size_t thread = 0; thread < kThreads; ++thread) {
      threads[thread].join();
      findings.insert(findings.end(), found[thread].begin(), found[thread].end());
    }
    return findings;
  });
}

// ---- Reading ---------------------------------------------------------------------------------

struct Failure {
  std::string name;
  Result<http::Response> answer;
  std::vector<absl::StatusCode> want;
};

http::Response Answer(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

// What any CRM may do, and what must become of it.
std::vector<Failure> Failures(const std::string& good_body) {
  using Code = absl::StatusCode;
  const std::string html = "<html><body>503</body></html>";
  return {
      {"401", Answer(401, "{}"), {Code::kUnauthenticated}},
      {"403", Answer(403, "{}"), {Code::kPermissionDenied, Code::kFailedPrecondition}},
      {"429", Answer(429, "{}"), {Code::kResourceExhausted}},
      {"429 with HTML", Answer(429, html), {Code::kResourceExhausted}},
      {"500", Answer(500, "{}"), {Code::kUnavailable}},
      {"502 with HTML", Answer(502, html), {Code::kUnavailable}},
      {"503 without body", Answer(503, ""), {Code::kUnavailable}},
      {"504", Answer(504, "{\"errors\":"), {Code::kUnavailable}},
      // A CRM whose accounts have addresses of their own may take another site for a wrong one.
      {"200 with HTML", Answer(200, html), {Code::kUnavailable, Code::kFailedPrecondition}},
      {"200 without body", Answer(200, ""), {Code::kUnavailable}},
      {"200 with another shape", Answer(200, "[]"), {Code::kDataLoss}},
      {"half a body",
       Answer(200, good_body.substr(0, good_body.size() / 2)),
       {Code::kUnavailable, Code::kDataLoss}},
      // Nobody's word on an object: a gateway's, or a wrong address.
      {"404 with HTML", Answer(404, html), {Code::kUnavailable, Code::kFailedPrecondition}},
      // As the transport says it.
      {"gzip bomb",
       WithReason(absl::DataLossError("the answer is too large"), "answer_too_large"),
       {Code::kDataLoss}},
      {"302",
       Answer(302, ""),
       {Code::kUnavailable,
        Code::kUnauthenticated,
        Code::kInvalidArgument,
        Code::kFailedPrecondition}},
      {"timeout", absl::DeadlineExceededError("timeout"), {Code::kDeadlineExceeded}},
      {"reset", absl::UnavailableError("reset"), {Code::kUnavailable}},
      {"stop", absl::CancelledError("stopping"), {Code::kCancelled}},
      {"own limit", absl::ResourceExhaustedError("later"), {Code::kResourceExhausted}},
      {"host not allowed",
       WithReason(absl::PermissionDeniedError("guard"), "host_not_allowed"),
       {Code::kPermissionDenied}},
  };
}

template <typename Run>
void CheckFailures(std::string_view name,
                   const std::vector<fixture::Exchange>& exchange,
                   const Run& run,
                   Findings& findings) {
  for (size_t call = 0; call < exchange.size(); ++call) {
    for (const Failure& failure : Failures(exchange[call].response.body)) {
      fixture::ScriptedSession session(exchange);
      session.Replace(call, failure.answer);
      const Status status = run(session);
      // Without it, the rest of the conversation may be another one.
      const bool done_without =
          exchange[call].optional &&
          (failure.name == "403" || failure.name == "200 with another shape" ||
           failure.name == "gzip bomb") &&
          (status.ok() || session.off_script());
      if (!done_without && std::find(failure.want.begin(), failure.want.end(), status.code()) ==
                               failure.want.end()) {
        findings.push_back(
            fmt::format("{}: call {}: {}: got {}", name, call, failure.name, Text(status)));
      }
    }
    // Every cut is an error: no answer may be taken for whole that is not.
    const std::string& body = exchange[call].response.body;
    for (size_t size = 0; size < body.size(); size += 1 + body.size() / 2000) {
      fixture::ScriptedSession session(exchange);
      session.Replace(call, Answer(200, body.substr(0, size)));
      const Status status = run(session);
      if (!absl::IsUnavailable(status) && !absl::IsDataLoss(status)) {
        findings.push_back(
            fmt::format("{}: call {} cut at {}: got {}", name, call, size, Text(status)));
        break;
      }
    }
  }
}

bool SameObject(const ReadObject& a, const ReadObject& b) {
  return a.version == b.version && a.gone == b.gone && a.perhaps_not_yet == b.perhaps_not_yet &&
         a.parts == b.parts && a.ref == b.ref;
}

// Defaults where the case gives none; those that can't be read are a finding.
google::protobuf::Any SettingsOf(const Adapter& adapter,
                                 Purpose purpose,
                                 std::string_view name,
                                 const fixture::SettingTexts& texts,
                                 Findings& findings) {
  if (texts.empty()) {
    return {};
  }
  auto settings = SettingsFromText(adapter, purpose, nullptr, texts);
  if (!settings.ok()) {
    findings.push_back(fmt::format("{}: {}", name, Text(settings.status())));
    return {};
  }
  return *std::move(settings);
}

std::string Shown(const ReadObject& object) {
  std::string text = fmt::format("version {}, gone {}{}",
                                 object.version,
                                 object.gone,
                                 object.perhaps_not_yet ? " or not there yet" : "");
  if (object.ref.has_value()) {
    text += fmt::format(", {} {}", object.ref->kind, object.ref->external_id);
  }
  for (const auto& [name, body] : object.parts) {
    text += fmt::format("\n  {}: {}", name, body);
  }
  return text;
}

void CheckReadCase(const Adapter& adapter, const fixture::ReadCase& one, Findings& findings) {
  const google::protobuf::Any settings =
      SettingsOf(adapter, one.purpose, one.name, one.settings, findings);
  fixture::ScriptedSession session(one.exchange);
  const auto got = adapter.record_source()->Read(one.ref, settings, session);
  if (!one.error.empty() || !one.code.empty()) {
    if (got.ok() || absl::StatusCodeToString(got.status().code()) != one.code ||
        ToStd(got.status().message()).find(one.error) == std::string_view::npos) {
      findings.push_back(fmt::format(
          "read {}: got {}, want {}: {}", one.name, Text(got.status()), one.code, one.error));
    }
    return;
  }
  if (!got.ok() || !SameObject(*got, one.expected)) {
    findings.push_back(fmt::format("read {}: got {}\nwant {}",
                                   one.name,
                                   got.ok() ? Shown(*got) : Text(got.status()),
                                   Shown(one.expected)));
  }
  if (session.calls() != one.exchange.size()) {
    findings.push_back(fmt::format(
        "read {}: got {} calls, want {}", one.name, session.calls(), one.exchange.size()));
  }
  const bool all_good =
      std::all_of(one.exchange.begin(), one.exchange.end(), [](const auto& exchange) {
        return exchange.response.status == 200;
      });
  if (all_good) {
    CheckFailures(
        "read " + one.name,
        one.exchange,
        [&](Session& failing) {
          return adapter.record_source()->Read(one.ref, settings, failing).status();
        },
        findings);
  }
}

Findings CheckReading(const Adapter& adapter, const std::string& testdata) {
  Findings findings;
  if (adapter.record_source() == nullptr) {
    return findings;
  }
  auto cases = fixture::LoadReadCases(testdata);
  if (!cases.ok() || cases->empty()) {
    return {"read: no cases: " + Text(cases.status())};
  }
  for (const fixture::ReadCase& one : *cases) {
    CheckReadCase(adapter, one, findings);
  }
  for (const ObjectRef& ref : {ObjectRef{"", ""}, ObjectRef{"no_such_kind", "1"}}) {
    fixture::ScriptedSession session({});
    if (adapter.record_source()->Read(ref, {}, session).ok() || session.calls() != 0) {
      findings.push_back(fmt::format("read \"{}\": want an error and no call", ref.kind));
    }
  }
  return findings;
}

std::string Shown(const Result<ListPage>& page) {
  if (!page.ok()) {
    return Text(page.status());
  }
  std::string text;
  for (const ListedObject& object : page->objects) {
    text += fmt::format("{} {} at {}; ", object.ref.kind, object.ref.external_id, object.version);
    for (const auto& [name, body] : object.parts) {
      text += fmt::format("{} = {}; ", name, body);
    }
  }
  return fmt::format("{}next \"{}\" cursor \"{}\" total {}",
                     text,
                     page->next_page_token,
                     page->cursor,
                     page->total);
}

Findings CheckListing(const Adapter& adapter, const std::string& testdata) {
  Findings findings;
  if (adapter.record_source() == nullptr || !adapter.record_source()->CanList()) {
    return findings;
  }
  auto cases = fixture::LoadListCases(testdata);
  if (!cases.ok() || cases->empty()) {
    return {"list: no cases: " + Text(cases.status())};
  }
  for (const fixture::ListCase& one : *cases) {
    const google::protobuf::Any settings =
        SettingsOf(adapter, one.purpose, one.name, one.settings, findings);
    const auto list = [&](Session& session) {
      return adapter.record_source()->List(one.request, one.purpose, settings, session);
    };
    fixture::ScriptedSession session(one.exchange);
    const auto got = list(session);
    if (Shown(got) != Shown(one.expected)) {
      findings.push_back(
          fmt::format("list {}: got {}\nwant {}", one.name, Shown(got), Shown(one.expected)));
    }
    if (got.ok() && got->next_page_token.empty() == got->cursor.empty()) {
      findings.push_back(fmt::format("list {}: want either a next page or a cursor", one.name));
    }
    CheckFailures(
        "list " + one.name,
        one.exchange,
        [&](Session& failing) { return list(failing).status(); },
        findings);
  }
  for (const char* garbage : {"x", ",,,,", "-1,-1,,0,0", "9999999999999999999,0,,0,0"}) {
    fixture::ScriptedSession session({});
    ListRequest request;
    request.page_token = garbage;
    const Status status = adapter.record_source()
                              ->List(request, integration::v1::PURPOSE_DEALS, {}, session)
                              .status();
    if (!absl::IsInvalidArgument(status) || session.calls() != 0) {
      findings.push_back(
          fmt::format("list with page token \"{}\": got {} and {} calls, want InvalidArgument and "
                      "none",
                      garbage,
                      Text(status),
                      session.calls()));
    }
  }
  return findings;
}

// ---- Fuzz targets ----------------------------------------------------------------------------

// What is fuzzed holds for what fuzzing starts from.
Findings CheckSeeds(const Adapter& adapter, const std::string& testdata) {
  Findings findings;
  const auto run = [&](auto target) {
    const std::string folder = testdata + "/seeds";
    for (const std::string& name : fixture::Names(folder)) {
      for (const std::string& finding : target.Run(fixture::ReadFile(folder + "/" + name))) {
        findings.push_back(fmt::format("seed {}: {}", name, finding));
      }
    }
  };
  run(fuzz::Mappers(adapter, testdata));
  if (adapter.notice_decoder() != nullptr) {
    run(fuzz::Notice(adapter, testdata));
  }
  if (adapter.record_source() != nullptr) {
    run(fuzz::Answers(adapter, testdata));
  }
  return findings;
}

}  // namespace

std::vector<ConformanceCheck> ConformanceChecks() {
  return {
      {"Identity", &CheckIdentity},
      {"SettingsForm", &CheckSettingsForm},
      {"Credential", &CheckCredential},
      {"Notices", &CheckNotices},
      {"DealCases", &CheckDealCases},
      {"DealMapper", &CheckDealMapper},
      {"RequestCases", &CheckRequestCases},
      {"RequestMapper", &CheckRequestMapper},
      {"SoiledMessages", &CheckSoiledMessages},
      {"OrderOfRecords", &CheckOrderOfRecords},
      {"Threads", &CheckThreads},
      {"Reading", &CheckReading},
      {"Listing", &CheckListing},
      {"Seeds", &CheckSeeds},
  };
}

}  // namespace dealstream::crm
