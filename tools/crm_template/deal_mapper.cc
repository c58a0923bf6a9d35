#include "libs/crm/newcrm/deal_mapper.h"

#include <string>

#include "absl/time/time.h"
#include <fmt/format.h>

#include "libs/crm/api/json.h"
#include "libs/crm/newcrm/settings.h"
#include "libs/crm/newcrm/wire.h"
#include "libs/domain/contact.h"
#include "libs/domain/money.h"

namespace dealstream::crm::newcrm {
namespace {

using json::Node;

constexpr char kPipeline[] = "deals";
constexpr char kPipelineName[] = "Deals";

Status ReadTime(Node node, google::protobuf::Timestamp& to) {
  std::string_view text;
  DEALSTREAM_RETURN_IF_ERROR(node.String(text));
  absl::Time time;
  if (!ParseWireTime(text, time)) {
    return node.Wrong("another text", "an RFC 3339 time");
  }
  to.set_seconds(absl::ToUnixSeconds(time));
  const absl::Duration rest = time - absl::FromUnixSeconds(to.seconds());
  to.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return absl::OkStatus();
}

deal::v1::StageKind KindOf(std::string_view text) {
  return text == "won"    ? deal::v1::STAGE_KIND_WON
         : text == "lost" ? deal::v1::STAGE_KIND_LOST
                          : deal::v1::STAGE_KIND_OPEN;
}

// One record on its way into a deal.
class Mapping {
 public:
  Mapping(const v1::Settings& settings, deal::v1::Deal& deal) : settings_(settings), deal_(deal) {}

  Status ReadDeal(Node root) {
    return root.Object([this](std::string_view key, Node value) -> Status {
      if (key == "id") {
        return value.StringTo([this](std::string_view text) { has_id_ = !text.empty(); });
      }
      if (key == "title") {
        return value.StringTo(
            [this](std::string_view text) { deal_.set_title(text.data(), text.size()); });
      }
      if (key == "amount") {
        return value.StringTo([this](std::string_view text) { amount_ = text; });
      }
      if (key == "currency") {
        return value.StringTo([this](std::string_view text) { currency_ = text; });
      }
      if (key == "created") {
        return ReadTime(value, *deal_.mutable_created_at());
      }
      if (key == "updated") {
        return ReadTime(value, *deal_.mutable_updated_at());
      }
      return key == "stage"     ? ReadStage(value)
             : key == "manager" ? ReadManager(value)
             : key == "client"  ? ReadClient(value)
                                : absl::OkStatus();
    });
  }

  Status Finish() {
    if (!has_id_) {
      return absl::DataLossError("deal: id: got nothing, want a string");
    }
    deal_.mutable_pipeline()->set_id(kPipeline);
    deal_.mutable_pipeline()->set_name(kPipelineName);
    if (!amount_.empty()) {
      DEALSTREAM_ASSIGN_OR_RETURN(const auto amount, domain::Decimal::Parse(amount_));
      amount.ToMoney(domain::CurrencyCode(currency_), *deal_.mutable_amount());
    }
    return absl::OkStatus();
  }

 private:
  Status ReadStage(Node node) {
    auto& stage = *deal_.mutable_stage();
    stage.set_kind(deal::v1::STAGE_KIND_OPEN);
    return node.Object([&stage](std::string_view key, Node value) -> Status {
      return key == "id"     ? value.StringTo([&](std::string_view text) {
        stage.set_id(text.data(), text.size());
      })
             : key == "name" ? value.StringTo([&](std::string_view text) {
                 stage.set_name(text.data(), text.size());
               })
             : key == "kind"
                 ? value.StringTo([&](std::string_view text) { stage.set_kind(KindOf(text)); })
                 : absl::OkStatus();
    });
  }

  Status ReadManager(Node node) {
    auto& manager = *deal_.mutable_responsible();
    return node.Object([&manager](std::string_view key, Node value) -> Status {
      return key == "id"     ? value.StringTo([&](std::string_view text) {
        manager.set_id(text.data(), text.size());
      })
             : key == "name" ? value.StringTo([&](std::string_view text) {
                 manager.set_name(text.data(), text.size());
               })
                             : absl::OkStatus();
    });
  }

  Status ReadClient(Node node) {
    auto& contact = *deal_.add_contacts();
    contact.set_kind(deal::v1::CONTACT_KIND_PERSON);
    return node.Object([&](std::string_view key, Node value) -> Status {
      return key == "id"      ? value.StringTo([&](std::string_view text) {
        contact.set_id(text.data(), text.size());
      })
             : key == "name"  ? value.StringTo([&](std::string_view text) {
                 contact.set_name(text.data(), text.size());
               })
             : key == "phone" ? value.StringTo([&](std::string_view text) {
                 domain::AddPhones(text, settings_.phone_region(), contact);
               })
             : key == "email"
                 ? value.StringTo([&](std::string_view text) { domain::AddEmails(text, contact); })
                 : absl::OkStatus();
    });
  }

  const v1::Settings& settings_;
  deal::v1::Deal& deal_;
  bool has_id_ = false;
  std::string amount_;
  std::string currency_;
};

}  // namespace

Status Mapper::Map(const raw::v1::Record& record, deal::v1::Deal& deal) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const v1::Settings* settings, SettingsInForce(record.settings()));
  deal.Clear();
  Mapping mapping(*settings, deal);
  json::Document document;
  bool has_deal = false;
  for (const auto& part : record.parts()) {
    // A newer release may add parts; what they hold isn't ours to map.
    if (part.name() == kDeal) {
      has_deal = true;
      DEALSTREAM_RETURN_IF_ERROR(document.Read(
          part.name(), part.body(), [&mapping](Node root) { return mapping.ReadDeal(root); }));
    }
  }
  if (!has_deal) {
    return absl::InvalidArgumentError(fmt::format("record: got no part \"{}\", want one", kDeal));
  }
  return mapping.Finish();
}

}  // namespace dealstream::crm::newcrm
