#include "libs/crm/klientiks/deal_mapper.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "libs/crm/klientiks/mapping.h"
#include "libs/crm/klientiks/settings.h"
#include "libs/crm/klientiks/visit.h"
#include "libs/crm/klientiks/wire.h"
#include "libs/domain/contact.h"
#include "libs/domain/money.h"

namespace dealstream::crm::klientiks {
namespace {

using deal::v1::Contact;
using deal::v1::CustomField;
using deal::v1::Deal;
using domain::Decimal;

// Fields of the visit that go first, in this order. Labels are ours, but for the source, which is
// the seed document's.
struct NamedField {
  std::string_view key;
  std::string_view label;
};
constexpr auto kVisitFields = std::to_array<NamedField>({
    {"appointment_source", "Источник записи"},
    {"lead", "Источник ВОЗ"},
    {"client_memo", "Примечание"},
});
constexpr auto kClientFields = std::to_array<NamedField>({
    {"client_groups", "Группы клиента"},
    {"lead_source", "Источник клиента"},
    {"client_memo", "Примечание"},
});

bool IsNamedField(std::string_view key) {
  return std::any_of(kVisitFields.begin(), kVisitFields.end(), [key](const NamedField& field) {
    return field.key == key;
  });
}

deal::v1::ItemKind ItemKindOf(std::string_view type) {
  if (type == "service") {
    return deal::v1::ITEM_KIND_SERVICE;
  }
  if (type == "good") {
    return deal::v1::ITEM_KIND_PRODUCT;
  }
  return type.empty() ? deal::v1::ITEM_KIND_UNSPECIFIED : deal::v1::ITEM_KIND_OTHER;
}

// price x count less discount; false when it is too large to be known.
bool LineTotal(const Line& line, Decimal& total) {
  const auto sum = Decimal::Multiply(*line.price, line.count);
  const auto less = sum.ok() ? Decimal::Subtract(*sum, line.discount) : sum;
  if (less.ok()) {
    total = *less;
  }
  return less.ok();
}

void SetValue(const Value& value, CustomField& field) {
  if (value.kind == Value::Kind::kFlag) {
    field.set_flag(value.flag);
    return;
  }
  if (value.kind == Value::Kind::kNumber) {
    auto plain = domain::PlainDecimal(value.text);
    if (plain.ok()) {
      field.set_number(*std::move(plain));
      return;
    }
  }
  field.set_text(value.text.data(), value.text.size());
}

class Mapping {
 public:
  Mapping(const SettingsView& settings, const RecordContents& contents, Deal& deal)
      : settings_(settings), visit_(contents.visit), contents_(contents), deal_(deal) {}

  Status Run() {
    const bool is_demo = contents_.client.has_value() && contents_.client->is_demo;
    if (visit_.client_id.empty() || is_demo) {
      return NotADeal(is_demo ? "appointment: of a client of the demonstration"
                              : "appointment: no client: an hour that is blocked");
    }
    SetTitle();
    DEALSTREAM_RETURN_IF_ERROR(SetAmount());
    SetStage();
    SetResponsible();
    SetContacts();
    SetItems();
    SetCustomFields();
    if (visit_.created.has_value()) {
      SetTime(*visit_.created, *deal_.mutable_created_at());
    }
    if (visit_.ChangedAt().has_value()) {
      SetTime(*visit_.ChangedAt(), *deal_.mutable_updated_at());
    }
    deal_.set_deleted(visit_.deleted);
    return absl::OkStatus();
  }

 private:
  void SetTitle() {
    std::string& title = *deal_.mutable_title();
    for (const Line& line : visit_.lines) {
      if (!line.name.empty()) {
        title.append(title.empty() ? "" : ", ").append(line.name);
      }
    }
    if (title.empty()) {
      title = fmt::format("Запись №{}", visit_.id);
    }
  }

  bool IsCountedOut(const Line& line) const {
    return settings_.settings.count_out_subscription() &&
           (visit_.by_subscription || line.by_subscription);
  }

  // Without what subscriptions pay, where the setting says so; else what the CRM says it costs, and
  // where it doesn't, the sum of the lines.
  Status SetAmount() {
    const bool counts_out = settings_.settings.count_out_subscription();
    const bool some_out = counts_out && IsBySubscription();
    if (counts_out && visit_.by_subscription) {
      return SetAmount(Decimal());
    }
    if (!some_out && visit_.total.has_value()) {
      return SetAmount(*visit_.total);
    }
    __int128 sum = 0;
    bool known = some_out;
    for (const Line& line : visit_.lines) {
      Decimal total;
      if (IsCountedOut(line)) {
        continue;
      }
      if (line.price.has_value() && LineTotal(line, total)) {
        sum += total.nanos();
        known = true;
      }
    }
    return known ? SetAmount(Decimal::FromNanos(sum)) : absl::OkStatus();
  }

  Status SetAmount(const Decimal& amount) {
    // Beyond, Money can't hold it: 10^18 units.
    constexpr __int128 kLimit =
        static_cast<__int128>(1'000'000'000) * 1'000'000'000 * 1'000'000'000;
    const Decimal rounded = RoundToHundredths(amount);
    if (rounded.nanos() >= kLimit || rounded.nanos() <= -kLimit) {
      return absl::DataLossError(
          "appointment: appointed_services: got a larger sum, want at most 18 digits");
    }
    rounded.ToMoney(settings_.currency, *deal_.mutable_amount());
    return absl::OkStatus();
  }

  bool IsBySubscription() const {
    return visit_.by_subscription ||
           std::any_of(visit_.lines.begin(), visit_.lines.end(), [](const Line& line) {
             return line.by_subscription;
           });
  }

  void SetStage() {
    auto& pipeline = *deal_.mutable_pipeline();
    pipeline.set_id("appointments");
    pipeline.set_name(settings_.settings.pipeline_name());
    if (visit_.status.empty()) {
      return;
    }
    auto& stage = *deal_.mutable_stage();
    const StatusInfo* known = FindStatus(visit_.status);
    const std::string_view label = known == nullptr ? visit_.status : known->label;
    stage.set_id(visit_.status.data(), visit_.status.size());
    stage.set_name(label.data(), label.size());
    // What we don't know is not the end of it.
    stage.set_kind(known == nullptr ? deal::v1::STAGE_KIND_OPEN : known->kind);
  }

  void SetResponsible() {
    const auto person = ResponsibleOf(visit_, settings_.settings.responsible_is_author());
    if (!person.has_value()) {
      return;
    }
    auto& responsible = *deal_.mutable_responsible();
    responsible.set_id(person->id.data(), person->id.size());
    responsible.set_name(person->name.data(), person->name.size());
    const auto& user = contents_.user;
    if (!user.has_value() || user->id != person->id) {
      return;
    }
    if (person->name.empty()) {
      responsible.set_name(user->name.data(), user->name.size());
    }
    Contact scratch;
    domain::AddEmails(user->email, scratch);
    AddPhone(user->phone, scratch);
    if (scratch.emails_size() > 0) {
      responsible.set_email(scratch.emails(0));
    }
    if (scratch.phones_size() > 0) {
      *responsible.mutable_phone() = scratch.phones(0);
    }
  }

  void SetContacts() {
    if (!contents_.client.has_value()) {
      return;
    }
    const Customer& client = *contents_.client;
    Contact& contact = *deal_.add_contacts();
    contact.set_id(visit_.client_id.data(), visit_.client_id.size());
    contact.set_kind(deal::v1::CONTACT_KIND_PERSON);
    contact.set_name(client.FullName());
    AddPhone(client.phone, contact);
    domain::AddEmails(TextOf(client.values, client.json_data, "email"), contact);
    const std::string_view phone =
        TextOf(client.values, client.json_data, "additional_contact_phone");
    if (phone.empty()) {
      return;
    }
    Contact& additional = *deal_.add_contacts();
    const std::string_view name =
        TextOf(client.values, client.json_data, "additional_contact_name");
    additional.set_kind(deal::v1::CONTACT_KIND_PERSON);
    additional.set_name(name.data(), name.size());
    AddPhone(phone, additional);
  }

  void SetItems() {
    for (const Line& line : visit_.lines) {
      auto& item = *deal_.add_items();
      item.set_id(line.service_id.data(), line.service_id.size());
      item.set_kind(ItemKindOf(line.type));
      item.set_name(line.name.data(), line.name.size());
      item.set_quantity(line.count.ToText());
      if (!line.price.has_value()) {
        continue;
      }
      line.price->ToMoney(settings_.currency, *item.mutable_price());
      // What a subscription pays keeps its price and costs nothing.
      Decimal total;
      if (IsCountedOut(line) || LineTotal(line, total)) {
        RoundToHundredths(total).ToMoney(settings_.currency, *item.mutable_total());
      }
    }
  }

  CustomField& AddField(std::string_view id, std::string_view name) {
    CustomField& field = *deal_.add_custom_fields();
    field.set_id(id.data(), id.size());
    field.set_name(name.data(), name.size());
    return field;
  }

  void SetCustomFields() {
    if (visit_.start.has_value()) {
      SetTime(*visit_.start, *AddField("start_datetime", "Начало визита").mutable_time());
    }
    if (visit_.finish.has_value()) {
      SetTime(*visit_.finish, *AddField("finish_datetime", "Окончание визита").mutable_time());
    }
    for (const NamedField& field : kVisitFields) {
      if (const Value* value = ValueOf(visit_.values, visit_.json_data, field.key)) {
        SetValue(*value, AddField(field.key, field.label));
      }
    }
    // The customer's own fields are those that json_data has; their values may stand beside it.
    for (const Value& own : visit_.json_data) {
      if (!IsVisitKey(own.key) && !IsNamedField(own.key)) {
        SetValue(*ValueOf(visit_.values, visit_.json_data, own.key), AddField(own.key, own.key));
      }
    }
    if (contents_.client.has_value()) {
      SetClientFields(*contents_.client);
    }
    if (IsBySubscription()) {
      AddField("by_subscription", "Абонемент").set_flag(true);
    }
  }

  void SetClientFields(const Customer& client) {
    for (const NamedField& field : kClientFields) {
      const Value* value = ValueOf(client.values, client.json_data, field.key);
      const bool is_taken = ValueOf(visit_.values, visit_.json_data, field.key) != nullptr;
      if (value != nullptr && !is_taken) {
        SetValue(*value, AddField(field.key, field.label));
      }
    }
  }

  const SettingsView& settings_;
  const Visit& visit_;
  const RecordContents& contents_;
  Deal& deal_;
};

}  // namespace

Status Mapper::Map(const raw::v1::Record& record, Deal& deal) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const SettingsView* settings, SettingsInForce(record.settings()));
  DEALSTREAM_ASSIGN_OR_RETURN(const RecordContents contents, ReadRecord(record, settings->zone));
  deal.Clear();
  return Mapping(*settings, contents, deal).Run();
}

}  // namespace dealstream::crm::klientiks
