#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::klientiks {

// Reads visits: the visit, its client, and the responsible employee where the visit doesn't hold
// the name; a CRM that won't give the latter two keeps no visit back. Two calls a visit; the client
// is kept in mind for half a minute, employees for ten, so that a booking that comes to two URLs
// costs two calls or three, not four.
//
// List gives the visits of the days around, then what the CRM says has changed: the second is
// inferred, so that the first must stand alone.
class Source final : public RecordSource {
 public:
  Result<ReadObject> Read(const ObjectRef& ref,
                          const google::protobuf::Any& settings,
                          Session& session) const override;
  bool CanList() const override { return true; }
  // Nothing tells a visit that was booked online from one made by hand.
  bool Lists(Purpose purpose) const override { return purpose == Purpose::PURPOSE_DEALS; }
  Result<ListPage> List(const ListRequest& request,
                        Purpose purpose,
                        const google::protobuf::Any& settings,
                        Session& session) const override;
};

namespace internal {

// Visits of one answer of a list; for tests.
struct ListedVisit {
  int64_t id = 0;
  bool has_client = false;
  // Absent where the row has no change time.
  std::optional<absl::Time> changed;
};
struct VisitPage {
  // Rows with an id, blocked hours among them.
  std::vector<ListedVisit> visits;
  int64_t rows = 0;
  // Where among them the last of `visits` stands.
  int64_t last_row = 0;
  // Rows that a page has at most, as the CRM says; 0 where it doesn't.
  int64_t limit = 0;

  // 0: none.
  int64_t FirstId() const { return visits.empty() ? 0 : visits.front().id; }
  bool Has(int64_t id) const;
  // Whether others may follow.
  bool IsFull() const;
};
// DataLoss, too, where none of its rows has an id.
Result<VisitPage> ReadVisitPage(std::string_view body, const absl::TimeZone& zone);

}  // namespace internal
}  // namespace dealstream::crm::klientiks
