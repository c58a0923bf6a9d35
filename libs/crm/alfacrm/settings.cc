#include "libs/crm/alfacrm/settings.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/settings.h"
#include "libs/domain/money.h"

namespace dealstream::crm::alfacrm {
namespace {

template <typename List>
bool Holds(const List& list, int64_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// "2:KZT".
Result<std::pair<int64_t, std::string_view>> ParseBranchCurrency(std::string_view text) {
  const size_t colon = std::min(text.find(':'), text.size());
  int64_t branch = 0;
  const std::string_view code = domain::CurrencyCode(text.substr(std::min(colon + 1, text.size())));
  if (!absl::SimpleAtoi(ToAbsl(text.substr(0, colon)), &branch) || branch <= 0 || code.empty()) {
    return BadSetting(
        "branch_currency", text, "a branch's number, a colon and a currency, such as 2:KZT");
  }
  return std::pair(branch, code);
}

// A stage or a payment type can be of one kind only.
template <typename List>
Status CheckApart(std::string_view key,
                  const List& list,
                  std::string_view other_key,
                  const List& other) {
  for (const int64_t id : list) {
    if (id <= 0) {
      return absl::InvalidArgumentError(
          fmt::format("setting {}: got {}, want numbers above zero", key, id));
    }
    if (Holds(other, id)) {
      return absl::InvalidArgumentError(fmt::format(
          "setting {}: got {}, which is in {}, too: want it in one of them", key, id, other_key));
    }
  }
  return absl::OkStatus();
}

// What isn't in the settings as it stands; CheckSettings and TermsInForce agree.
Status Understand(Terms& terms) {
  DEALSTREAM_ASSIGN_OR_RETURN(terms.zone, LoadZone("time_zone", terms.settings.time_zone()));
  terms.currency = domain::CurrencyCode(terms.settings.currency());
  terms.branch_currency.clear();
  for (const std::string& text : terms.settings.branch_currency()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto parsed, ParseBranchCurrency(text));
    terms.branch_currency.push_back(parsed);
  }
  return absl::OkStatus();
}

}  // namespace

PayKind Terms::KindOf(int64_t pay_type_id) const {
  if (Holds(settings.refund_types(), pay_type_id)) {
    return PayKind::kRefund;
  }
  const bool income =
      Holds(settings.income_types(), pay_type_id) || Holds(settings.goods_types(), pay_type_id);
  return income ? PayKind::kIncome : PayKind::kNotCounted;
}

std::vector<int64_t> Terms::CountedTypes() const {
  std::vector<int64_t> types;
  for (const auto* list :
       {&settings.income_types(), &settings.goods_types(), &settings.refund_types()}) {
    for (const int64_t type : *list) {
      if (!Holds(types, type)) {
        types.push_back(type);
      }
    }
  }
  return types;
}

std::string_view Terms::CurrencyOf(int64_t branch_id) const {
  const auto found = std::find_if(branch_currency.begin(),
                                  branch_currency.end(),
                                  [branch_id](const auto& one) { return one.first == branch_id; });
  return found == branch_currency.end() ? currency : found->second;
}

Result<const Terms*> TermsInForce(const google::protobuf::Any& packed) {
  // A value of a pure function; see the header.
  thread_local LastSettings<Terms> last;
  return last.Get(packed, [](const google::protobuf::Any& from, Terms& terms) -> Status {
    DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(from, terms.settings));
    return Understand(terms);
  });
}

Status CheckSettings(const v1::Settings& settings) {
  DEALSTREAM_RETURN_IF_ERROR(CheckRegion("phone_region", settings.phone_region()));
  if (domain::CurrencyCode(settings.currency()).empty()) {
    return BadSetting("currency", settings.currency(), "an ISO 4217 code such as RUB");
  }
  DEALSTREAM_RETURN_IF_ERROR(CheckRange("branch", settings.branch(), 0, 1'000'000'000));
  DEALSTREAM_RETURN_IF_ERROR(CheckRange("page_size", settings.page_size(), 20, 500));
  DEALSTREAM_RETURN_IF_ERROR(
      CheckRange("requests_per_second", settings.requests_per_second(), 1, 20));
  DEALSTREAM_RETURN_IF_ERROR(CheckApart(
      "success_stages", settings.success_stages(), "reject_stages", settings.reject_stages()));
  DEALSTREAM_RETURN_IF_ERROR(CheckApart(
      "reject_stages", settings.reject_stages(), "success_stages", settings.success_stages()));
  DEALSTREAM_RETURN_IF_ERROR(
      CheckApart("income_types", settings.income_types(), "refund_types", settings.refund_types()));
  DEALSTREAM_RETURN_IF_ERROR(
      CheckApart("goods_types", settings.goods_types(), "refund_types", settings.refund_types()));
  DEALSTREAM_RETURN_IF_ERROR(
      CheckApart("refund_types", settings.refund_types(), "goods_types", settings.goods_types()));
  Terms terms;
  terms.settings = settings;
  return Understand(terms);
}

RateLimit LimitOf(const v1::Settings& settings) {
  RateLimit limit;
  // No number is published; the CRM advises to send one call after another. Source:
  // README.md#limits, seen.
  limit.units = settings.requests_per_second();
  limit.interval = absl::Seconds(1);
  // A lead is three calls: with a part of the limit kept for telephony, which isn't built, each of
  // them would wait though nothing else is going on.
  limit.reader_share = 1;
  return limit;
}

}  // namespace dealstream::crm::alfacrm
