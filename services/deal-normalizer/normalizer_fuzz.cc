// Any bytes as a raw.v1.Record, twice: nothing may crash, what comes out can be read, and the same
// record changes nothing the second time.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "dealstream/deal/v1/deal.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "dealstream/state/v1/state.pb.h"
#include "libs/crm/registry.h"
#include "services/deal-normalizer/normalizer.h"

namespace dealstream::normalizer {
namespace {

void Require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void Check(const crm::Adapter& adapter, const raw::v1::Record& record) {
  Normalizer normalizer(adapter, CurrentShape());
  const Decision first = normalizer.Apply(record, std::nullopt);
  Require(first.event.has_value() == (first.outcome == Outcome::kEmitted));
  if (!first.state.has_value()) {
    return;
  }
  state::v1::EntityState state;
  Require(state.ParseFromString(*first.state));
  if (first.event.has_value() && first.entity_kind == EntityKind::kDeal) {
    deal::v1::DealEvent event;
    Require(event.ParseFromString(first.event->value) && event.id() == first.event->id);
  }
  const Decision second = normalizer.Apply(record, *first.state);
  Require(!second.event.has_value());
}

}  // namespace
}  // namespace dealstream::normalizer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const dealstream::crm::Registry registry = dealstream::crm::AllAdapters();
  dealstream::raw::v1::Record record;
  if (!record.ParseFromArray(data, static_cast<int>(size))) {
    return 0;
  }
  for (const auto& adapter : registry.adapters()) {
    dealstream::normalizer::Check(*adapter, record);
    record.set_crm(std::string(adapter->id()));
    dealstream::normalizer::Check(*adapter, record);
    // Any bytes are a body, too.
    record.set_purpose(dealstream::crm::Purpose::PURPOSE_DEALS);
    record.set_integration_id("i");
    record.set_external_id("e");
    record.set_gone(false);
    dealstream::normalizer::Check(*adapter, record);
  }
  return 0;
}
