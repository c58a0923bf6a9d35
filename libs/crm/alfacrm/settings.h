#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/any.pb.h"

#include "libs/base/status.h"
#include "libs/crm/alfacrm/settings.pb.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// What a payment is to a deal.
enum class PayKind { kNotCounted, kIncome, kRefund };

// The settings in force, defaults filled in, with what is looked up in them for every record.
struct Terms {
  v1::Settings settings;
  absl::TimeZone zone;
  // ISO 4217 codes, which live as long as the process.
  std::string_view currency;
  std::vector<std::pair<int64_t, std::string_view>> branch_currency;

  PayKind KindOf(int64_t pay_type_id) const;
  // All types that count, in the order of the settings.
  std::vector<int64_t> CountedTypes() const;
  std::string_view CurrencyOf(int64_t branch_id) const;
};

// The reference is good until the next call in this thread: what was unpacked last is kept, for
// records of one integration come in rows.
Result<const Terms*> TermsInForce(const google::protobuf::Any& packed);

// What the types can't show. InvalidArgument names the key, what was found and what was expected.
Status CheckSettings(const v1::Settings& settings);

RateLimit LimitOf(const v1::Settings& settings);

}  // namespace dealstream::crm::alfacrm
