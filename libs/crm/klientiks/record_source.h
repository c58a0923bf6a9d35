#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "libs/crm/api/adapter.h"

namespace dealstream::crm::klientiks {

// Reads visits: the visit, its client, and the row of the responsible employee where the visit
// doesn't hold the name. Two calls a visit; the client is kept in mind for half a minute, employees
// for ten, so that a booking that comes to two URLs costs two calls or three, not four.
//
// List first takes what the CRM says has changed, then the visits of the days around: two thirds of
// the first are inferred, so that the second must stand alone.
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

// Visits of one answer of a list; for the fuzz target.
struct ListedVisit {
  std::string id;
  // Absent where the row has no change time.
  std::optional<absl::Time> changed;
};
struct VisitPage {
  // Those with a client.
  std::vector<ListedVisit> visits;
  // Rows, blocked hours among them.
  int64_t rows = 0;
  // Where the next page begins, as the CRM says; 0 where it doesn't.
  int64_t next_offset = 0;
};
// `must_have_client`: rows without client_id are left out.
Result<VisitPage> ReadVisitPage(std::string_view body,
                                const absl::TimeZone& zone,
                                bool must_have_client);

}  // namespace internal
}  // namespace dealstream::crm::klientiks
