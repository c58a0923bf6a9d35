#include "libs/crm/moysklad/deal_mapper.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/moysklad/settings.h"
#include "libs/crm/moysklad/wire.h"
#include "libs/domain/contact.h"
#include "libs/domain/money.h"

namespace dealstream::crm::moysklad {
namespace {

using deal::v1::Contact;
using deal::v1::CustomField;
using deal::v1::Deal;
using deal::v1::Item;
using domain::Decimal;
using json::Node;

// Money comes in hundredths of the unit, whatever the currency. Source: README.md#money.
constexpr int kHundredths = 2;

// Fields that most references have, as views into the document.
struct Reference {
  std::string_view href;
  std::string_view type;
  std::string_view id;
  std::string_view name;

  // The href ends in it, and unexpanded references have nothing else.
  std::string_view Id() const { return id.empty() ? IdOfHref(href) : id; }
};

Status ReadMeta(Node node, Reference& reference) {
  return node.Object([&](std::string_view key, Node value) -> Status {
    if (key == "href") {
      return value.RawString(reference.href);
    }
    if (key == "type") {
      return value.RawString(reference.type);
    }
    return absl::OkStatus();
  });
}

// `other(key, node)` gets the fields that are not of Reference.
template <typename Other>
Status ReadReference(Node node, Reference& reference, Other&& other) {
  return node.Object([&](std::string_view key, Node value) -> Status {
    if (key == "meta") {
      return ReadMeta(value, reference);
    }
    if (key == "id") {
      return value.RawString(reference.id);
    }
    if (key == "name") {
      return value.String(reference.name);
    }
    return other(key, value);
  });
}

Status ReadReference(Node node, Reference& reference) {
  return ReadReference(node, reference, [](std::string_view, Node) { return absl::OkStatus(); });
}

// False when the text is no time.
bool SetTime(std::string_view text, google::protobuf::Timestamp& timestamp) {
  absl::Time time;
  if (!ParseMoscowTime(text, time)) {
    return false;
  }
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return true;
}

Status ReadTime(Node node, google::protobuf::Timestamp& timestamp) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(node.String(text));
  return SetTime(text, timestamp)
             ? absl::OkStatus()
             : node.Wrong("another text", "a time as \"2026-03-02 15:31:47.915\"");
}

// A number divided by 10^shift. The CRM computes with binary floats and may write 17 digits: what
// is finer than a billionth is rounded.
Status ReadDecimal(Node node, int shift, Decimal& decimal) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(node.Number(text));
  auto parsed = Decimal::ParseRounded(text, shift);
  if (!parsed.ok()) {
    return node.Wrong(text.substr(0, 40), "a decimal number of at most 18 digits before the point");
  }
  decimal = *parsed;
  return absl::OkStatus();
}

// quantity x price less discount; false when it is too large to be known.
bool LineTotal(const Decimal& quantity,
               const Decimal& price,
               const Decimal& discount,
               Decimal& total) {
  auto sum = Decimal::Multiply(quantity, price);
  if (!sum.ok()) {
    return false;
  }
  total = *sum;
  if (discount == Decimal()) {
    return true;
  }
  auto part = Decimal::Multiply(*sum, discount);
  if (!part.ok()) {
    return false;
  }
  auto percent = Decimal::Multiply(*part, Decimal::FromNanos(10'000'000));
  auto less = percent.ok() ? Decimal::Subtract(*sum, *percent) : percent;
  if (!less.ok()) {
    return false;
  }
  total = *less;
  return true;
}

deal::v1::StageKind StageKindOf(std::string_view type) {
  if (type == "Successful") {
    return deal::v1::STAGE_KIND_WON;
  }
  if (type == "Unsuccessful") {
    return deal::v1::STAGE_KIND_LOST;
  }
  // "Regular", what is absent and what a later release of theirs may add.
  return deal::v1::STAGE_KIND_OPEN;
}

deal::v1::ItemKind ItemKindOf(std::string_view type) {
  if (type == "product") {
    return deal::v1::ITEM_KIND_PRODUCT;
  }
  return type == "service" ? deal::v1::ITEM_KIND_SERVICE : deal::v1::ITEM_KIND_OTHER;
}

deal::v1::ContactKind ContactKindOf(const Reference& agent, std::string_view company_type) {
  if (company_type.starts_with("individual")) {
    return deal::v1::CONTACT_KIND_PERSON;
  }
  // An expanded counterparty without a type has the default one, "legal".
  const bool known = !company_type.empty() || !agent.name.empty() || agent.type == "organization";
  return known ? deal::v1::CONTACT_KIND_COMPANY : deal::v1::CONTACT_KIND_UNSPECIFIED;
}

// The value of an additional field as it is written, before its type is known: the type may come
// behind it.
struct AttributeValue {
  Node::Kind kind = Node::Kind::kNull;
  std::string_view text;
  bool flag = false;
  Reference reference;
};

Status ReadAttributeValue(Node node, AttributeValue& value) {
  value.kind = node.kind();
  switch (value.kind) {
    case Node::Kind::kString:
      return node.String(value.text);
    case Node::Kind::kNumber:
      return node.Number(value.text);
    case Node::Kind::kBool:
      return node.Bool(value.flag);
    case Node::Kind::kObject:
      return ReadReference(node, value.reference);
    default:
      return node.Wrong("an array", "a string, number, boolean or reference");
  }
}

bool SetNumber(std::string_view text, CustomField& field) {
  auto plain = domain::PlainDecimal(text);
  if (plain.ok()) {
    field.set_number(*std::move(plain));
  }
  return plain.ok();
}

// A text by its field's type; one that its type can't hold stays a text.
void SetText(std::string_view type, std::string_view text, CustomField& field) {
  if (type == "time" && SetTime(text, *field.mutable_time())) {
    return;
  }
  // Old answers have whole numbers as strings. Source: README.md#fields.
  if ((type == "long" || type == "double") && SetNumber(text, field)) {
    return;
  }
  if (type == "link") {
    field.set_link(text.data(), text.size());
  } else if (type == "file") {
    field.set_file_name(text.data(), text.size());
  } else {
    field.set_text(text.data(), text.size());
  }
}

void SetValue(std::string_view type, const AttributeValue& value, CustomField& field) {
  switch (value.kind) {
    case Node::Kind::kString:
      SetText(type, value.text, field);
      return;
    case Node::Kind::kNumber:
      if (!SetNumber(value.text, field)) {
        field.set_text(value.text.data(), value.text.size());
      }
      return;
    case Node::Kind::kBool:
      field.set_flag(value.flag);
      return;
    case Node::Kind::kObject: {
      auto& reference = *field.mutable_reference();
      const std::string_view id = value.reference.Id();
      reference.set_id(id.data(), id.size());
      reference.set_name(value.reference.name.data(), value.reference.name.size());
      return;
    }
    default:
      field.clear_value();
  }
}

// Fills a list over its old elements: a message that is cleared frees the messages within, and that
// costs more than to read them.
template <typename T>
class Filling {
 public:
  explicit Filling(google::protobuf::RepeatedPtrField<T>& list) : list_(list) {}

  // May hold old values: the caller sets or clears each field.
  T& Next() {
    ++used_;
    return used_ <= list_.size() ? *list_.Mutable(used_ - 1) : *list_.Add();
  }
  void CutRest() {
    while (list_.size() > used_) {
      list_.RemoveLast();
    }
  }

 private:
  google::protobuf::RepeatedPtrField<T>& list_;
  int used_ = 0;
};

// One record on its way into a deal.
class Mapping {
 public:
  // Old values of what is not cleared here are overwritten, or cleared by Finish.
  Mapping(const v1::Settings& settings, Deal& deal)
      : settings_(settings),
        deal_(deal),
        contacts_(*deal.mutable_contacts()),
        items_(*deal.mutable_items()),
        fields_(*deal.mutable_custom_fields()) {
    deal.clear_id();
    deal.clear_integration_id();
    deal.clear_account_id();
    deal.clear_crm();
    deal.clear_external_id();
    deal.clear_title();
    deal.clear_lost_reason();
    deal.clear_url();
    deal.clear_closed_at();
    deal.clear_deleted();
  }

  Status ReadPart(json::Document& document, const raw::v1::BodyPart& part) {
    if (part.name() == kOrderPart) {
      has_order_ = true;
      return document.Read(part.name(), part.body(), [this](Node root) { return ReadOrder(root); });
    }
    if (part.name() == kPositionsPart) {
      several_pages_ = true;
      return document.Read(
          part.name(), part.body(), [this](Node root) { return ReadPositions(root); });
    }
    if (part.name() == kContactPersonsPart) {
      return document.Read(
          part.name(), part.body(), [this](Node root) { return ReadPersons(root); });
    }
    // A newer release may add parts; what they hold isn't ours to map.
    return absl::OkStatus();
  }

  Status Finish() {
    if (!has_order_) {
      return absl::InvalidArgumentError(
          fmt::format("record: got no part \"{}\", want one", kOrderPart));
    }
    if (!has_id_) {
      return absl::DataLossError("order: id: got nothing, want a string");
    }
    auto& pipeline = *deal_.mutable_pipeline();
    pipeline.set_id(kOrder.data(), kOrder.size());
    pipeline.set_name(kPipelineName.data(), kPipelineName.size());
    contacts_.CutRest();
    items_.CutRest();
    fields_.CutRest();
    ClearUnseen();
    SetCurrency();
    if (several_pages_) {
      DropRepeatedItems();
    }
    return absl::OkStatus();
  }

 private:
  // What the deal holds of this record, not of the one before.
  struct Seen {
    bool amount = false;
    bool stage = false;
    bool branch = false;
    bool responsible = false;
    bool created = false;
    bool updated = false;
  };

  void ClearUnseen() {
    if (!seen_.amount) {
      deal_.clear_amount();
    }
    if (!seen_.stage) {
      deal_.clear_stage();
    }
    if (!seen_.branch) {
      deal_.clear_branch();
    }
    if (!seen_.responsible) {
      deal_.clear_responsible();
    }
    if (!seen_.created) {
      deal_.clear_created_at();
    }
    if (!seen_.updated) {
      deal_.clear_updated_at();
    }
  }

  Status ReadOrder(Node root) {
    return root.Object([this](std::string_view key, Node value) -> Status {
      // By length first: most keys of an order are not asked for.
      switch (key.size()) {
        case 2:
          return key == "id" ? ReadId(value) : absl::OkStatus();
        case 3:
          return key == "sum" ? ReadSum(value) : absl::OkStatus();
        case 4:
          return key == "name"   ? ReadTitle(value)
                 : key == "meta" ? ReadUrl(value)
                 : key == "rate" ? ReadRate(value)
                                 : absl::OkStatus();
        case 5:
          return key == "state"   ? ReadStage(value)
                 : key == "owner" ? ReadOwner(value)
                 : key == "agent" ? ReadAgent(value)
                 : key == "store" ? ReadBranch(v1::BRANCH_SOURCE_STORE, value)
                                  : absl::OkStatus();
        case 7:
          return key == "created"   ? ReadCreated(value)
                 : key == "updated" ? ReadUpdated(value)
                 : key == "deleted" ? ReadDeleted(value)
                                    : absl::OkStatus();
        case 9:
          return key == "positions" ? ReadPositions(value) : absl::OkStatus();
        case 10:
          return key == "attributes" ? ReadAttributes(value) : absl::OkStatus();
        case 12:
          return key == "salesChannel" ? ReadBranch(v1::BRANCH_SOURCE_SALES_CHANNEL, value)
                                       : absl::OkStatus();
        default:
          return absl::OkStatus();
      }
    });
  }

  Status ReadCreated(Node node) {
    seen_.created = true;
    return ReadTime(node, *deal_.mutable_created_at());
  }

  Status ReadUpdated(Node node) {
    seen_.updated = true;
    return ReadTime(node, *deal_.mutable_updated_at());
  }

  Status ReadId(Node node) {
    std::string_view id;
    has_id_ = true;
    return node.String(id);
  }

  Status ReadTitle(Node node) {
    return node.StringTo(
        [this](std::string_view text) { deal_.set_title(text.data(), text.size()); });
  }

  Status ReadUrl(Node node) {
    return node.Object([this](std::string_view key, Node value) -> Status {
      if (key != "uuidHref") {
        return absl::OkStatus();
      }
      return value.StringTo(
          [this](std::string_view text) { deal_.set_url(text.data(), text.size()); });
    });
  }

  Status ReadSum(Node node) {
    Decimal sum;
    DEALSTREAM_RETURN_IF_ERROR(ReadDecimal(node, kHundredths, sum));
    seen_.amount = true;
    sum.ToMoney({}, *deal_.mutable_amount());
    return absl::OkStatus();
  }

  // The sum is in this currency: nothing is converted, the rate isn't needed.
  Status ReadRate(Node node) {
    return node.Object([this](std::string_view key, Node value) -> Status {
      return key == "currency" ? ReadCurrency(value) : absl::OkStatus();
    });
  }

  Status ReadCurrency(Node node) {
    std::string_view iso;
    std::string_view number;
    DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, Node value) -> Status {
      if (key == "isoCode") {
        return value.String(iso);
      }
      return key == "code" ? value.String(number) : absl::OkStatus();
    }));
    // Both are typed by people; either may be garbage.
    currency_ = domain::CurrencyCode(iso);
    if (currency_.empty()) {
      currency_ = domain::CurrencyCode(number);
    }
    return absl::OkStatus();
  }

  Status ReadStage(Node node) {
    Reference state;
    std::string_view type;
    DEALSTREAM_RETURN_IF_ERROR(
        ReadReference(node, state, [&](std::string_view key, Node value) -> Status {
          return key == "stateType" ? value.String(type) : absl::OkStatus();
        }));
    seen_.stage = true;
    auto& stage = *deal_.mutable_stage();
    stage.set_id(state.Id().data(), state.Id().size());
    stage.set_name(state.name.data(), state.name.size());
    stage.set_kind(StageKindOf(type));
    return absl::OkStatus();
  }

  Status ReadBranch(v1::BranchSource source, Node node) {
    if (settings_.branch_source() != source) {
      return absl::OkStatus();
    }
    Reference reference;
    DEALSTREAM_RETURN_IF_ERROR(ReadReference(node, reference));
    seen_.branch = true;
    auto& branch = *deal_.mutable_branch();
    branch.set_id(reference.Id().data(), reference.Id().size());
    branch.set_name(reference.name.data(), reference.name.size());
    return absl::OkStatus();
  }

  Status ReadOwner(Node node) {
    Reference owner;
    std::string_view full_name;
    std::string_view email;
    std::string_view phone;
    DEALSTREAM_RETURN_IF_ERROR(
        ReadReference(node, owner, [&](std::string_view key, Node value) -> Status {
          if (key == "fullName") {
            return value.String(full_name);
          }
          if (key == "email") {
            return value.String(email);
          }
          return key == "phone" ? value.String(phone) : absl::OkStatus();
        }));
    seen_.responsible = true;
    auto& responsible = *deal_.mutable_responsible();
    responsible.set_id(owner.Id().data(), owner.Id().size());
    // `name` is the short form ("Ветрова Д. И.").
    const std::string_view name = full_name.empty() ? owner.name : full_name;
    responsible.set_name(name.data(), name.size());
    SetAddresses(email, phone, responsible);
    return absl::OkStatus();
  }

  // An employee has one of each.
  void SetAddresses(std::string_view email,
                    std::string_view phone,
                    deal::v1::Employee& responsible) {
    scratch_.clear_emails();
    scratch_.clear_phones();
    domain::AddEmails(email, scratch_);
    domain::AddPhones(phone, settings_.phone_region(), scratch_);
    responsible.clear_email();
    if (scratch_.emails_size() > 0) {
      responsible.set_email(scratch_.emails(0));
    }
    if (scratch_.phones_size() > 0) {
      responsible.mutable_phone()->Swap(scratch_.mutable_phones(0));
    } else {
      responsible.clear_phone();
    }
    responsible.clear_extension();
  }

  // A counterparty, or one of the customer's own organizations.
  Status ReadAgent(Node node) {
    std::string_view company_type;
    Contact& contact = NextContact();
    Reference agent;
    DEALSTREAM_RETURN_IF_ERROR(ReadContact(
        node,
        [&](std::string_view key, Node value) -> Status {
          return key == "companyType" ? value.String(company_type) : absl::OkStatus();
        },
        agent,
        contact));
    contact.set_kind(ContactKindOf(agent, company_type));
    return absl::OkStatus();
  }

  Contact& NextContact() {
    Contact& contact = contacts_.Next();
    contact.clear_kind();
    contact.clear_phones();
    contact.clear_emails();
    return contact;
  }

  template <typename Other>
  Status ReadContact(Node node, Other&& other, Reference& reference, Contact& contact) {
    DEALSTREAM_RETURN_IF_ERROR(
        ReadReference(node, reference, [&](std::string_view key, Node value) -> Status {
          std::string_view text;
          if (key == "phone") {
            DEALSTREAM_RETURN_IF_ERROR(value.String(text));
            domain::AddPhones(text, settings_.phone_region(), contact);
            return absl::OkStatus();
          }
          if (key == "email") {
            DEALSTREAM_RETURN_IF_ERROR(value.String(text));
            domain::AddEmails(text, contact);
            return absl::OkStatus();
          }
          return other(key, value);
        }));
    contact.set_id(reference.Id().data(), reference.Id().size());
    contact.set_name(reference.name.data(), reference.name.size());
    return absl::OkStatus();
  }

  Status ReadPersons(Node root) {
    return root.Object([this](std::string_view key, Node value) -> Status {
      if (key != "rows") {
        return absl::OkStatus();
      }
      return value.Array([this](Node row) -> Status {
        Reference person;
        Contact& contact = NextContact();
        contact.set_kind(deal::v1::CONTACT_KIND_PERSON);
        return ReadContact(
            row, [](std::string_view, Node) { return absl::OkStatus(); }, person, contact);
      });
    });
  }

  // In the bin. Whether the time stays after a restoration isn't known; the rule is the sheet's:
  // present means deleted.
  Status ReadDeleted(Node node) {
    std::string_view text;
    DEALSTREAM_RETURN_IF_ERROR(node.String(text));
    deal_.set_deleted(!text.empty());
    return absl::OkStatus();
  }

  // {meta, rows?}: in the order, and in the pages that follow it.
  Status ReadPositions(Node node) {
    return node.Object([this](std::string_view key, Node value) -> Status {
      if (key != "rows") {
        return absl::OkStatus();
      }
      return value.Array([this](Node row) { return ReadPosition(row); });
    });
  }

  Status ReadPosition(Node node) {
    Reference goods;
    Decimal quantity;
    Decimal price;
    Decimal discount;
    bool has_price = false;
    Item& item = items_.Next();
    item.clear_id();
    item.clear_quantity();
    item.clear_discount_percent();
    DEALSTREAM_RETURN_IF_ERROR(node.Object([&](std::string_view key, Node value) -> Status {
      if (key == "id") {
        return value.StringTo([&](std::string_view id) { item.set_id(id.data(), id.size()); });
      }
      if (key == "quantity") {
        DEALSTREAM_RETURN_IF_ERROR(ReadDecimal(value, 0, quantity));
        item.set_quantity(quantity.ToText());
        return absl::OkStatus();
      }
      if (key == "price") {
        has_price = true;
        return ReadDecimal(value, kHundredths, price);
      }
      if (key == "discount") {
        DEALSTREAM_RETURN_IF_ERROR(ReadDecimal(value, 0, discount));
        item.set_discount_percent(discount.ToText());
        return absl::OkStatus();
      }
      return key == "assortment" ? ReadReference(value, goods) : absl::OkStatus();
    }));
    item.set_kind(ItemKindOf(goods.type));
    item.set_name(goods.name.data(), goods.name.size());
    Decimal total;
    if (has_price) {
      price.ToMoney({}, *item.mutable_price());
    } else {
      item.clear_price();
    }
    if (has_price && !item.quantity().empty() && LineTotal(quantity, price, discount, total)) {
      total.ToMoney({}, *item.mutable_total());
    } else {
      item.clear_total();
    }
    return absl::OkStatus();
  }

  Status ReadAttributes(Node node) {
    return node.Array([this](Node attribute) { return ReadAttribute(attribute); });
  }

  Status ReadAttribute(Node node) {
    Reference definition;
    std::string_view type;
    AttributeValue value;
    DEALSTREAM_RETURN_IF_ERROR(
        ReadReference(node, definition, [&](std::string_view key, Node field) -> Status {
          if (key == "type") {
            return field.String(type);
          }
          return key == "value" ? ReadAttributeValue(field, value) : absl::OkStatus();
        }));
    if (value.kind == Node::Kind::kNull) {
      return absl::OkStatus();
    }
    CustomField& field = fields_.Next();
    SetValue(type, value, field);
    // The id in the reference is the definition's; some answers have another one beside it. Source:
    // README.md#fields.
    const std::string_view id = definition.href.empty() ? definition.id : IdOfHref(definition.href);
    field.set_id(id.data(), id.size());
    field.set_name(definition.name.data(), definition.name.size());
    return absl::OkStatus();
  }

  void SetCurrency() {
    const auto set = [this](deal::v1::Money& money) {
      money.set_currency_code(currency_.data(), currency_.size());
    };
    if (deal_.has_amount()) {
      set(*deal_.mutable_amount());
    }
    for (Item& item : *deal_.mutable_items()) {
      if (item.has_price()) {
        set(*item.mutable_price());
      }
      if (item.has_total()) {
        set(*item.mutable_total());
      }
    }
  }

  // Pages may overlap when positions were added between two calls.
  void DropRepeatedItems() {
    auto& items = *deal_.mutable_items();
    absl::flat_hash_set<std::string> seen;
    const auto repeated =
        std::stable_partition(items.begin(), items.end(), [&seen](const Item& item) {
          return item.id().empty() || seen.insert(item.id()).second;
        });
    items.erase(repeated, items.end());
  }

  const v1::Settings& settings_;
  Deal& deal_;
  Filling<Contact> contacts_;
  Filling<Item> items_;
  Filling<CustomField> fields_;
  Seen seen_;
  Contact scratch_;
  // Lives as long as the process.
  std::string_view currency_;
  bool has_order_ = false;
  bool has_id_ = false;
  bool several_pages_ = false;
};

}  // namespace

Status Mapper::Map(const raw::v1::Record& record, Deal& deal) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const v1::Settings* settings, SettingsInForce(record.settings()));
  // The parser's memory is used again for every record of this thread.
  thread_local json::Document document;
  Mapping mapping(*settings, deal);
  for (const raw::v1::BodyPart& part : record.parts()) {
    DEALSTREAM_RETURN_IF_ERROR(mapping.ReadPart(document, part));
  }
  return mapping.Finish();
}

}  // namespace dealstream::crm::moysklad
