#include "libs/crm/klientiks/visit.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/klientiks/wire.h"
#include "libs/domain/contact.h"

namespace dealstream::crm::klientiks {
namespace {

using deal::v1::Contact;
using domain::Decimal;
using json::Node;

// How a line or a visit says that a subscription pays for it isn't published: the names that such a
// field may have. Source: README.md#subscriptions, inferred.
constexpr auto kSubscriptionKeys = std::to_array<std::string_view>(
    {"service_pack_id", "client_service_pack_id", "subscription_id"});

constexpr auto kVisitKeys = std::to_array<std::string_view>({
    "id",
    "account_id",
    "client_id",
    "executor_id",
    "author_id",
    "start_datetime",
    "finish_datetime",
    "status",
    "created",
    "modified",
    "appointed_services",
    "total_sum",
    "paid",
    "urgent",
    "is_sale",
    "deleted",
    "json_data",
    "client",
    "executor",
    "author",
    "service_pack_id",
    "client_service_pack_id",
    "subscription_id",
});

// As many fields of its own as a row has as a rule.
constexpr size_t kUsualValues = 24;
// More fields than anybody makes; each is looked for among the others.
constexpr size_t kMostOwnValues = 500;

bool IsSubscriptionKey(std::string_view key) {
  return std::find(kSubscriptionKeys.begin(), kSubscriptionKeys.end(), key) !=
         kSubscriptionKeys.end();
}

// PHP has false, an empty list and an empty text where there is nothing.
Status ReadNothing(Node node, std::string_view want) {
  const Node::Kind kind = node.kind();
  if (kind == Node::Kind::kBool) {
    bool flag = false;
    DEALSTREAM_RETURN_IF_ERROR(node.Bool(flag));
    return flag ? node.Wrong("true", want) : absl::OkStatus();
  }
  if (kind == Node::Kind::kArray) {
    return node.Array([want](Node element) { return element.Wrong("a list", want); });
  }
  return node.Wrong(kind == Node::Kind::kObject ? "an object" : "no JSON value", want);
}

// A text, or a number as written.
Status ReadText(Node node, std::string_view& text) {
  switch (node.kind()) {
    case Node::Kind::kString:
      DEALSTREAM_RETURN_IF_ERROR(node.String(text));
      text = Trim(text);
      return absl::OkStatus();
    case Node::Kind::kNumber:
      return node.Number(text);
    default:
      return ReadNothing(node, "a text");
  }
}

// Digits; 0 is none.
Status ReadId(Node node, std::string_view& id) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  if (text.empty() || text == "0") {
    return absl::OkStatus();
  }
  if (!IsId(text)) {
    return node.Wrong("another text", "an id of 1 to 18 digits");
  }
  id = text;
  return absl::OkStatus();
}

Status ReadFlag(Node node, bool& flag) {
  if (node.kind() == Node::Kind::kBool) {
    return node.Bool(flag);
  }
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  flag = text == "1" || text == "true";
  return absl::OkStatus();
}

Status ReadTime(Node node, const absl::TimeZone& zone, std::optional<absl::Time>& out) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  if (IsNoTime(text)) {
    return absl::OkStatus();
  }
  absl::Time time;
  if (!ParseTime(text, zone, time)) {
    return node.Wrong("another text", "a time as \"2025-09-01 20:27:51.644588\"");
  }
  out = time;
  return absl::OkStatus();
}

// A text that is no number counts as none.
Status ReadMoney(Node node, std::optional<Decimal>& money) {
  std::string_view text;
  const bool is_number = node.kind() == Node::Kind::kNumber;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  Decimal value;
  if (ParseMoney(text, value)) {
    money = value;
  } else if (is_number) {
    return node.Wrong(text.substr(0, 40), "a number of at most 18 digits before the point");
  }
  return absl::OkStatus();
}

Status ReadDecimal(Node node, Decimal& out) {
  std::optional<Decimal> value;
  DEALSTREAM_RETURN_IF_ERROR(ReadMoney(node, value));
  out = value.value_or(out);
  return absl::OkStatus();
}

// What a mark that names a subscription says.
Status ReadMark(Node node, bool& mark) {
  if (node.kind() == Node::Kind::kObject) {
    mark = true;
    return absl::OkStatus();
  }
  bool flag = false;
  if (node.kind() == Node::Kind::kBool) {
    DEALSTREAM_RETURN_IF_ERROR(node.Bool(flag));
    mark = mark || flag;
    return absl::OkStatus();
  }
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  mark = mark || (!text.empty() && text != "0");
  return absl::OkStatus();
}

// Keeps a value of a customer's field; lists and objects have no form here.
Status KeepValue(std::string_view key, Node node, std::vector<Value>& values) {
  Value value;
  value.key = key;
  switch (node.kind()) {
    case Node::Kind::kString:
      DEALSTREAM_RETURN_IF_ERROR(node.String(value.text));
      value.text = Trim(value.text);
      if (value.text.empty()) {
        return absl::OkStatus();
      }
      break;
    case Node::Kind::kNumber:
      value.kind = Value::Kind::kNumber;
      DEALSTREAM_RETURN_IF_ERROR(node.Number(value.text));
      break;
    case Node::Kind::kBool:
      value.kind = Value::Kind::kFlag;
      DEALSTREAM_RETURN_IF_ERROR(node.Bool(value.flag));
      break;
    default:
      return absl::OkStatus();
  }
  values.push_back(value);
  return absl::OkStatus();
}

// A JSON text within the JSON; the memory is the document's. A broken one is as good as none.
void ReadJsonData(std::string_view text, json::Document& document, std::vector<Value>& values) {
  if (text.empty()) {
    return;
  }
  const Status status = document.Read("json_data", text, [&values](Node root) {
    return root.Object([&values](std::string_view key, Node node) {
      return values.size() < kMostOwnValues ? KeepValue(key, node, values) : absl::OkStatus();
    });
  });
  if (!status.ok()) {
    values.clear();
  }
}

Status ReadPersonField(std::string_view key, Node value, Person& person) {
  if (key == "id") {
    return ReadId(value, person.id);
  }
  if (key == "name") {
    return ReadText(value, person.name);
  }
  if (key == "phone") {
    return ReadText(value, person.phone);
  }
  return key == "email" ? ReadText(value, person.email) : absl::OkStatus();
}

// A nested person; anything but an object says nothing.
Status ReadNestedPerson(Node node, Person& person) {
  if (node.kind() != Node::Kind::kObject) {
    return absl::OkStatus();
  }
  return node.Object(
      [&person](std::string_view key, Node value) { return ReadPersonField(key, value, person); });
}

// The documents that a record's parts are read with, kept for the next record.
struct Memory {
  json::Document visit;
  json::Document visit_json_data;
  json::Document client;
  json::Document client_json_data;
  json::Document user;
};

Memory& MemoryOfThread() {
  thread_local Memory memory;
  return memory;
}

// Collects a client's fields; json_data is read once they are all there.
struct ClientFields {
  ClientFields() { client.values.reserve(kUsualValues); }

  Customer client;
  std::string_view json_data;

  Status Read(std::string_view key, Node value) {
    if (key == "id") {
      return ReadId(value, client.id);
    }
    if (key == "name") {
      return ReadText(value, client.name);
    }
    if (key == "second_name") {
      return ReadText(value, client.second_name);
    }
    if (key == "first_name") {
      return ReadText(value, client.first_name);
    }
    if (key == "patron_name") {
      return ReadText(value, client.patron_name);
    }
    if (key == "phone") {
      return ReadText(value, client.phone);
    }
    if (key == "demo_entity") {
      return ReadFlag(value, client.is_demo);
    }
    if (key == "json_data") {
      return value.kind() == Node::Kind::kString ? value.String(json_data) : absl::OkStatus();
    }
    return KeepValue(key, value, client.values);
  }

  Customer Finish(json::Document& document) && {
    ReadJsonData(json_data, document, client.json_data);
    return std::move(client);
  }
};

class VisitReader {
 public:
  VisitReader(const absl::TimeZone& zone, Detail detail) : zone_(zone), detail_(detail) {}

  Result<ReadVisitResult> Read(std::string_view body) && {
    Memory& memory = MemoryOfThread();
    DEALSTREAM_RETURN_IF_ERROR(memory.visit.Read(
        kAppointmentPart, body, [this](Node root) { return ReadEnvelope(root); }));
    if (!error_.empty()) {
      return StatusOfError(kAppointmentPart, error_);
    }
    if (!has_envelope_) {
      // The visit itself. What stands beside an envelope must not be taken for the visit's: an
      // answer has a `status` of its own.
      DEALSTREAM_RETURN_IF_ERROR(memory.visit.Read(
          kAppointmentPart, body, [this](Node root) { return ReadFields(root); }));
    }
    if (!no_data_ && visit_.id.empty()) {
      return WithReason(absl::DataLossError(fmt::format(
                            "{}: got neither items nor an id, want a visit", kAppointmentPart)),
                        json::kWrongShape);
    }
    ReadJsonData(json_data_, memory.visit_json_data, visit_.json_data);
    if (client_.has_value()) {
      visit_.client = std::move(*client_).Finish(memory.client_json_data);
    }
    return ReadVisitResult{!no_data_, std::move(visit_)};
  }

 private:
  // {items} or {object}.
  Status ReadEnvelope(Node root) {
    return root.Object([this](std::string_view key, Node value) -> Status {
      if (key == "items" || key == "object") {
        return ReadItems(value);
      }
      if (key == "error" && value.kind() == Node::Kind::kString) {
        return value.String(error_);
      }
      return absl::OkStatus();
    });
  }

  Status ReadItems(Node items) {
    has_envelope_ = true;
    switch (items.kind()) {
      case Node::Kind::kObject:
        return ReadFields(items);
      case Node::Kind::kArray: {
        bool has_row = false;
        DEALSTREAM_RETURN_IF_ERROR(items.Array([this, &has_row](Node row) -> Status {
          if (has_row) {
            return row.Wrong("a second visit", "one");
          }
          has_row = true;
          return ReadFields(row);
        }));
        // A visit that isn't comes as "No data": to take this for a deletion would be worse than
        // to ask again.
        return has_row ? absl::OkStatus()
                       : WithReason(absl::UnavailableError(fmt::format(
                                        "{}: items: got an empty array, want a visit or \"{}\"",
                                        kAppointmentPart,
                                        kNoData)),
                                    "empty_answer");
      }
      case Node::Kind::kString: {
        std::string_view text;
        DEALSTREAM_RETURN_IF_ERROR(items.String(text));
        no_data_ = text == kNoData;
        return no_data_ ? absl::OkStatus() : items.Wrong("another text", "\"No data\" or a visit");
      }
      default:
        return items.Wrong("another value", "a visit, an array with one or \"No data\"");
    }
  }

  Status ReadFields(Node visit) {
    visit_ = Visit();
    visit_.values.reserve(kUsualValues);
    client_.reset();
    json_data_ = {};
    return visit.Object([this](std::string_view key, Node value) { return ReadField(key, value); });
  }

  Status ReadField(std::string_view key, Node value) {
    if (key == "id") {
      return ReadId(value, visit_.id);
    }
    if (key == "client_id") {
      return ReadId(value, visit_.client_id);
    }
    if (key == "executor_id") {
      return ReadId(value, visit_.executor_id);
    }
    if (key == "author_id") {
      return ReadId(value, visit_.author_id);
    }
    if (key == "created") {
      return ReadTime(value, zone_, visit_.created);
    }
    if (key == "modified") {
      return ReadTime(value, zone_, visit_.modified);
    }
    if (key == "appointed_services") {
      return ReadLines(value);
    }
    if (key == "executor") {
      return ReadNestedPerson(value, visit_.executor);
    }
    if (key == "author") {
      return ReadNestedPerson(value, visit_.author);
    }
    if (key == "client") {
      return ReadNestedClient(value);
    }
    return detail_ == Detail::kAll ? ReadDetail(key, value) : absl::OkStatus();
  }

  Status ReadDetail(std::string_view key, Node value) {
    if (key == "status") {
      return ReadText(value, visit_.status);
    }
    if (key == "start_datetime") {
      return ReadTime(value, zone_, visit_.start);
    }
    if (key == "finish_datetime") {
      return ReadTime(value, zone_, visit_.finish);
    }
    if (key == "total_sum") {
      return ReadMoney(value, visit_.total);
    }
    if (key == "deleted") {
      return ReadFlag(value, visit_.deleted);
    }
    if (key == "json_data") {
      return value.kind() == Node::Kind::kString ? value.String(json_data_) : absl::OkStatus();
    }
    if (IsSubscriptionKey(key)) {
      return ReadMark(value, visit_.by_subscription);
    }
    return IsVisitKey(key) ? absl::OkStatus() : KeepValue(key, value, visit_.values);
  }

  // A lone line may stand without its list, and an empty list may be a text or false.
  Status ReadLines(Node node) {
    switch (node.kind()) {
      case Node::Kind::kArray:
        return node.Array([this](Node line) { return ReadLine(line); });
      case Node::Kind::kObject:
        return ReadLine(node);
      case Node::Kind::kString: {
        std::string_view text;
        DEALSTREAM_RETURN_IF_ERROR(node.String(text));
        return text.empty() || text == kNoData ? absl::OkStatus()
                                               : node.Wrong("another text", "an array of services");
      }
      default:
        return ReadNothing(node, "an array of services");
    }
  }

  Status ReadLine(Node node) {
    Line line;
    DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, Node value) -> Status {
      if (key == "appointed_services_executions") {
        return ReadExecutions(value);
      }
      return detail_ == Detail::kAll ? ReadLineField(key, value, line) : absl::OkStatus();
    }));
    visit_.lines.push_back(line);
    return absl::OkStatus();
  }

  static Status ReadLineField(std::string_view key, Node value, Line& line) {
    if (key == "service_id") {
      return ReadId(value, line.service_id);
    }
    if (key == "name") {
      return ReadText(value, line.name);
    }
    if (key == "type") {
      return ReadText(value, line.type);
    }
    if (key == "price") {
      return ReadMoney(value, line.price);
    }
    if (key == "count") {
      return ReadDecimal(value, line.count);
    }
    if (key == "discount_sum") {
      return ReadDecimal(value, line.discount);
    }
    return IsSubscriptionKey(key) ? ReadMark(value, line.by_subscription) : absl::OkStatus();
  }

  Status ReadExecutions(Node node) {
    if (node.kind() != Node::Kind::kArray) {
      return absl::OkStatus();
    }
    return node.Array([this](Node execution) -> Status {
      Person person;
      DEALSTREAM_RETURN_IF_ERROR(ReadNestedPerson(execution, person));
      if (!person.id.empty()) {
        visit_.executions.push_back(person);
      }
      return absl::OkStatus();
    });
  }

  Status ReadNestedClient(Node node) {
    if (node.kind() != Node::Kind::kObject) {
      return absl::OkStatus();
    }
    client_.emplace();
    return node.Object(
        [this](std::string_view key, Node value) { return client_->Read(key, value); });
  }

  const absl::TimeZone& zone_;
  const Detail detail_;
  Visit visit_;
  std::optional<ClientFields> client_;
  std::string_view json_data_;
  std::string_view error_;
  bool has_envelope_ = false;
  bool no_data_ = false;
};

}  // namespace

std::string Customer::FullName() const {
  std::string full;
  for (std::string_view part : {second_name, first_name, patron_name}) {
    if (!part.empty()) {
      full.append(full.empty() ? "" : " ").append(part);
    }
  }
  return full.empty() ? std::string(name) : full;
}

const Value* ValueOf(const std::vector<Value>& values,
                     const std::vector<Value>& json_data,
                     std::string_view key) {
  for (const auto* list : {&values, &json_data}) {
    const auto found = std::find_if(
        list->begin(), list->end(), [key](const Value& value) { return value.key == key; });
    if (found != list->end()) {
      return &*found;
    }
  }
  return nullptr;
}

std::string_view TextOf(const std::vector<Value>& values,
                        const std::vector<Value>& json_data,
                        std::string_view key) {
  const Value* value = ValueOf(values, json_data, key);
  return value == nullptr ? std::string_view() : value->text;
}

bool IsVisitKey(std::string_view key) {
  return std::find(kVisitKeys.begin(), kVisitKeys.end(), key) != kVisitKeys.end();
}

std::optional<Person> ResponsibleOf(const Visit& visit, bool is_author) {
  Person person;
  const Person& nested = is_author ? visit.author : visit.executor;
  person.id = is_author ? visit.author_id : visit.executor_id;
  if (person.id.empty() && !is_author && !visit.executions.empty()) {
    // One client takes the first execution's id in all cases. Source: README.md#visits.
    person.id = visit.executions.front().id;
  }
  if (person.id.empty()) {
    return std::nullopt;
  }
  if (nested.id.empty() || nested.id == person.id) {
    person.name = nested.name;
  }
  for (const Person& execution : visit.executions) {
    if (person.name.empty() && execution.id == person.id) {
      person.name = execution.name;
    }
  }
  return person;
}

Result<ReadVisitResult> ReadVisit(std::string_view body,
                                  const absl::TimeZone& zone,
                                  Detail detail) {
  return VisitReader(zone, detail).Read(body);
}

Result<std::optional<Customer>> ReadClient(std::string_view body, std::string_view id) {
  Memory& memory = MemoryOfThread();
  std::optional<ClientFields> found;
  std::string_view error;
  bool has_items = false;
  const auto read_row = [&](Node row) -> Status {
    ClientFields fields;
    DEALSTREAM_RETURN_IF_ERROR(row.Object(
        [&fields](std::string_view key, Node value) { return fields.Read(key, value); }));
    // Should the filter by id be ignored, a page of other people comes.
    if (fields.client.id == id) {
      found = std::move(fields);
    }
    return absl::OkStatus();
  };
  DEALSTREAM_RETURN_IF_ERROR(memory.client.Read(kClientPart, body, [&](Node root) {
    return root.Object([&](std::string_view key, Node value) -> Status {
      if (key == "error" && value.kind() == Node::Kind::kString) {
        return value.String(error);
      }
      if (key != "items") {
        return absl::OkStatus();
      }
      has_items = true;
      if (value.kind() == Node::Kind::kObject) {
        return read_row(value);
      }
      if (value.kind() == Node::Kind::kArray) {
        return value.Array(read_row);
      }
      std::string_view text;
      DEALSTREAM_RETURN_IF_ERROR(value.String(text));
      return text == kNoData ? absl::OkStatus()
                             : value.Wrong("another text", "\"No data\" or clients");
    });
  }));
  if (!error.empty()) {
    return StatusOfError(kClientPart, error);
  }
  if (!has_items) {
    return WithReason(absl::DataLossError("client: items: got nothing, want clients"),
                      json::kWrongShape);
  }
  if (!found.has_value()) {
    return std::optional<Customer>();
  }
  return std::optional<Customer>(std::move(*found).Finish(memory.client_json_data));
}

Result<Person> ReadUser(std::string_view body) {
  Person person;
  DEALSTREAM_RETURN_IF_ERROR(MemoryOfThread().user.Read(kUserPart, body, [&](Node root) {
    return root.Object(
        [&](std::string_view key, Node value) { return ReadPersonField(key, value, person); });
  }));
  return person;
}

namespace {

Status ReadPart(const raw::v1::BodyPart& part,
                const absl::TimeZone& zone,
                RecordContents& contents) {
  if (part.name() == kAppointmentPart) {
    DEALSTREAM_ASSIGN_OR_RETURN(ReadVisitResult read, ReadVisit(part.body(), zone, Detail::kAll));
    if (!read.found) {
      return absl::DataLossError(
          fmt::format("{}: items: got \"{}\", want a visit", kAppointmentPart, kNoData));
    }
    contents.visit = std::move(read.visit);
  } else if (part.name() == kClientPart) {
    DEALSTREAM_ASSIGN_OR_RETURN(contents.client, ReadClient(part.body(), contents.visit.client_id));
  } else if (part.name() == kUserPart) {
    DEALSTREAM_ASSIGN_OR_RETURN(contents.user, ReadUser(part.body()));
  }
  // A newer release may add parts; what they hold isn't ours to map.
  return absl::OkStatus();
}

}  // namespace

Result<RecordContents> ReadRecord(const raw::v1::Record& record, const absl::TimeZone& zone) {
  RecordContents contents;
  for (const raw::v1::BodyPart& part : record.parts()) {
    const Status status = ReadPart(part, zone, contents);
    // An error of the CRM's in place of data: here there is nobody to ask again.
    DEALSTREAM_RETURN_IF_ERROR(absl::IsUnavailable(status) || absl::IsPermissionDenied(status)
                                   ? absl::DataLossError(status.message())
                                   : status);
  }
  if (contents.visit.id.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("record: got no part \"{}\", want one", kAppointmentPart));
  }
  if (!contents.client.has_value() && contents.visit.client.has_value()) {
    contents.client = std::move(contents.visit.client);
  }
  return contents;
}

namespace {

// The one text that is known; the others may be anything. Source: README.md#errors.
bool IsAccessDenied(std::string_view text) {
  return absl::AsciiStrToLower(ToAbsl(text)).find(std::string(kAccessDenied)) != std::string::npos;
}

}  // namespace

void AddPhone(std::string_view text, Contact& contact) {
  const bool is_plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const bool is_russian = (text.size() == 11 && (text[0] == '7' || text[0] == '8')) ||
                          (text.size() == 10 && text[0] == '9');
  if (!is_plain || is_russian || text.size() < 8 || text.size() > 15) {
    domain::AddPhones(text, "RU", contact);
    return;
  }
  // Digits with a country's code, and no plus.
  const int before = contact.phones_size();
  domain::AddPhones(fmt::format("+{}", text), "RU", contact);
  if (contact.phones_size() > before) {
    contact.mutable_phones(before)->set_as_given(text.data(), text.size());
  }
}

bool DeniesAccess(std::string_view body) {
  // All answers come by here, and hardly any is an error.
  constexpr size_t kLongest = 4096;
  if (body.size() > kLongest || body.find("\"error\"") == std::string_view::npos) {
    return false;
  }
  std::string_view error;
  json::Document document;
  const Status status = document.Read("answer", body, [&error](Node root) {
    return root.Object([&error](std::string_view key, Node value) {
      return key == "error" && value.kind() == Node::Kind::kString ? value.String(error)
                                                                   : absl::OkStatus();
    });
  });
  return status.ok() && IsAccessDenied(error);
}

Status StatusOfError(std::string_view what, std::string_view text) {
  if (IsAccessDenied(text)) {
    return absl::PermissionDeniedError(
        fmt::format("{}: the CRM denies access, want a valid access_token and a tariff with API "
                    "(PRO+ or APIdd)",
                    what));
  }
  return WithReason(
      absl::UnavailableError(fmt::format(
          "{}: got an error of {} bytes in place of data, want items", what, text.size())),
      "error_answer");
}

}  // namespace dealstream::crm::klientiks
