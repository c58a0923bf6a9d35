#include "libs/crm/megaplan/deal_mapper.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/megaplan/answer.h"
#include "libs/crm/megaplan/settings.h"
#include "libs/crm/megaplan/wire.h"
#include "libs/domain/contact.h"
#include "libs/domain/money.h"

namespace dealstream::crm::megaplan {
namespace {

using deal::v1::Contact;
using deal::v1::CustomField;
using deal::v1::Deal;
using deal::v1::Item;
using deal::v1::Money;
using domain::Decimal;

constexpr __int128 kNanosOfHundredth = 10'000'000;
// Lists within custom fields hold values or further lists, no more.
constexpr int kDeepestList = 4;

// ---- Single values ---------------------------------------------------------------------------

// To hundredths, half away from zero: numbers come with the tails of binary floats. Source:
// README.md#money.
Decimal ToHundredths(const Decimal& exact) {
  const __int128 nanos = exact.nanos();
  const __int128 half = nanos < 0 ? -kNanosOfHundredth / 2 : kNanosOfHundredth / 2;
  return Decimal::FromNanos((nanos + half) / kNanosOfHundredth * kNanosOfHundredth);
}

// A number as written; `name` is its field.
Result<Decimal> ReadDecimal(const Value& value) {
  if (value.kind() != Value::Kind::kNumber) {
    return value.Wrong("a number");
  }
  auto parsed = Decimal::ParseRounded(value.text(), 0);
  if (!parsed.ok()) {
    return value.Wrong(value.text().substr(0, 40),
                       "a decimal number of at most 18 digits before the point");
  }
  return *parsed;
}

// "1250.00": of hundredths.
std::string WithTwoPlaces(const Decimal& amount) {
  std::string text = amount.ToText();
  const size_t point = text.find('.');
  if (point == std::string::npos) {
    return text + ".00";
  }
  text.resize(std::max(text.size(), point + 3), '0');
  return text;
}

bool IsThreeLatinLetters(std::string_view code) {
  return code.size() == 3 && std::all_of(code.begin(), code.end(), [](char c) {
           return absl::ascii_isalpha(static_cast<unsigned char>(c));
         });
}

struct Amount {
  Decimal value;
  std::string currency;
  // "value code" as the CRM has it, where its currency has no code that could be passed on.
  std::string original;
};

// A Money, to hundredths, in its own currency; in the account's base currency where it has none
// that has a code.
Result<Amount> ReadAmount(const Value& money, std::string_view base_currency) {
  if (!money.IsObject()) {
    return money.Wrong("a Money");
  }
  Amount amount;
  DEALSTREAM_ASSIGN_OR_RETURN(const Decimal value, ReadDecimal(money["value"]));
  DEALSTREAM_ASSIGN_OR_RETURN(std::string_view code, TextOf(money["currency"]));
  code = Trimmed(code);
  amount.value = ToHundredths(value);
  if (IsThreeLatinLetters(code)) {
    amount.currency = absl::AsciiStrToUpper(ToAbsl(code));
    if (amount.currency == "RUR") {
      amount.currency = "RUB";
    }
    return amount;
  }
  const std::string shown = WithTwoPlaces(amount.value);
  amount.original = code.empty() ? shown : fmt::format("{} {}", shown, code);
  if (const Value in_main = money["valueInMain"]; !in_main.IsEmpty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const Decimal main, ReadDecimal(in_main));
    amount.value = ToHundredths(main);
    amount.currency = base_currency;
  }
  return amount;
}

Result<absl::Time> ReadDateTime(const Value& value) {
  absl::Time time;
  const Value written = value["value"];
  if (written.kind() != Value::Kind::kString || !ParseDateTime(written.text(), time)) {
    return value.Wrong("another value",
                       "a DateTime whose value is as \"2025-10-03T06:03:56+00:00\"");
  }
  return time;
}

void SetSeconds(absl::Time time, google::protobuf::Timestamp& timestamp) {
  timestamp.set_seconds(absl::ToUnixSeconds(time));
  timestamp.set_nanos(0);
}

// A whole number within bounds.
std::optional<int> SmallInt(const Value& value, int lowest, int highest) {
  int number = 0;
  const std::string_view text = value.text();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = value.kind() == Value::Kind::kNumber && error == std::errc() &&
                    end == text.data() + text.size() && number >= lowest && number <= highest;
  return good ? std::optional<int>(number) : std::nullopt;
}

// A DateOnly as YYYY-MM-DD. Its months count from 0. Source: README.md#types, official.
Result<std::string> ReadDate(const Value& date) {
  const auto year = SmallInt(date["year"], 1, 9999);
  const auto month = SmallInt(date["month"], 0, 11);
  const auto day = SmallInt(date["day"], 1, 31);
  if (!year.has_value() || !month.has_value() || !day.has_value()) {
    return date.Wrong("another value", "a DateOnly of year, month from 0 to 11, and day");
  }
  return fmt::format("{:04}-{:02}-{:02}", *year, *month + 1, *day);
}

deal::v1::StageKind StageKindOf(std::string_view type) {
  if (type == "active") {
    return deal::v1::STAGE_KIND_OPEN;
  }
  if (type == "positive") {
    return deal::v1::STAGE_KIND_WON;
  }
  return type == "negative" ? deal::v1::STAGE_KIND_LOST : deal::v1::STAGE_KIND_UNSPECIFIED;
}

deal::v1::ItemKind ItemKindOf(std::string_view type) {
  if (type == "product") {
    return deal::v1::ITEM_KIND_PRODUCT;
  }
  return type == "service" ? deal::v1::ITEM_KIND_SERVICE : deal::v1::ITEM_KIND_OTHER;
}

deal::v1::ContactKind ContactKindOf(std::string_view content_type) {
  if (content_type == kHumanType) {
    return deal::v1::CONTACT_KIND_PERSON;
  }
  return content_type == kCompanyType ? deal::v1::CONTACT_KIND_COMPANY
                                      : deal::v1::CONTACT_KIND_UNSPECIFIED;
}

// "Category1000042CustomFieldIstochnik" -> "Istochnik"; empty for any other key.
std::string_view CustomFieldName(std::string_view key) {
  constexpr std::string_view kCategory = "Category";
  constexpr std::string_view kField = "CustomField";
  if (!key.starts_with(kCategory)) {
    return {};
  }
  size_t at = kCategory.size();
  while (at < key.size() && absl::ascii_isdigit(static_cast<unsigned char>(key[at]))) {
    ++at;
  }
  const bool has_digits = at > kCategory.size();
  key.remove_prefix(at);
  return has_digits && key.starts_with(kField) ? key.substr(kField.size()) : std::string_view();
}

// ---- A record on its way into a deal ---------------------------------------------------------

class Mapping {
 public:
  Mapping(const v1::Settings& settings, const Answers& answers, const Value& data, Deal& deal)
      : settings_(settings), answers_(answers), data_(data), deal_(deal) {}

  Status Run() {
    DEALSTREAM_RETURN_IF_ERROR(CheckIdentity());
    DEALSTREAM_RETURN_IF_ERROR(MapTitle());
    DEALSTREAM_RETURN_IF_ERROR(MapAmount());
    DEALSTREAM_RETURN_IF_ERROR(MapPipeline());
    DEALSTREAM_RETURN_IF_ERROR(MapStage());
    DEALSTREAM_RETURN_IF_ERROR(MapResponsible());
    DEALSTREAM_RETURN_IF_ERROR(MapContacts());
    DEALSTREAM_RETURN_IF_ERROR(MapItems());
    DEALSTREAM_RETURN_IF_ERROR(MapCustomFields());
    return MapTimes();
  }

 private:
  Status CheckIdentity() {
    const std::string_view type = ContentTypeOf(data_);
    if (!type.empty() && type != kDealType) {
      return data_.Wrong(fmt::format("contentType {}", type.substr(0, 40)), "Deal");
    }
    return IdOf(data_).empty() ? data_.Wrong("a deal without id", "one with it") : absl::OkStatus();
  }

  Status MapTitle() {
    DEALSTREAM_ASSIGN_OR_RETURN(std::string_view name, TextOf(data_["name"]));
    DEALSTREAM_ASSIGN_OR_RETURN(std::string_view number, TextOf(data_["number"]));
    name = Trimmed(name);
    number_ = Trimmed(number);
    if (!name.empty()) {
      deal_.set_title(name.data(), name.size());
    } else {
      deal_.set_title(fmt::format("Сделка №{}", number_.empty() ? IdOf(data_) : number_));
    }
    return absl::OkStatus();
  }

  // An entity, or none; DataLoss when it is something else.
  Result<Value> Entity(std::string_view field) const {
    const Value value = data_[field];
    if (value.IsEmpty()) {
      return Value();
    }
    return value.IsObject() ? Result<Value>(value) : value.Wrong("an object");
  }

  void SetMoney(const Amount& amount, Money& money) const {
    amount.value.ToMoney(amount.currency, money);
  }

  // ---- Sum

  // The price counts where it says something: it is 0 in deals without positions, whose sum people
  // put into the cost.
  Status MapAmount() {
    const Value price = data_["price"];
    const Value cost = data_["cost"];
    std::optional<Amount> chosen;
    if (!price.IsEmpty()) {
      DEALSTREAM_ASSIGN_OR_RETURN(chosen, ReadAmount(price, settings_.base_currency()));
    }
    const bool price_counts = chosen.has_value() && (chosen->value != Decimal() || HasPositions());
    if (!price_counts && !cost.IsEmpty()) {
      DEALSTREAM_ASSIGN_OR_RETURN(chosen, ReadAmount(cost, settings_.base_currency()));
    }
    if (chosen.has_value()) {
      SetMoney(*chosen, *deal_.mutable_amount());
      original_amount_ = chosen->original;
    }
    return absl::OkStatus();
  }

  bool HasPositions() const {
    const Value count = data_["positionsCount"];
    const bool counted = count.kind() == Value::Kind::kNumber;
    return counted ? count.text().find_first_of("123456789") != std::string_view::npos
                   : !data_["positions"].IsEmpty();
  }

  // ---- Scheme and stage

  Status MapPipeline() {
    DEALSTREAM_ASSIGN_OR_RETURN(const Value program, Entity("program"));
    if (program.IsObject()) {
      auto& pipeline = *deal_.mutable_pipeline();
      SetId(program, pipeline);
      pipeline.set_name(answers_.NameOf(program));
    }
    return absl::OkStatus();
  }

  Status MapStage() {
    DEALSTREAM_ASSIGN_OR_RETURN(const Value state, Entity("state"));
    if (!state.IsObject()) {
      return absl::OkStatus();
    }
    auto& stage = *deal_.mutable_stage();
    SetId(state, stage);
    stage.set_name(answers_.NameOf(state));
    // The stage's name means nothing: "Оплачено" may be active. Its type may stand in the scheme.
    deal::v1::StageKind kind = StageKindOf(answers_.FieldText(state, "type"));
    if (kind == deal::v1::STAGE_KIND_UNSPECIFIED) {
      kind = StageKindOf(data_["result"].text());
    }
    stage.set_kind(kind == deal::v1::STAGE_KIND_UNSPECIFIED ? deal::v1::STAGE_KIND_OPEN : kind);
    return absl::OkStatus();
  }

  // ---- People

  template <typename Message>
  void SetId(const Value& entity, Message& message) const {
    const std::string_view id = IdOf(entity);
    message.set_id(id.data(), id.size());
  }

  // Phones and e-mails of an entity, the main ones first.
  void AddContactInfo(const Value& entity, Contact& contact) const {
    const Value infos = answers_.Field(entity, "contactInfo");
    for (const bool main : {true, false}) {
      for (Value info = infos.First(); info.kind() != Value::Kind::kNone; info = info.Next()) {
        if ((info["isMain"].text() == "true") == main) {
          AddInfo(info["type"].text(), info["value"], contact);
        }
      }
    }
  }

  void AddInfo(std::string_view type, const Value& value, Contact& contact) const {
    if (value.kind() != Value::Kind::kString) {
      return;
    }
    if (type == "phone") {
      domain::AddPhones(value.text(), settings_.phone_region(), contact);
    } else if (type == "email") {
      domain::AddEmails(value.text(), contact);
    }
  }

  Status MapResponsible() {
    DEALSTREAM_ASSIGN_OR_RETURN(const Value manager, Entity("manager"));
    if (!manager.IsObject()) {
      return absl::OkStatus();
    }
    auto& responsible = *deal_.mutable_responsible();
    SetId(manager, responsible);
    responsible.set_name(answers_.NameOf(manager));
    Contact addresses;
    AddContactInfo(manager, addresses);
    if (addresses.emails_size() > 0) {
      responsible.set_email(addresses.emails(0));
    }
    if (addresses.phones_size() > 0) {
      *responsible.mutable_phone() = std::move(*addresses.mutable_phones(0));
    }
    return absl::OkStatus();
  }

  void AddContact(const Value& client) const {
    Contact& contact = *deal_.add_contacts();
    SetId(client, contact);
    contact.set_kind(ContactKindOf(ContentTypeOf(client)));
    contact.set_name(answers_.NameOf(client));
    AddContactInfo(client, contact);
  }

  Status MapContacts() {
    DEALSTREAM_ASSIGN_OR_RETURN(const Value contractor, Entity("contractor"));
    DEALSTREAM_ASSIGN_OR_RETURN(const Value contact, Entity("contact"));
    if (contractor.IsObject()) {
      AddContact(contractor);
      Contact& added = *deal_.mutable_contacts(0);
      // What the deal itself says, for want of better.
      if (added.phones_size() == 0) {
        AddInfo("phone", data_["contractorPhone"]["value"], added);
      }
      if (added.emails_size() == 0) {
        AddInfo("email", data_["contractorEmail"], added);
      }
    }
    if (contact.IsObject() && !SameEntity(contact, contractor)) {
      AddContact(contact);
    }
    return absl::OkStatus();
  }

  // ---- Positions

  Status MapItems() {
    const Value positions = data_["positions"];
    if (!positions.IsEmpty() && positions.kind() != Value::Kind::kArray) {
      return positions.Wrong("an array");
    }
    for (Value row = positions.First(); row.kind() != Value::Kind::kNone; row = row.Next()) {
      DEALSTREAM_RETURN_IF_ERROR(MapItem(row));
    }
    return absl::OkStatus();
  }

  Status MapItem(const Value& row) {
    if (!row.IsObject()) {
      return row.Wrong("an object");
    }
    const Value offer = answers_.Field(row, "offer");
    Item& item = *deal_.add_items();
    const std::string_view id = IdOf(offer).empty() ? IdOf(row) : IdOf(offer);
    item.set_id(id.data(), id.size());
    std::string name = answers_.NameOf(row);
    item.set_name(name.empty() ? answers_.NameOf(offer) : std::move(name));
    std::string_view type = answers_.FieldText(offer, "type");
    if (type.empty()) {
      type = answers_.FieldText(answers_.Field(row, "offerCategory"), "type");
    }
    item.set_kind(ItemKindOf(type));
    return MapItemSum(row, item);
  }

  Status MapItemSum(const Value& row, Item& item) {
    std::optional<Decimal> quantity;
    std::optional<Amount> price;
    if (const Value value = answers_.Field(row, "quantity"); !value.IsEmpty()) {
      DEALSTREAM_ASSIGN_OR_RETURN(quantity, ReadDecimal(value));
      item.set_quantity(quantity->ToText());
    }
    if (const Value value = answers_.Field(row, "price"); !value.IsEmpty()) {
      DEALSTREAM_ASSIGN_OR_RETURN(price, ReadAmount(value, settings_.base_currency()));
      SetMoney(*price, *item.mutable_price());
    }
    if (const Value value = answers_.Field(row, "sum"); !value.IsEmpty()) {
      DEALSTREAM_ASSIGN_OR_RETURN(const Amount sum, ReadAmount(value, settings_.base_currency()));
      SetMoney(sum, *item.mutable_total());
    } else if (quantity.has_value() && price.has_value()) {
      if (auto total = Decimal::Multiply(*quantity, price->value); total.ok()) {
        ToHundredths(*total).ToMoney(price->currency, *item.mutable_total());
      }
    }
    return absl::OkStatus();
  }

  // ---- Custom fields

  CustomField& AddField(std::string_view id, std::string_view name) const {
    CustomField& field = *deal_.add_custom_fields();
    field.set_id(id.data(), id.size());
    field.set_name(name.data(), name.size());
    return field;
  }

  void AddText(std::string_view id, std::string_view name, std::string_view text) const {
    if (!text.empty()) {
      AddField(id, name).set_text(text.data(), text.size());
    }
  }

  Status MapCustomFields() {
    AddText("number", "Номер", number_);
    AddText("payer", "Плательщик", answers_.NameOf(data_["payer"]));
    AddText("pay_form", "Форма оплаты", answers_.NameOf(data_["payForm"]));
    DEALSTREAM_ASSIGN_OR_RETURN(const std::string tags, Text(data_["tags"], 0));
    AddText("tags", "Теги", tags);
    AddText("original_amount", "Сумма в валюте сделки", original_amount_);
    for (Value field = data_.First(); field.kind() != Value::Kind::kNone; field = field.Next()) {
      const std::string_view name = CustomFieldName(field.key());
      if (!name.empty() && !field.IsEmpty()) {
        DEALSTREAM_RETURN_IF_ERROR(MapCustomField(field, name));
      }
    }
    return absl::OkStatus();
  }

  Status MapCustomField(const Value& value, std::string_view name) const {
    switch (value.kind()) {
      case Value::Kind::kBool:
        AddField(value.key(), name).set_flag(value.text() == "true");
        return absl::OkStatus();
      case Value::Kind::kNumber:
        return SetNumber(value, AddField(value.key(), name));
      case Value::Kind::kObject:
        return MapCustomObject(value, name);
      default: {
        DEALSTREAM_ASSIGN_OR_RETURN(const std::string text, Text(value, 0));
        AddText(value.key(), name, text);
        return absl::OkStatus();
      }
    }
  }

  Status SetNumber(const Value& value, CustomField& field) const {
    auto plain = domain::PlainDecimal(value.text());
    if (!plain.ok()) {
      return value.Wrong(value.text().substr(0, 40), "a number");
    }
    field.set_number(*std::move(plain));
    return absl::OkStatus();
  }

  Status MapCustomObject(const Value& value, std::string_view name) const {
    const std::string_view type = ContentTypeOf(value);
    if (type == "DateTime") {
      DEALSTREAM_ASSIGN_OR_RETURN(const absl::Time time, ReadDateTime(value));
      SetSeconds(time, *AddField(value.key(), name).mutable_time());
      return absl::OkStatus();
    }
    if (type == "DateInterval") {
      const Value seconds = value["seconds"];
      return seconds.kind() == Value::Kind::kNumber
                 ? SetNumber(seconds, AddField(value.key(), name))
                 : value.Wrong("a DateInterval without seconds", "a number of them");
    }
    DEALSTREAM_ASSIGN_OR_RETURN(const std::string text, Text(value, 0));
    if (IdOf(value).empty()) {
      // A Money, a date, or a type this version doesn't know, whose value stays open.
      CustomField& field = AddField(value.key(), name);
      if (!text.empty()) {
        field.set_text(text);
      }
      return absl::OkStatus();
    }
    auto& reference = *AddField(value.key(), name).mutable_reference();
    SetId(value, reference);
    reference.set_name(text);
    return absl::OkStatus();
  }

  // A value as text; empty where it says nothing, and for what this version doesn't know.
  Result<std::string> Text(const Value& value, int depth) const {
    switch (value.kind()) {
      case Value::Kind::kString:
        return PlainText(value.text());
      case Value::Kind::kNumber: {
        auto plain = domain::PlainDecimal(value.text());
        return plain.ok() ? *std::move(plain) : std::string(value.text());
      }
      case Value::Kind::kBool:
        return std::string(value.text());
      case Value::Kind::kArray:
        return ListText(value, depth + 1);
      case Value::Kind::kObject:
        return ObjectText(value);
      case Value::Kind::kNone:
        break;
    }
    return std::string();
  }

  Result<std::string> ListText(const Value& list, int depth) const {
    std::string joined;
    if (depth > kDeepestList) {
      return joined;
    }
    for (Value element = list.First(); element.kind() != Value::Kind::kNone;
         element = element.Next()) {
      DEALSTREAM_ASSIGN_OR_RETURN(const std::string text, Text(element, depth));
      if (!text.empty()) {
        joined += joined.empty() ? "" : "; ";
        joined += text;
      }
    }
    return joined;
  }

  Result<std::string> ObjectText(const Value& value) const {
    const std::string_view type = ContentTypeOf(value);
    if (type == "Money") {
      DEALSTREAM_ASSIGN_OR_RETURN(const Amount amount,
                                  ReadAmount(value, settings_.base_currency()));
      const std::string text = WithTwoPlaces(amount.value);
      return amount.currency.empty() ? text : fmt::format("{} {}", text, amount.currency);
    }
    if (type == "DateOnly") {
      return ReadDate(value);
    }
    if (type == "DateTime") {
      DEALSTREAM_ASSIGN_OR_RETURN(const absl::Time time, ReadDateTime(value));
      return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
    }
    if (type == "DateInterval") {
      return Text(value["seconds"], kDeepestList);
    }
    std::string name = answers_.NameOf(value);
    const std::string_view id = IdOf(value);
    return name.empty() && !id.empty() ? fmt::format("{}/{}", type, id) : name;
  }

  // ---- Times

  // Absent where there is none.
  Result<std::optional<absl::Time>> Time(std::string_view field) const {
    const Value value = data_[field];
    if (value.IsEmpty()) {
      return std::optional<absl::Time>();
    }
    DEALSTREAM_ASSIGN_OR_RETURN(const absl::Time time, ReadDateTime(value));
    return std::optional<absl::Time>(time);
  }

  Status MapTimes() {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto created, Time("timeCreated"));
    DEALSTREAM_ASSIGN_OR_RETURN(const auto updated, Time("timeUpdated"));
    if (created.has_value()) {
      SetSeconds(*created, *deal_.mutable_created_at());
    }
    if (updated.has_value() || created.has_value()) {
      SetSeconds(updated.has_value() ? *updated : *created, *deal_.mutable_updated_at());
    }
    const deal::v1::StageKind kind = deal_.stage().kind();
    if (kind == deal::v1::STAGE_KIND_WON || kind == deal::v1::STAGE_KIND_LOST) {
      DEALSTREAM_ASSIGN_OR_RETURN(const auto closed, Time("stateTimeUpdated"));
      if (closed.has_value()) {
        SetSeconds(*closed, *deal_.mutable_closed_at());
      }
    }
    return absl::OkStatus();
  }

  const v1::Settings& settings_;
  const Answers& answers_;
  const Value data_;
  Deal& deal_;
  std::string_view number_;
  std::string original_amount_;
};

}  // namespace

Status Mapper::Map(const raw::v1::Record& record, Deal& deal) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const v1::Settings* settings, SettingsInForce(record.settings()));
  // The memory of parser and tree is used again for every record of this thread.
  thread_local Answers answers;
  answers.Clear();
  Value root;
  for (const raw::v1::BodyPart& part : record.parts()) {
    // A newer release may add parts; what they hold isn't ours to map.
    if (part.name() != kDealPart && part.name() != kEntityPart) {
      continue;
    }
    DEALSTREAM_ASSIGN_OR_RETURN(const Value added, answers.Add(part.name(), part.body()));
    if (part.name() == kDealPart) {
      root = added;
    }
  }
  if (!root.IsObject()) {
    return absl::InvalidArgumentError(
        fmt::format("record: got no part \"{}\", want one", kDealPart));
  }
  const Value data = root["data"];
  if (!data.IsObject()) {
    return data.kind() == Value::Kind::kNone ? root.Wrong("no data", "a deal in data")
                                             : data.Wrong("a deal");
  }
  deal.Clear();
  return Mapping(*settings, answers, data, deal).Run();
}

}  // namespace dealstream::crm::megaplan
