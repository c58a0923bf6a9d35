#include "libs/crm/hollihop/deal_mapper.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/hollihop/budget.h"
#include "libs/crm/hollihop/settings.h"
#include "libs/crm/hollihop/text.h"
#include "libs/crm/hollihop/wire.h"
#include "libs/domain/contact.h"
#include "libs/domain/money.h"

namespace dealstream::crm::hollihop {
namespace {

using deal::v1::Contact;
using deal::v1::CustomField;
using deal::v1::Deal;
using json::Node;

Status ReadText(Node node, std::string_view& text) { return node.String(text); }

// A text, number or boolean as it is written.
Status ReadScalar(Node node, std::string_view& text) {
  switch (node.kind()) {
    case Node::Kind::kString:
      return node.String(text);
    case Node::Kind::kNumber:
      return node.Number(text);
    case Node::Kind::kBool: {
      bool flag = false;
      DEALSTREAM_RETURN_IF_ERROR(node.Bool(flag));
      text = flag ? "true" : "false";
      return absl::OkStatus();
    }
    default:
      return node.Wrong("another value", "a string, number or boolean");
  }
}

// An empty text is an absent time.
Status ReadTime(Node node, std::optional<LocalTime>& time) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(node.String(text));
  LocalTime parsed;
  if (text.empty()) {
    return absl::OkStatus();
  }
  if (!ParseLocalTime(text, parsed)) {
    return node.Wrong("another text", "a time as \"2025-09-03T18:02:07\"");
  }
  time = parsed;
  return absl::OkStatus();
}

// A sum in whatever form; what can't be read as one is none.
void ReadSum(Node node, std::optional<Sum>& sum) {
  std::string_view text;
  Sum parsed;
  if (node.kind() == Node::Kind::kNumber && node.Number(text).ok()) {
    if (auto value = domain::Decimal::ParseRounded(text, 0); value.ok()) {
      sum = Sum{*value, {}};
    }
  } else if (node.kind() == Node::Kind::kString && node.String(text).ok() &&
             ParseSum(text, parsed)) {
    sum = parsed;
  }
}

struct Named {
  std::string_view id;
  std::string_view name;
};

// {Id, <name>}
Status ReadNamed(Node node, std::string_view name_key, Named& named) {
  return node.Object([&](std::string_view key, Node value) -> Status {
    if (key == "Id") {
      return ReadScalar(value, named.id);
    }
    return key == name_key ? ReadText(value, named.name) : absl::OkStatus();
  });
}

// A person of whom the lead or one of its agents has the fields.
struct Person {
  std::string_view first;
  std::string_view last;
  std::string_view middle;
  std::string_view mobile;
  std::string_view phone;
  std::string_view email;
};

struct PersonField {
  std::string_view key;
  std::string_view Person::*text;
};
constexpr auto kPersonFields = std::to_array<PersonField>({
    {"FirstName", &Person::first},
    {"LastName", &Person::last},
    {"MiddleName", &Person::middle},
    {"Mobile", &Person::mobile},
    {"Phone", &Person::phone},
    {"EMail", &Person::email},
});

// Null: the key is none of a person.
std::string_view* FindText(Person& person, std::string_view key) {
  const auto* field = std::find_if(kPersonFields.begin(),
                                   kPersonFields.end(),
                                   [key](const PersonField& one) { return one.key == key; });
  return field == kPersonFields.end() ? nullptr : &(person.*(field->text));
}

std::string FullName(const Person& person) {
  std::string name;
  for (std::string_view part : {person.last, person.first, person.middle}) {
    part = Trim(part);
    if (!part.empty() && !name.empty()) {
      name += ' ';
    }
    name += part;
  }
  return Composed(name);
}

// What a lead says, as views into the document.
struct Lead {
  std::string_view id;
  std::optional<LocalTime> created;
  std::optional<LocalTime> updated;
  Person person;
  std::string_view status_id;
  std::string_view status;
  std::string_view discipline;
  std::string_view level;
  std::string_view maturity;
  std::string_view learning_type;
  std::string_view ad_source;
  std::string_view address_date;
  std::string_view student_client_id;
  std::string_view reject_reason;
  std::string_view refuse_reason;
  std::string_view budget_currency;
  std::optional<Sum> budget_quantity;
  std::optional<Sum> budget;
  Named branch;
  std::vector<Named> assignees;
  // Names and values of the additional fields.
  std::vector<std::pair<std::string_view, std::string_view>> extras;
};

struct LeadField {
  std::string_view key;
  std::string_view Lead::*text;
};
constexpr auto kLeadTexts = std::to_array<LeadField>({
    {"Status", &Lead::status},
    {"Discipline", &Lead::discipline},
    {"Level", &Lead::level},
    {"Maturity", &Lead::maturity},
    {"LearningType", &Lead::learning_type},
    {"AdSource", &Lead::ad_source},
    {"AddressDate", &Lead::address_date},
    {"RejectReason", &Lead::reject_reason},
    {"RefuseReason", &Lead::refuse_reason},
    {"BudgetCurrency", &Lead::budget_currency},
});
// Numbers; public code has seen some of them as texts.
constexpr auto kLeadScalars = std::to_array<LeadField>({
    {"Id", &Lead::id},
    {"StatusId", &Lead::status_id},
    {"StudentClientId", &Lead::student_client_id},
});

template <typename Fields>
std::string_view* FindText(const Fields& fields, Lead& lead, std::string_view key) {
  const auto* field = std::find_if(
      fields.begin(), fields.end(), [key](const LeadField& one) { return one.key == key; });
  return field == fields.end() ? nullptr : &(lead.*(field->text));
}

// An entry of the dictionary of statuses.
struct StatusEntry {
  std::string_view id;
  std::string_view name;
  std::string_view type;
};

Status ReadEntry(Node root, StatusEntry& entry) {
  return root.Object([&entry](std::string_view key, Node value) -> Status {
    if (key == "Id") {
      return ReadScalar(value, entry.id);
    }
    if (key == "Name") {
      return ReadText(value, entry.name);
    }
    return key == "Type" ? ReadScalar(value, entry.type) : absl::OkStatus();
  });
}

bool Contains(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

// How the API spells the kinds isn't published. Source: README.md#statuses, inferred.
std::optional<deal::v1::StageKind> KindOfType(std::string_view type) {
  static constexpr auto kWon = std::to_array<std::string_view>(
      {"success", "successful", "finishsuccess", "finalsuccess", "won"});
  static constexpr auto kLost = std::to_array<std::string_view>(
      {"fail", "failed", "failure", "unsuccessful", "finishfail", "finalfail", "lost"});
  static constexpr auto kOpen = std::to_array<std::string_view>({"inprocess",
                                                                 "inprogress",
                                                                 "process",
                                                                 "work",
                                                                 "working",
                                                                 "в процессе",
                                                                 "delayed",
                                                                 "deferred",
                                                                 "postponed",
                                                                 "pending",
                                                                 "отложенный"});
  const std::string folded = Folded(Trim(type));
  const auto is_in = [&folded](const auto& words) {
    return std::find(words.begin(), words.end(), folded) != words.end();
  };
  // "неуспешный" holds "успешный".
  if (is_in(kLost) || Contains(folded, "неуспешн")) {
    return deal::v1::STAGE_KIND_LOST;
  }
  if (is_in(kWon) || Contains(folded, "успешн")) {
    return deal::v1::STAGE_KIND_WON;
  }
  return is_in(kOpen) ? std::optional(deal::v1::STAGE_KIND_OPEN) : std::nullopt;
}

deal::v1::StageKind KindOfName(std::string_view name) {
  const std::string folded = Folded(name);
  if (Contains(folded, "отказ") || Contains(folded, "неуспеш")) {
    return deal::v1::STAGE_KIND_LOST;
  }
  return Contains(folded, "успеш") || Contains(folded, "оплат") ? deal::v1::STAGE_KIND_WON
                                                                : deal::v1::STAGE_KIND_OPEN;
}

deal::v1::StageKind KindOf(const Settings& settings,
                           std::string_view id,
                           std::string_view type,
                           std::string_view name) {
  if (const auto kind = KindOfType(type); kind.has_value()) {
    return *kind;
  }
  const auto given = std::find_if(settings.stage_kinds.begin(),
                                  settings.stage_kinds.end(),
                                  [id](const auto& kind) { return kind.first == id; });
  return given != settings.stage_kinds.end() ? given->second : KindOfName(name);
}

void SetTime(absl::Time time, google::protobuf::Timestamp& timestamp) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

// One record on its way into a deal.
class Mapping {
 public:
  Mapping(const Settings& settings, Deal& deal) : settings_(settings), deal_(deal) {}

  Status ReadLead(Node root) {
    has_lead_ = true;
    // Of a part that was read before, nothing is valid any more.
    lead_ = Lead();
    deal_.Clear();
    // The lead's own; filled, or dropped, by Finish. Those of its agents may come before its name.
    deal_.add_contacts();
    return root.Object([this](std::string_view key, Node value) -> Status {
      if (std::string_view* text = FindText(lead_.person, key)) {
        return ReadText(value, *text);
      }
      if (std::string_view* text = FindText(kLeadTexts, lead_, key)) {
        return ReadText(value, *text);
      }
      if (std::string_view* text = FindText(kLeadScalars, lead_, key)) {
        return ReadScalar(value, *text);
      }
      return ReadOther(key, value);
    });
  }

  Status ReadStatus(Node root) {
    status_ = StatusEntry();
    return ReadEntry(root, status_);
  }

  Status Finish() {
    if (!has_lead_) {
      return absl::InvalidArgumentError(
          fmt::format("record: got no part \"{}\", want one", kLeadPart));
    }
    if (lead_.id.empty()) {
      return absl::DataLossError("lead: Id: got nothing, want a number");
    }
    if (!IsId(lead_.id)) {
      return absl::DataLossError("lead: Id: got another value, want an id of at most 18 digits");
    }
    SetTitleAndContact();
    SetAmount();
    SetBranchAndPipeline();
    SetStage();
    SetResponsible();
    SetCustomFields();
    SetTimes();
    return absl::OkStatus();
  }

 private:
  Status ReadOther(std::string_view key, Node value) {
    if (key == "Created") {
      return ReadTime(value, lead_.created);
    }
    if (key == "Updated") {
      return ReadTime(value, lead_.updated);
    }
    if (key == "Budget") {
      ReadSum(value, lead_.budget);
    } else if (key == "BudgetQuantity") {
      ReadSum(value, lead_.budget_quantity);
    } else if (key == "Agents") {
      return value.Array([this](Node agent) { return ReadAgent(agent); });
    } else if (key == "OfficesAndCompanies") {
      return ReadBranches(value);
    } else if (key == "Assignees") {
      return value.Array([this](Node assignee) {
        return ReadNamed(assignee, "FullName", lead_.assignees.emplace_back());
      });
    } else if (key == "ExtraFields") {
      return value.Array([this](Node field) { return ReadExtra(field); });
    }
    return absl::OkStatus();
  }

  Status ReadAgent(Node node) {
    Person agent;
    DEALSTREAM_RETURN_IF_ERROR(node.Object([&agent](std::string_view key, Node value) -> Status {
      std::string_view* text = FindText(agent, key);
      return text != nullptr ? ReadText(value, *text) : absl::OkStatus();
    }));
    if (!FillContact(agent, FullName(agent), *deal_.add_contacts())) {
      deal_.mutable_contacts()->RemoveLast();
    }
    return absl::OkStatus();
  }

  // The first one counts.
  Status ReadBranches(Node node) {
    bool is_first = true;
    return node.Array([&](Node branch) -> Status {
      Named read;
      DEALSTREAM_RETURN_IF_ERROR(ReadNamed(branch, "Name", read));
      if (is_first) {
        lead_.branch = read;
      }
      is_first = false;
      return absl::OkStatus();
    });
  }

  Status ReadExtra(Node node) {
    std::string_view name;
    std::string_view text;
    DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, Node value) -> Status {
      if (key == "Name") {
        return ReadText(value, name);
      }
      return key == "Value" ? ReadScalar(value, text) : absl::OkStatus();
    }));
    if (!Trim(text).empty()) {
      lead_.extras.emplace_back(Trim(name), Trim(text));
    }
    return absl::OkStatus();
  }

  // False when nothing is known of them.
  bool FillContact(const Person& person, std::string name, Contact& contact) const {
    contact.set_kind(deal::v1::CONTACT_KIND_PERSON);
    contact.set_name(std::move(name));
    // Mobile is the main one.
    domain::AddPhones(person.mobile, settings_.values.phone_region(), contact);
    domain::AddPhones(person.phone, settings_.values.phone_region(), contact);
    domain::AddEmails(person.email, contact);
    return !contact.name().empty() || contact.phones_size() > 0 || contact.emails_size() > 0;
  }

  void SetTitleAndContact() {
    std::string name = FullName(lead_.person);
    deal_.set_title(name.empty() ? fmt::format("Лид №{}", lead_.id) : name);
    Contact& contact = *deal_.mutable_contacts(0);
    if (FillContact(lead_.person, std::move(name), contact)) {
      contact.set_id(lead_.id.data(), lead_.id.size());
    } else {
      deal_.mutable_contacts()->DeleteSubrange(0, 1);
    }
  }

  // The field of that name, which is an additional one.
  std::string_view Extra(std::string_view name) const {
    const auto found =
        std::find_if(lead_.extras.begin(), lead_.extras.end(), [name](const auto& extra) {
          return SameName(extra.first, name);
        });
    return found == lead_.extras.end() ? std::string_view() : found->second;
  }

  // Where the sum stands isn't published: the first that can be read counts. Source:
  // README.md#budget, inferred.
  void SetAmount() {
    Sum extra;
    const bool has_extra = ParseSum(Extra(settings_.values.budget_field()), extra);
    const Sum* sum = lead_.budget_quantity.has_value() ? &*lead_.budget_quantity
                     : lead_.budget.has_value()        ? &*lead_.budget
                     : has_extra                       ? &extra
                                                       : nullptr;
    if (sum == nullptr) {
      return;
    }
    is_budget_known_ = true;
    std::string_view currency = CurrencyOfMark(lead_.budget_currency);
    if (currency.empty()) {
      currency = sum->currency.empty() ? settings_.values.currency() : sum->currency;
    }
    sum->value.ToMoney(currency, *deal_.mutable_amount());
  }

  void SetBranchAndPipeline() {
    const std::string name = Composed(lead_.branch.name);
    auto& pipeline = *deal_.mutable_pipeline();
    pipeline.set_id(kDefaultPipelineId.data(), kDefaultPipelineId.size());
    pipeline.set_name(kDefaultPipelineName.data(), kDefaultPipelineName.size());
    if (name.empty()) {
      return;
    }
    auto& branch = *deal_.mutable_branch();
    branch.set_id(lead_.branch.id.data(), lead_.branch.id.size());
    branch.set_name(name);
    if (!settings_.values.default_pipeline()) {
      pipeline.set_id(branch.id().empty() ? name : branch.id());
      pipeline.set_name(name);
    }
  }

  void SetStage() {
    if (lead_.status_id.empty()) {
      return;
    }
    // A deleted status may still stand in a lead, and is in no dictionary.
    const bool is_known = status_.id == lead_.status_id;
    const std::string_view known_name = is_known ? Trim(status_.name) : std::string_view();
    const std::string name = Composed(known_name.empty() ? lead_.status : known_name);
    auto& stage = *deal_.mutable_stage();
    stage.set_id(lead_.status_id.data(), lead_.status_id.size());
    stage.set_kind(
        KindOf(settings_, lead_.status_id, is_known ? status_.type : std::string_view(), name));
    stage.set_name(name);
  }

  // The first one; the names of all where there are more.
  void SetResponsible() {
    std::string names;
    int count = 0;
    for (const Named& assignee : lead_.assignees) {
      const std::string name = Composed(assignee.name);
      if (assignee.id.empty() && name.empty()) {
        continue;
      }
      if (++count == 1) {
        auto& responsible = *deal_.mutable_responsible();
        responsible.set_id(assignee.id.data(), assignee.id.size());
        responsible.set_name(name);
      } else {
        names += "; ";
      }
      names += name;
    }
    if (count > 1) {
      assignees_ = std::move(names);
    }
  }

  void AddField(std::string_view id, std::string_view name, std::string_view value) {
    std::string text = Composed(value);
    if (text.empty()) {
      return;
    }
    CustomField& field = *deal_.add_custom_fields();
    field.set_id(id.data(), id.size());
    field.set_name(name.data(), name.size());
    field.set_text(std::move(text));
  }

  // A date that can't be read stays a text.
  void AddDate(std::string_view id, std::string_view name, std::string_view value) {
    LocalTime time;
    if (!ParseLocalTime(value, time)) {
      AddField(id, name, value);
      return;
    }
    CustomField& field = *deal_.add_custom_fields();
    field.set_id(id.data(), id.size());
    field.set_name(name.data(), name.size());
    SetTime(time.In(settings_.zone), *field.mutable_time());
  }

  std::string_view RejectReason() const {
    for (std::string_view reason : {lead_.reject_reason, lead_.refuse_reason}) {
      if (!Trim(reason).empty()) {
        return Trim(reason);
      }
    }
    return Extra(settings_.values.reject_reason_field());
  }

  void SetCustomFields() {
    const std::string_view reject_reason = RejectReason();
    deal_.set_lost_reason(Composed(reject_reason));
    AddField("discipline", "Дисциплина", lead_.discipline);
    AddField("level", "Уровень", lead_.level);
    AddField("category", "Категория", lead_.maturity);
    AddField("reject_reason", "Причина отказа", reject_reason);
    AddField("learning_type", "Тип обучения", lead_.learning_type);
    AddField("ad_source", "Рекламный источник", lead_.ad_source);
    AddDate("address_date", "Дата обращения", lead_.address_date);
    AddField("student_client_id", "Ученик", lead_.student_client_id);
    AddField("assignees", "Ответственные", assignees_);
    for (const auto& [name, value] : lead_.extras) {
      // A budget that could not be read as a sum is shown as it is.
      const bool is_told = (is_budget_known_ && SameName(name, settings_.values.budget_field())) ||
                           SameName(name, settings_.values.reject_reason_field());
      if (!is_told) {
        const std::string composed = Composed(name);
        AddField(fmt::format("extra:{}", composed), composed, value);
      }
    }
  }

  void SetTimes() {
    const auto& updated = lead_.updated.has_value() ? lead_.updated : lead_.created;
    if (lead_.created.has_value()) {
      SetTime(lead_.created->In(settings_.zone), *deal_.mutable_created_at());
    }
    if (updated.has_value()) {
      SetTime(updated->In(settings_.zone), *deal_.mutable_updated_at());
    }
  }

  const Settings& settings_;
  Deal& deal_;
  Lead lead_;
  StatusEntry status_;
  std::string assignees_;
  bool has_lead_ = false;
  bool is_budget_known_ = false;
};

}  // namespace

Status Mapper::Map(const raw::v1::Record& record, Deal& deal) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const Settings* settings, SettingsInForce(record.settings()));
  // The parsers' memory is used again for every record of this thread; what was read refers to it.
  thread_local json::Document lead;
  thread_local json::Document status;
  Mapping mapping(*settings, deal);
  for (const raw::v1::BodyPart& part : record.parts()) {
    // A newer release may add parts; what they hold isn't ours to map.
    if (part.name() == kLeadPart) {
      DEALSTREAM_RETURN_IF_ERROR(lead.Read(
          kLeadPart, part.body(), [&mapping](Node root) { return mapping.ReadLead(root); }));
    } else if (part.name() == kStatusPart) {
      DEALSTREAM_RETURN_IF_ERROR(status.Read(
          kStatusPart, part.body(), [&mapping](Node root) { return mapping.ReadStatus(root); }));
    }
  }
  return mapping.Finish();
}

}  // namespace dealstream::crm::hollihop
