#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/crm/api/adapter.h"

// The core of deal-normalizer: what one record means, given what was known before. Pure: no I/O, no
// clock; the same record, settings and state give the same decision.
namespace dealstream::normalizer {

enum class Outcome {
  // An event goes out.
  kEmitted,
  // Nothing that subscribers don't know already.
  kRepeat,
  // Of a kind that gives no event.
  kIgnored,
  // Can't be read or mapped: a dead letter.
  kDead,
};
// As in the metric events_done_total.
std::string_view ToText(Outcome outcome);

enum class EntityKind { kDeal, kRequest };

struct Event {
  // Equals the event's own field and `ce_id`: the first 32 hex digits of SHA-256 over entity id,
  // version, revision and content.
  std::string id;
  // deal.v1.DealEvent or request.v1.RequestEvent.
  std::string value;
  // deal.v1.Deal for the snapshot; absent once deleted, and for requests.
  std::optional<std::string> snapshot;
};

struct Decision {
  Outcome outcome = Outcome::kRepeat;
  // A stable code of a closed set, as in metrics; for a dead letter of the mapper, the status's.
  std::string reason;
  EntityKind entity_kind = EntityKind::kDeal;
  // "<integration_id>:<external_id>"; empty for a record too broken to have one.
  std::string entity_id;
  std::optional<Event> event;
  // state.v1.EntityState to be kept; absent: what is kept stays.
  std::optional<std::string> state;
  // Of a dead letter: where it stopped ("decode", "map"), and in words.
  std::string stage;
  std::string message;
};

// The state is for this entity id. Empty when the record can't have one.
std::string EntityIdOf(const raw::v1::Record& record);

// Fields of Deal or Request by the release that added them.
struct Shape {
  struct Added {
    int32_t shape;
    EntityKind entity;
    // Of Deal or Request, as in the .proto file.
    std::string_view field;
  };
  // The present one; EntityState.shape of what is written.
  int32_t current = 1;
  std::vector<Added> added;
};

// The shape of this release: add a line when a field is added to Deal or Request, and count up,
// lest every deal is reported as changed at once.
Shape CurrentShape();

// The rules, in the order they are tried:
//   a request that is made once (RequestMapper::IsMadeOnce) and is known -> repeat "already_made".
//   gone:     never seen -> ignored "never_seen"; already deleted -> repeat "already_deleted"; read
//             before what is kept -> repeat "older_observation"; else DELETED with the last known
//             fields, version unchanged, updated_at the time of the read.
//   alive:    version less than the one kept, or after `gone` not greater and read less than ten
//             minutes later -> repeat "older_version"; same version read before what is kept, or
//             any version read before `gone` -> repeat "older_observation"; no deal (crm::NotADeal)
//             -> ignored "not_a_deal"; no request -> "not_a_request"; same content but for
//             updated_at -> repeat "unchanged"; first sight of what is deleted already -> ignored
//             "deleted_before_seen"; first sight
//             -> CREATED; deleted now -> DELETED; else UPDATED.
// Same version and other content is a change: the settings or an object it points at changed.
// Not thread-safe: it reuses its messages.
class Normalizer {
 public:
  // The adapter outlives it.
  Normalizer(const crm::Adapter& adapter, Shape shape);
  ~Normalizer();
  Normalizer(const Normalizer&) = delete;
  Normalizer& operator=(const Normalizer&) = delete;

  // `stored`: the EntityState kept for EntityIdOf(record), absent when there is none.
  Decision Apply(const raw::v1::Record& record, std::optional<std::string_view> stored);

 private:
  struct Scratch;
  template <typename Entity>
  class Step;

  const crm::Adapter& adapter_;
  const Shape shape_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace dealstream::normalizer
