#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/status.h"
#include "libs/domain/money.h"

// A visit and what belongs to it, read from the wire; what both mappers and the record source begin
// with. Texts are views into the bytes that were read and into the reader's memory: good until the
// next read of this thread.
namespace dealstream::crm::klientiks {

// A value of a field that the sheet doesn't fix: one of the customer's own.
struct Value {
  enum class Kind { kText, kNumber, kFlag };
  std::string_view key;
  Kind kind = Kind::kText;
  // Trimmed; of a number as written.
  std::string_view text;
  bool flag = false;
};

struct Person {
  // Empty where not given; so are all texts.
  std::string_view id;
  std::string_view name;
  std::string_view phone;
  std::string_view email;
};

struct Line {
  std::string_view service_id;
  std::string_view name;
  std::string_view type;
  std::optional<domain::Decimal> price;
  domain::Decimal count = domain::Decimal::FromNanos(1'000'000'000);
  domain::Decimal discount;
  bool by_subscription = false;
};

struct Customer {
  std::string_view id;
  std::string_view name;
  std::string_view second_name;
  std::string_view first_name;
  std::string_view patron_name;
  std::string_view phone;
  bool is_demo = false;
  // Flattened, then those of json_data; see ValueOf.
  std::vector<Value> values;
  std::vector<Value> json_data;

  // Surname, first name and patronymic, as far as given; else the whole name.
  std::string FullName() const;
};

struct Visit {
  std::string_view id;
  std::string_view client_id;
  std::string_view executor_id;
  std::string_view author_id;
  std::string_view status;
  std::optional<absl::Time> start;
  std::optional<absl::Time> finish;
  std::optional<absl::Time> created;
  std::optional<absl::Time> modified;
  bool deleted = false;
  bool by_subscription = false;
  std::optional<domain::Decimal> total;
  std::vector<Line> lines;
  // Of all lines.
  std::vector<Person> executions;
  Person executor;
  Person author;
  // Nested in the visit; absent as a rule.
  std::optional<Customer> client;
  std::vector<Value> values;
  std::vector<Value> json_data;

  // Whose change time counts as the version. Absent where there is neither.
  std::optional<absl::Time> ChangedAt() const { return modified.has_value() ? modified : created; }
};

// The value of a customer's field: the flattened one, else that of json_data; null where both are
// empty.
const Value* ValueOf(const std::vector<Value>& values,
                     const std::vector<Value>& json_data,
                     std::string_view key);
std::string_view TextOf(const std::vector<Value>& values,
                        const std::vector<Value>& json_data,
                        std::string_view key);
// Whether a visit's key has a meaning of its own, so that json_data can't be its source.
bool IsVisitKey(std::string_view key);

// Who answers for the visit. The name is empty where the visit doesn't hold it. Nothing: nobody.
std::optional<Person> ResponsibleOf(const Visit& visit, bool is_author);

enum class Detail {
  // Ids, times, people: what the record source must know.
  kSummary,
  kAll,
};

struct ReadVisitResult {
  // False: the CRM says that there is no such visit.
  bool found = false;
  Visit visit;
};
// `code`: of all errors but the CRM's own {"error"}.
Result<ReadVisitResult> ReadVisit(std::string_view body, const absl::TimeZone& zone, Detail detail);

// The client of this id among the rows of an answer; nothing when it isn't there.
Result<std::optional<Customer>> ReadClient(std::string_view body, std::string_view id);

// One employee's row.
Result<Person> ReadUser(std::string_view body);

// What a record holds. InvalidArgument without an appointment part, DataLoss where a part can't be
// read or has no visit.
struct RecordContents {
  Visit visit;
  std::optional<Customer> client;
  std::optional<Person> user;
};
Result<RecordContents> ReadRecord(const raw::v1::Record& record, const absl::TimeZone& zone);

// As the CRM has it: digits with the country's code, a Russian number with 7, 8 or nothing before.
void AddPhone(std::string_view text, deal::v1::Contact& contact);

// {"error": text} with a text that is known to be a refusal.
inline constexpr std::string_view kAccessDenied = "access denied";
bool DeniesAccess(std::string_view body);

// The status of {"error": text}, which may come with any HTTP status. The text isn't repeated.
Status StatusOfError(std::string_view what, std::string_view text);

}  // namespace dealstream::crm::klientiks
