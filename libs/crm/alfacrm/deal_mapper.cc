#include "libs/crm/alfacrm/deal_mapper.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/alfacrm/directories.h"
#include "libs/crm/alfacrm/history.h"
#include "libs/crm/alfacrm/json_values.h"
#include "libs/crm/alfacrm/row_fields.h"
#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/alfacrm/wire.h"
#include "libs/domain/contact.h"
#include "libs/domain/money.h"

namespace dealstream::crm::alfacrm {
namespace {

using deal::v1::Deal;
using domain::Decimal;
using json::Node;

constexpr std::string_view kFirstSale = "Первая продажа";
constexpr std::string_view kUpsell = "Допродажи";
constexpr std::string_view kSeparator = "; ";
// A card that isn't in the archive has this day, or a later one. Source: README.md#fields, seen.
constexpr std::string_view kNotArchived = "2030-12-31";

// ---- Values ------------------------------------------------------------------------------------

void Append(std::string& text, std::string_view more) {
  if (!more.empty()) {
    text += text.empty() ? "" : kSeparator;
    text += more;
  }
}

// Any value as text; lists and maps by their values, one behind the other.
Status AppendValue(Node node, std::string& text, int depth = 0) {
  std::string_view view;
  switch (node.kind()) {
    case Node::Kind::kString:
      DEALSTREAM_RETURN_IF_ERROR(node.String(view));
      Append(text, ToStd(absl::StripAsciiWhitespace(ToAbsl(view))));
      return absl::OkStatus();
    case Node::Kind::kNumber:
      DEALSTREAM_RETURN_IF_ERROR(node.Number(view));
      Append(text, view);
      return absl::OkStatus();
    case Node::Kind::kBool: {
      bool flag = false;
      DEALSTREAM_RETURN_IF_ERROR(node.Bool(flag));
      Append(text, flag ? "true" : "false");
      return absl::OkStatus();
    }
    case Node::Kind::kArray:
    case Node::Kind::kObject:
      if (depth == 4) {
        return node.Wrong("values within values within values", "a flatter value");
      }
      return ReadList(node, [&](Node element) { return AppendValue(element, text, depth + 1); });
    default:
      return node.Wrong("another value", "a text, number, flag or list");
  }
}

Status ReadTrimmed(Node node, std::string& text) {
  std::string_view view;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, view));
  text = ToStd(absl::StripAsciiWhitespace(ToAbsl(view)));
  return absl::OkStatus();
}

Status ReadTexts(Node node, std::vector<std::string>& texts) {
  return ReadList(node, [&texts](Node element) -> Status {
    std::string text;
    DEALSTREAM_RETURN_IF_ERROR(ReadTrimmed(element, text));
    if (!text.empty()) {
      texts.push_back(std::move(text));
    }
    return absl::OkStatus();
  });
}

Status ReadAmount(Node node, std::optional<Decimal>& amount) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(ReadText(node, text));
  auto parsed = ParseAmount(text);
  if (!parsed.ok()) {
    return node.Wrong(text.substr(0, 40), "an amount of money of at most 18 digits");
  }
  amount = *parsed;
  return absl::OkStatus();
}

void SetTime(absl::Time time, google::protobuf::Timestamp& timestamp) {
  timestamp.set_seconds(absl::ToUnixSeconds(time));
  timestamp.set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(timestamp.seconds()))));
}

// ---- Rows --------------------------------------------------------------------------------------

using CustomValues = std::vector<std::pair<std::string, std::string>>;

Status ReadCustom(std::string_view key, Node node, CustomValues& values) {
  std::string text;
  DEALSTREAM_RETURN_IF_ERROR(AppendValue(node, text));
  if (!text.empty()) {
    values.emplace_back(key, std::move(text));
  }
  return absl::OkStatus();
}

struct Card {
  CustomerRow row;
  std::string name;
  int64_t legal_type = 0;
  std::string legal_name;
  std::string note;
  std::string e_date;
  std::vector<std::string> phones;
  std::vector<std::string> emails;
  CustomValues custom;
};

Status ReadCard(Node node, const absl::TimeZone& zone, Card& card) {
  return node.Object([&](std::string_view key, Node value) -> Status {
    DEALSTREAM_ASSIGN_OR_RETURN(const bool taken, TakeCustomerField(key, value, zone, card.row));
    if (taken) {
      return absl::OkStatus();
    }
    if (key == "name") {
      return ReadTrimmed(value, card.name);
    }
    if (key == "legal_type") {
      return ReadId(value, card.legal_type);
    }
    if (key == "legal_name") {
      return ReadTrimmed(value, card.legal_name);
    }
    if (key == "note") {
      return ReadTrimmed(value, card.note);
    }
    if (key == "e_date") {
      return ReadTrimmed(value, card.e_date);
    }
    if (key == "phone") {
      return ReadTexts(value, card.phones);
    }
    if (key == "email") {
      return ReadTexts(value, card.emails);
    }
    return key.substr(0, 7) == "custom_" ? ReadCustom(key, value, card.custom) : absl::OkStatus();
  });
}

struct Payment {
  PayRow row;
  std::optional<Decimal> income;
  std::optional<Decimal> expenditure;
  std::optional<bool> confirmed;
  std::string currency;
  std::string payer_name;
  std::string note;
  CustomValues custom;

  // Nothing when the CRM gave no sum.
  Result<std::optional<Decimal>> ValueOf(PayKind kind) const;
  // Its own, else that of its branch, or of `branch` where it names none.
  std::string_view CurrencyIn(const Terms& terms, int64_t branch) const;
};

std::string_view Payment::CurrencyIn(const Terms& terms, int64_t branch) const {
  const std::string_view own =
      currency.size() == 3 ? domain::CurrencyCode(currency) : std::string_view();
  return own.empty() ? terms.CurrencyOf(row.branch_id > 0 ? row.branch_id : branch) : own;
}

Result<std::optional<Decimal>> Payment::ValueOf(PayKind kind) const {
  std::optional<Decimal> value = income;
  if (!value.has_value() || *value == Decimal()) {
    value = expenditure.has_value() ? expenditure : income;
  }
  if (kind == PayKind::kRefund && value.has_value() && *value > Decimal()) {
    DEALSTREAM_ASSIGN_OR_RETURN(value, Decimal::Subtract(Decimal(), *value));
  }
  return value;
}

Status ReadPayment(Node node, const absl::TimeZone& zone, Payment& pay) {
  return node.Object([&](std::string_view key, Node value) -> Status {
    DEALSTREAM_ASSIGN_OR_RETURN(const bool taken, TakePayField(key, value, zone, pay.row));
    if (taken) {
      return absl::OkStatus();
    }
    if (key == "income") {
      return ReadAmount(value, pay.income);
    }
    if (key == "expenditure" || key == "outcome") {
      // Two names of one sum: an empty one says nothing.
      std::optional<Decimal> sum;
      DEALSTREAM_RETURN_IF_ERROR(ReadAmount(value, sum));
      if (sum.has_value() && (!pay.expenditure.has_value() || *sum != Decimal())) {
        pay.expenditure = sum;
      }
      return absl::OkStatus();
    }
    if (key == "is_confirmed" || key == "confirmed") {
      return ReadFlag(value, pay.confirmed);
    }
    if (key == "currency") {
      return ReadTrimmed(value, pay.currency);
    }
    if (key == "payer_name") {
      return ReadTrimmed(value, pay.payer_name);
    }
    if (key == "note") {
      return ReadTrimmed(value, pay.note);
    }
    return key.substr(0, 7) == "custom_" ? ReadCustom(key, value, pay.custom) : absl::OkStatus();
  });
}

// ---- Names -------------------------------------------------------------------------------------

class Names {
 public:
  Status Read(json::Document& document, std::string_view body) {
    return document.Read(kNamesPart, body, [this](Node root) {
      return root.Object([this](std::string_view directory, Node value) -> Status {
        if (!IsDirectory(directory)) {
          return absl::OkStatus();
        }
        return value.Object([&](std::string_view id, Node name) -> Status {
          const auto number = ParseId(id);
          std::string_view text;
          if (number.has_value()) {
            DEALSTREAM_RETURN_IF_ERROR(name.String(text));
            names_.push_back({std::string(directory), *number, std::string(text)});
          }
          return absl::OkStatus();
        });
      });
    });
  }

  // Empty when it isn't known.
  std::string_view Of(std::string_view directory, int64_t id) const {
    const auto found = std::find_if(names_.begin(), names_.end(), [&](const Name& name) {
      return name.id == id && name.directory == directory;
    });
    return found == names_.end() ? std::string_view() : std::string_view(found->text);
  }

  std::string NameOrId(std::string_view directory, int64_t id) const {
    const std::string_view name = Of(directory, id);
    return !name.empty() ? std::string(name) : id > 0 ? fmt::format("{}", id) : std::string();
  }

 private:
  struct Name {
    std::string directory;
    int64_t id;
    std::string text;
  };
  std::vector<Name> names_;
};

// ---- Deals -------------------------------------------------------------------------------------

// One record on its way into a deal.
class Mapping {
 public:
  Mapping(const Terms& terms, Deal& deal) : terms_(terms), deal_(deal) { deal_.Clear(); }

  // The history and the names decide on what the rows mean: all parts are read before.
  Status Read(json::Document& document, const raw::v1::Record& record);
  Status Finish() { return pay_.has_value() ? FinishPay() : FinishLead(); }

 private:
  Status ReadPart(json::Document& document, const raw::v1::BodyPart& part);
  template <typename Row, typename ReadRow>
  Status ReadFirst(json::Document& document,
                   const raw::v1::BodyPart& part,
                   const ReadRow& read_row,
                   std::optional<Row>& row);
  Status FinishLead();
  Status FinishPay();
  Status SetSum();
  void SetPipeline(std::string_view name);
  void SetStage(std::string_view id, std::string_view name, deal::v1::StageKind kind);
  void SetLeadStage();
  bool IsArchived() const;
  template <typename List>
  bool IsAmong(const List& stages) const;
  void SetBranch(int64_t id);
  void SetResponsible();
  void SetContact();
  void AddField(std::string_view id, std::string_view name, std::string_view text);
  void AddTeachers();
  void AddCustom(const CustomValues& values);

  const Terms& terms_;
  Deal& deal_;
  std::optional<Card> card_;
  std::optional<Payment> pay_;
  // Of a lead.
  std::vector<Payment> pays_;
  absl::flat_hash_set<int64_t> pay_ids_;
  History history_;
  Names names_;
  // Phones that are no numbers.
  std::string phone_raw_;
};

template <typename Row, typename ReadRow>
Status Mapping::ReadFirst(json::Document& document,
                          const raw::v1::BodyPart& part,
                          const ReadRow& read_row,
                          std::optional<Row>& row) {
  PageHead head;
  DEALSTREAM_RETURN_IF_ERROR(document.Read(part.name(), part.body(), [&](Node root) {
    return ReadPage(root, head, [&](Node node) -> Status {
      if (row.has_value()) {
        return node.Wrong("a second row", "one row");
      }
      row.emplace();
      return read_row(node, terms_.zone, *row);
    });
  }));
  if (!row.has_value()) {
    return WithReason(
        absl::DataLossError(fmt::format("{}: items: got no row, want one", part.name())),
        json::kWrongShape);
  }
  return row->row.id > 0
             ? absl::OkStatus()
             : WithReason(absl::DataLossError(fmt::format(
                              "{}: items[0].id: got nothing, want a number", part.name())),
                          json::kWrongShape);
}

Status Mapping::ReadPart(json::Document& document, const raw::v1::BodyPart& part) {
  if (part.name() == kCustomerPart) {
    return ReadFirst(document, part, ReadCard, card_);
  }
  if (part.name() == kPayPart) {
    return ReadFirst(document, part, ReadPayment, pay_);
  }
  if (part.name() == kPaysPart) {
    PageHead head;
    return document.Read(part.name(), part.body(), [&](Node root) {
      return ReadPage(root, head, [&](Node node) -> Status {
        Payment pay;
        DEALSTREAM_RETURN_IF_ERROR(ReadPayment(node, terms_.zone, pay));
        // Pages may overlap.
        if (pay_ids_.insert(pay.row.id).second) {
          pays_.push_back(std::move(pay));
        }
        return absl::OkStatus();
      });
    });
  }
  if (part.name() == kHistoryPart) {
    DEALSTREAM_ASSIGN_OR_RETURN(history_, History::Parse(part.body()));
    return absl::OkStatus();
  }
  // A newer release may add parts; what they hold isn't ours to map.
  return part.name() == kNamesPart ? names_.Read(document, part.body()) : absl::OkStatus();
}

Status Mapping::Read(json::Document& document, const raw::v1::Record& record) {
  for (const raw::v1::BodyPart& part : record.parts()) {
    DEALSTREAM_RETURN_IF_ERROR(ReadPart(document, part));
  }
  if (!pay_.has_value() && !card_.has_value()) {
    return absl::InvalidArgumentError(fmt::format(
        "record: got neither a part \"{}\" nor \"{}\", want one", kCustomerPart, kPayPart));
  }
  return absl::OkStatus();
}

void Mapping::SetPipeline(std::string_view name) {
  auto& pipeline = *deal_.mutable_pipeline();
  pipeline.set_id(pay_.has_value() ? "upsell" : "first_sale");
  pipeline.set_name(name.data(), name.size());
}

void Mapping::SetStage(std::string_view id, std::string_view name, deal::v1::StageKind kind) {
  auto& stage = *deal_.mutable_stage();
  stage.set_id(id.data(), id.size());
  stage.set_name(name.data(), name.size());
  stage.set_kind(kind);
}

bool Mapping::IsArchived() const {
  // Compares as text; anything else than a date is none.
  const std::string_view date = card_->e_date;
  const auto parsed = ParseWireTime(date, terms_.zone);
  return parsed.has_value() && date.size() >= 10 && date[4] == '-' &&
         date.substr(0, 10) < kNotArchived;
}

template <typename List>
bool Mapping::IsAmong(const List& stages) const {
  return std::find(stages.begin(), stages.end(), card_->row.lead_status_id) != stages.end();
}

void Mapping::SetLeadStage() {
  const CustomerRow& row = card_->row;
  const bool won = row.IsClient();
  const bool refused = row.lead_reject_id > 0 || IsAmong(terms_.settings.reject_stages());
  if (won || (!refused && IsAmong(terms_.settings.success_stages()))) {
    SetStage("success", "Успешный этап", deal::v1::STAGE_KIND_WON);
    return;
  }
  // A lead in the archive is lost, whatever its stage.
  if (refused || IsArchived()) {
    SetStage("reject", "Отказной этап", deal::v1::STAGE_KIND_LOST);
    deal_.set_lost_reason(names_.NameOrId(kLeadRejects, row.lead_reject_id));
    return;
  }
  if (row.lead_status_id <= 0) {
    SetStage("none", "Без этапа", deal::v1::STAGE_KIND_OPEN);
    return;
  }
  const std::string_view name = names_.Of(kLeadStatuses, row.lead_status_id);
  SetStage(fmt::format("{}", row.lead_status_id),
           name.empty() ? fmt::format("Этап {}", row.lead_status_id) : std::string(name),
           deal::v1::STAGE_KIND_OPEN);
}

void Mapping::SetBranch(int64_t id) {
  if (id <= 0) {
    return;
  }
  auto& branch = *deal_.mutable_branch();
  branch.set_id(fmt::format("{}", id));
  const std::string_view name = names_.Of(kBranches, id);
  branch.set_name(name.data(), name.size());
}

void Mapping::SetResponsible() {
  if (!card_.has_value() || card_->row.assigned_id <= 0) {
    return;
  }
  auto& responsible = *deal_.mutable_responsible();
  responsible.set_id(fmt::format("{}", card_->row.assigned_id));
  const std::string_view name = names_.Of(kUsers, card_->row.assigned_id);
  responsible.set_name(name.data(), name.size());
}

void Mapping::SetContact() {
  if (!card_.has_value()) {
    return;
  }
  auto& contact = *deal_.add_contacts();
  contact.set_id(fmt::format("{}", card_->row.id));
  contact.set_kind(card_->legal_type == 2 ? deal::v1::CONTACT_KIND_COMPANY
                                          : deal::v1::CONTACT_KIND_PERSON);
  contact.set_name(card_->name);
  for (const std::string& phone : card_->phones) {
    const int before = contact.phones_size();
    domain::AddPhones(phone, terms_.settings.phone_region(), contact);
    const bool unread =
        contact.phones_size() == before
            ? domain::ParsePhones(phone, terms_.settings.phone_region()).empty()
            : std::any_of(contact.phones().begin() + before,
                          contact.phones().end(),
                          [](const deal::v1::Phone& one) { return one.e164().empty(); });
    if (unread) {
      Append(phone_raw_, phone);
    }
  }
  for (const std::string& email : card_->emails) {
    domain::AddEmails(email, contact);
  }
}

void Mapping::AddField(std::string_view id, std::string_view name, std::string_view text) {
  if (text.empty()) {
    return;
  }
  auto& field = *deal_.add_custom_fields();
  field.set_id(id.data(), id.size());
  field.set_name(name.data(), name.size());
  field.set_text(text.data(), text.size());
}

void Mapping::AddTeachers() {
  std::string teachers;
  for (const int64_t id : card_->row.teacher_ids) {
    Append(teachers, names_.NameOrId(kTeachers, id));
  }
  AddField("teacher", "Учитель", teachers);
}

void Mapping::AddCustom(const CustomValues& values) {
  for (const auto& [key, text] : values) {
    AddField(key, key, text);
  }
}

Status Mapping::SetSum() {
  const auto& branches = card_->row.branch_ids;
  const int64_t branch = branches.empty() ? 0 : branches.front();
  Decimal sum;
  std::string_view currency;
  for (const Payment& pay : pays_) {
    const PayKind kind = terms_.KindOf(pay.row.pay_type_id);
    if (kind == PayKind::kNotCounted ||
        history_.IsUpsell(pay.row.MadeAt(history_), card_->row.IsClient())) {
      continue;
    }
    DEALSTREAM_ASSIGN_OR_RETURN(const std::optional<Decimal> value, pay.ValueOf(kind));
    if (!value.has_value()) {
      continue;
    }
    const std::string_view own = pay.CurrencyIn(terms_, branch);
    if (!currency.empty() && own != currency) {
      // Roubles and tenge have no sum.
      return absl::OkStatus();
    }
    currency = own;
    DEALSTREAM_ASSIGN_OR_RETURN(const Decimal negative, Decimal::Subtract(Decimal(), *value));
    DEALSTREAM_ASSIGN_OR_RETURN(sum, Decimal::Subtract(sum, negative));
  }
  if (!currency.empty()) {
    sum.ToMoney(currency, *deal_.mutable_amount());
  }
  return absl::OkStatus();
}

Status Mapping::FinishLead() {
  const CustomerRow& row = card_->row;
  deal_.set_title(card_->name.empty() ? fmt::format("Лид №{}", row.id) : card_->name);
  SetPipeline(kFirstSale);
  SetLeadStage();
  DEALSTREAM_RETURN_IF_ERROR(SetSum());
  SetBranch(row.branch_ids.empty() ? 0 : row.branch_ids.front());
  SetResponsible();
  SetContact();
  AddField("lead_status", "Этап", names_.NameOrId(kLeadStatuses, row.lead_status_id));
  AddField("lead_source", "Источник", names_.NameOrId(kLeadSources, row.lead_source_id));
  AddField("reject_reason", "Причина отказа", names_.NameOrId(kLeadRejects, row.lead_reject_id));
  AddField("study_status", "Статус обучения", names_.NameOrId(kStudyStatuses, row.study_status_id));
  AddTeachers();
  if (!row.branch_ids.empty()) {
    AddField("branch", "Филиал", names_.NameOrId(kBranches, row.branch_ids.front()));
  }
  if (row.branch_ids.size() > 1) {
    std::string branches;
    for (const int64_t id : row.branch_ids) {
      Append(branches, names_.NameOrId(kBranches, id));
    }
    AddField("branches", "Филиалы", branches);
  }
  AddField("legal_name", "Заказчик", card_->legal_name);
  AddField("note", "Примечание", card_->note);
  AddField("phone_raw", "Телефон как есть", phone_raw_);
  AddCustom(card_->custom);
  if (const auto made = row.MadeAt(history_)) {
    SetTime(*made, *deal_.mutable_created_at());
  }
  if (const auto changed = row.ChangedAt(history_)) {
    SetTime(*changed, *deal_.mutable_updated_at());
  }
  return absl::OkStatus();
}

Status Mapping::FinishPay() {
  const PayRow& row = pay_->row;
  const bool named = card_.has_value() && !card_->name.empty();
  deal_.set_title(named ? fmt::format("Платёж №{}: {}", row.id, card_->name)
                        : fmt::format("Платёж №{}", row.id));
  SetPipeline(kUpsell);
  const PayKind kind = terms_.KindOf(row.pay_type_id);
  DEALSTREAM_ASSIGN_OR_RETURN(const std::optional<Decimal> value, pay_->ValueOf(kind));
  // A refund is won: so the sums of won deals give the net revenue.
  if (kind == PayKind::kRefund || (value.has_value() && *value < Decimal())) {
    SetStage("refund", "Возврат", deal::v1::STAGE_KIND_WON);
  } else if (pay_->confirmed == false) {
    SetStage("unconfirmed", "Ожидает подтверждения", deal::v1::STAGE_KIND_OPEN);
  } else {
    SetStage("paid", "Оплата", deal::v1::STAGE_KIND_WON);
  }
  if (value.has_value()) {
    value->ToMoney(pay_->CurrencyIn(terms_, row.branch_id), *deal_.mutable_amount());
  }
  SetBranch(row.branch_id);
  SetResponsible();
  SetContact();
  AddField("pay_type", "Тип платежа", names_.NameOrId(kPayTypes, row.pay_type_id));
  AddField("pay_account", "Касса", names_.NameOrId(kPayAccounts, row.pay_account_id));
  AddField("pay_item", "Статья", names_.NameOrId(kPayItems, row.pay_item_id));
  AddField("payer_name", "Плательщик", pay_->payer_name);
  AddField("note", "Примечание", pay_->note);
  if (row.document_date.has_value()) {
    AddField("document_date",
             "Дата документа",
             absl::FormatTime("%Y-%m-%d", row.document_date->time, terms_.zone));
  }
  if (card_.has_value()) {
    AddTeachers();
  }
  AddField("branch", "Филиал", names_.NameOrId(kBranches, row.branch_id));
  AddField("phone_raw", "Телефон как есть", phone_raw_);
  AddCustom(pay_->custom);
  if (const absl::Time made = row.MadeAt(history_); made != absl::InfinitePast()) {
    SetTime(made, *deal_.mutable_created_at());
  }
  if (const absl::Time changed = row.ChangedAt(history_); changed != absl::InfinitePast()) {
    SetTime(changed, *deal_.mutable_updated_at());
  }
  return absl::OkStatus();
}

}  // namespace

Status Mapper::Map(const raw::v1::Record& record, Deal& deal) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const Terms* terms, TermsInForce(record.settings()));
  // The parser's memory is used again for every record of this thread.
  thread_local json::Document document;
  Mapping mapping(*terms, deal);
  DEALSTREAM_RETURN_IF_ERROR(mapping.Read(document, record));
  return mapping.Finish();
}

}  // namespace dealstream::crm::alfacrm
