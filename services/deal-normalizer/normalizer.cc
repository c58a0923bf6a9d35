#include "services/deal-normalizer/normalizer.h"

#include <algorithm>
#include <array>

#include "fmt/compile.h"
#include "fmt/format.h"

#include "dealstream/state/v1/state.pb.h"
#include "libs/base/ids.h"
#include "libs/base/strings.h"
#include "libs/domain/change.h"
#include "openssl/evp.h"
#include "services/deal-normalizer/wire.pb.h"
#include "services/deal-normalizer/wire_diff.h"

namespace dealstream::normalizer {
namespace {

using deal::v1::Deal;
using request::v1::Request;

constexpr size_t kEventIdDigits = 32;

Decision Dead(std::string_view stage, std::string_view reason, std::string message) {
  Decision decision;
  decision.outcome = Outcome::kDead;
  decision.stage = stage;
  decision.reason = reason;
  decision.message = std::move(message);
  return decision;
}

// Seconds. A CRM may answer from a copy of its data that lags behind a deletion, but not by more.
constexpr int64_t kLongestLag = 600;
// Seconds. A repeat that was read so much later than what is kept moves the time of reading. Not
// every one does: writing state costs more than finding that nothing changed.
constexpr int64_t kObservedGrain = 60;

bool Before(const google::protobuf::Timestamp& a, const google::protobuf::Timestamp& b) {
  return a.seconds() != b.seconds() ? a.seconds() < b.seconds() : a.nanos() < b.nanos();
}

// SHA-256 with the machine's instructions for it, which libsodium's lacks: the content is hashed
// once for each event.
class Hash {
 public:
  Hash() : context_(EVP_MD_CTX_new()) {}
  ~Hash() { EVP_MD_CTX_free(context_); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;

  std::string HexOf(std::string_view a, std::string_view b) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    EVP_DigestInit_ex(context_, EVP_sha256(), nullptr);
    EVP_DigestUpdate(context_, a.data(), a.size());
    EVP_DigestUpdate(context_, b.data(), b.size());
    EVP_DigestFinal_ex(context_, digest.data(), nullptr);
    return ToHex({reinterpret_cast<const char*>(digest.data()), kEventIdDigits / 2});
  }

 private:
  EVP_MD_CTX* context_;
};

// What differs between deals and requests.
template <typename Entity>
struct Traits;

template <>
struct Traits<Deal> {
  static constexpr EntityKind kKind = EntityKind::kDeal;
  using Event = wire::DealEvent;
  static constexpr auto kCreated = deal::v1::DEAL_EVENT_KIND_CREATED;
  static constexpr auto kUpdated = deal::v1::DEAL_EVENT_KIND_UPDATED;
  static constexpr auto kDeleted = deal::v1::DEAL_EVENT_KIND_DELETED;
  static bool Has(const wire::State& state) { return state.has_deal(); }
  static const std::string& Bytes(const wire::State& state) { return state.deal(); }
  static std::string* MutableBytes(wire::State& state) { return state.mutable_deal(); }
  static std::string* MutableBytes(Event& event) { return event.mutable_deal(); }
  static bool IsDeleted(const Deal& deal) { return deal.deleted(); }
  // A CRM that has forgotten the deal gives no time of its deletion: that of the read stands in.
  static void SetDeleted(Deal& deal, const raw::v1::Record& record) {
    deal.set_deleted(true);
    if (record.has_observed_at() && Before(deal.updated_at(), record.observed_at())) {
      *deal.mutable_updated_at() = record.observed_at();
    }
  }
  // An object that was touched and is as it was tells a subscriber nothing.
  static bool IsNoNews(const std::vector<std::string>& changed) {
    return changed.empty() || (changed.size() == 1 && changed.front() == "updated_at");
  }
};

template <>
struct Traits<Request> {
  static constexpr EntityKind kKind = EntityKind::kRequest;
  using Event = wire::RequestEvent;
  static constexpr auto kCreated = request::v1::REQUEST_EVENT_KIND_CREATED;
  static constexpr auto kUpdated = request::v1::REQUEST_EVENT_KIND_UPDATED;
  static constexpr auto kDeleted = request::v1::REQUEST_EVENT_KIND_DELETED;
  static bool Has(const wire::State& state) { return state.has_request(); }
  static const std::string& Bytes(const wire::State& state) { return state.request(); }
  static std::string* MutableBytes(wire::State& state) { return state.mutable_request(); }
  static std::string* MutableBytes(Event& event) { return event.mutable_request(); }
  // A request has no such mark; State.gone says it.
  static bool IsDeleted(const Request&) { return false; }
  static void SetDeleted(Request&, const raw::v1::Record&) {}
  static bool IsNoNews(const std::vector<std::string>& changed) { return changed.empty(); }
};

Result<bool> Map(const crm::Adapter& adapter, const raw::v1::Record& record, Deal& deal) {
  DEALSTREAM_RETURN_IF_ERROR(adapter.deal_mapper()->Map(record, deal));
  return true;
}

Result<bool> Map(const crm::Adapter& adapter, const raw::v1::Record& record, Request& request) {
  return adapter.request_mapper()->Map(record, request);
}

// Whether what becomes of the object once it is known is no news.
bool IsMadeOnce(const crm::Adapter&, const Deal&) { return false; }
bool IsMadeOnce(const crm::Adapter& adapter, const Request&) {
  return adapter.request_mapper()->IsMadeOnce();
}

bool HasStage(const std::vector<std::string>& fields) {
  return std::find(fields.begin(), fields.end(), "stage") != fields.end();
}

void SetPreviousStage(const Deal& before, wire::DealEvent& event) {
  if (before.has_stage()) {
    *event.mutable_previous_stage() = before.stage();
  }
}

void SetPreviousStage(const Request&, wire::RequestEvent&) {}

}  // namespace

std::string_view ToText(Outcome outcome) {
  switch (outcome) {
    case Outcome::kEmitted:
      return "emitted";
    case Outcome::kRepeat:
      return "repeat";
    case Outcome::kIgnored:
      return "ignored";
    case Outcome::kDead:
      return "dead";
  }
  return "";
}

std::string EntityIdOf(const raw::v1::Record& record) {
  if (record.integration_id().empty() || record.external_id().empty()) {
    return "";
  }
  return domain::EntityId(record.integration_id(), record.external_id());
}

Shape CurrentShape() { return Shape{.current = 1, .added = {}}; }

// Messages whose memory is used again from record to record.
struct Normalizer::Scratch {
  template <typename Entity>
  struct Entities {
    Entity before;
    Entity after;
    typename Traits<Entity>::Event event;
  };
  Entities<Deal> deals;
  Entities<Request> requests;
  wire::State stored;
  wire::State next;
  Hash hash;

  Entities<Deal>& Of(const Deal*) { return deals; }
  Entities<Request>& Of(const Request*) { return requests; }
};

// One record of one kind of entity.
template <typename Entity>
class Normalizer::Step {
 public:
  using T = Traits<Entity>;

  // `stored` null: nothing is kept.
  Step(Normalizer& normalizer,
       const raw::v1::Record& record,
       const wire::State* stored,
       std::string id)
      : adapter_(normalizer.adapter_),
        shape_(normalizer.shape_),
        record_(record),
        stored_(stored),
        next_(normalizer.scratch_->next),
        hash_(normalizer.scratch_->hash),
        scratch_(normalizer.scratch_->Of(static_cast<const Entity*>(nullptr))) {
    decision_.entity_kind = T::kKind;
    decision_.entity_id = std::move(id);
  }

  Decision Run() {
    if (stored_ != nullptr && IsMadeOnce(adapter_, scratch_.after)) {
      End(Outcome::kRepeat, "already_made");
    } else if (record_.gone()) {
      RunGone();
    } else {
      RunAlive();
    }
    return std::move(decision_);
  }

 private:
  void End(Outcome outcome, std::string_view reason) {
    decision_.outcome = outcome;
    decision_.reason = reason;
  }

  void EndDead(std::string_view stage, std::string_view reason, std::string message) {
    End(Outcome::kDead, reason);
    decision_.stage = stage;
    decision_.message = std::move(message);
  }

  bool ReadBeforeStored() const {
    return record_.has_observed_at() && stored_->has_observed_at() &&
           Before(record_.observed_at(), stored_->observed_at());
  }

  bool ReadAfterStoredBy(int64_t seconds) const {
    return record_.has_observed_at() && stored_->has_observed_at() &&
           record_.observed_at().seconds() - stored_->observed_at().seconds() >= seconds;
  }

  // False: ended as a dead letter.
  bool ReadStored() {
    if (scratch_.before.ParseFromString(T::Bytes(*stored_))) {
      return true;
    }
    EndDead("decode", "unreadable_state", "the kept state can't be read");
    return false;
  }

  void RunGone() {
    if (stored_ == nullptr) {
      return End(Outcome::kIgnored, "never_seen");
    }
    if (stored_->gone()) {
      return End(Outcome::kRepeat, "already_deleted");
    }
    if (ReadBeforeStored()) {
      return End(Outcome::kRepeat, "older_observation");
    }
    if (!ReadStored()) {
      return;
    }
    const bool known_deleted = T::IsDeleted(scratch_.before);
    scratch_.after = scratch_.before;
    T::SetDeleted(scratch_.after, record_);
    content_ = scratch_.after.SerializeAsString();
    MakeState(stored_->version());
    next_.set_gone(true);
    if (known_deleted) {
      // In the bin before, and now for good: subscribers know it as deleted.
      next_.set_revision(stored_->revision());
      next_.set_unannounced(stored_->unannounced());
      KeepState();
      return End(Outcome::kRepeat, "already_deleted");
    }
    Emit(T::kDeleted,
         domain::ChangedFields(&scratch_.before, scratch_.after),
         /*has_before=*/false);
    Finish();
  }

  void RunAlive() {
    if (stored_ != nullptr) {
      if (record_.version() < stored_->version() ||
          (stored_->gone() && record_.version() == stored_->version() &&
           !ReadAfterStoredBy(kLongestLag))) {
        return End(Outcome::kRepeat, "older_version");
      }
      if ((stored_->gone() || record_.version() == stored_->version()) && ReadBeforeStored()) {
        return End(Outcome::kRepeat, "older_observation");
      }
    }
    if (!MapRecord()) {
      return;
    }
    content_ = scratch_.after.SerializeAsString();
    if (stored_ == nullptr || stored_->unannounced()) {
      return RunUnannounced();
    }
    if (!stored_->gone() && record_.version() == stored_->version() &&
        content_ == T::Bytes(*stored_)) {
      if (ReadAfterStoredBy(kObservedGrain)) {
        // So that an older observation that comes late is known as one.
        MakeState(record_.version());
        next_.set_revision(stored_->revision());
        KeepState();
      }
      return End(Outcome::kRepeat, "unchanged");
    }
    std::vector<std::string> changed;
    if (!FindChanges(changed)) {
      return;
    }
    MakeState(record_.version());
    if (T::IsNoNews(changed) && !stored_->gone()) {
      next_.set_revision(record_.version() == stored_->version() ? stored_->revision() : 0);
      KeepState();
      return End(Outcome::kRepeat, "unchanged");
    }
    Emit(T::IsDeleted(scratch_.after) ? T::kDeleted : T::kUpdated,
         std::move(changed),
         /*has_before=*/true);
    Finish();
  }

  // Subscribers don't know it yet.
  void RunUnannounced() {
    MakeState(record_.version());
    if (T::IsDeleted(scratch_.after)) {
      next_.set_unannounced(true);
      KeepState();
      return End(Outcome::kIgnored, "deleted_before_seen");
    }
    Emit(T::kCreated, domain::ChangedFields(nullptr, scratch_.after), /*has_before=*/false);
    Finish();
  }

  // False: the decision is made.
  bool MapRecord() {
    Entity& entity = scratch_.after;
    const Result<bool> mapped = Map(adapter_, record_, entity);
    if (ReasonOf(mapped.status()) == crm::kNotADeal) {
      End(Outcome::kIgnored, crm::kNotADeal);
      return false;
    }
    if (!mapped.ok()) {
      // A mapper has nothing to wait for: whatever it says, the record can't pass as it is.
      EndDead("map", ReasonOf(mapped.status()), std::string(mapped.status().message()));
      return false;
    }
    if (!*mapped) {
      End(Outcome::kIgnored, "not_a_request");
      return false;
    }
    entity.set_id(decision_.entity_id);
    entity.set_integration_id(record_.integration_id());
    entity.set_account_id(record_.account_id());
    entity.set_crm(record_.crm());
    entity.set_external_id(record_.external_id());
    return true;
  }

  // The names of the fields that differ from what is kept. False: ended as a dead letter. Leaves
  // scratch_.before read when the stage is among them.
  bool FindChanges(std::vector<std::string>& changed) {
    const auto numbers = stored_->shape() == shape_.current
                             ? DifferingFields(T::Bytes(*stored_), content_)
                             : std::nullopt;
    if (!numbers.has_value()) {
      // Written by another release.
      if (!ReadStored()) {
        return false;
      }
      changed = domain::ChangedFields(&scratch_.before, scratch_.after);
      LeaveOutNewFields(changed);
      return true;
    }
    const auto& type = *Entity::descriptor();
    for (const int number : *numbers) {
      if (const auto* field = type.FindFieldByNumber(number); field != nullptr) {
        changed.push_back(field->name());
      }
    }
    return !HasStage(changed) || ReadStored();
  }

  // What an older release couldn't know has not changed by becoming known.
  void LeaveOutNewFields(std::vector<std::string>& changed) const {
    for (const Shape::Added& added : shape_.added) {
      if (added.shape > stored_->shape() && added.entity == T::kKind) {
        changed.erase(std::remove(changed.begin(), changed.end(), added.field), changed.end());
      }
    }
  }

  void MakeState(int64_t version) {
    next_.Clear();
    next_.set_version(version);
    next_.set_shape(shape_.current);
    if (record_.has_observed_at()) {
      *next_.mutable_observed_at() = record_.observed_at();
    }
  }

  void KeepState() {
    T::MutableBytes(next_)->assign(content_);
    decision_.state.emplace();
    next_.SerializeToString(&*decision_.state);
  }

  template <typename Kind>
  void Emit(Kind kind, std::vector<std::string> changed, bool has_before) {
    if (stored_ != nullptr && !stored_->unannounced() && stored_->version() == next_.version()) {
      next_.set_revision(stored_->revision() + 1);
    }
    auto& event = scratch_.event;
    event.Clear();
    event.set_kind(kind);
    if (has_before && HasStage(changed)) {
      SetPreviousStage(scratch_.before, event);
    }
    for (std::string& field : changed) {
      *event.add_changed() = std::move(field);
    }
    event.set_cause(record_.cause());
    if (record_.has_observed_at()) {
      *event.mutable_observed_at() = record_.observed_at();
    }
    *event.mutable_notice_ids() = record_.notice_ids();
  }

  void Finish() {
    Event& event = decision_.event.emplace();
    event.id = hash_.HexOf(
        fmt::format(
            FMT_COMPILE("{}\n{}\n{}\n"), decision_.entity_id, next_.version(), next_.revision()),
        content_);
    scratch_.event.set_id(event.id);
    T::MutableBytes(scratch_.event)->assign(content_);
    scratch_.event.SerializeToString(&event.value);
    KeepState();
    if (T::kKind == EntityKind::kDeal && !T::IsDeleted(scratch_.after)) {
      event.snapshot = std::move(content_);
    }
    End(Outcome::kEmitted, "");
  }

  const crm::Adapter& adapter_;
  const Shape& shape_;
  const raw::v1::Record& record_;
  const wire::State* const stored_;
  wire::State& next_;
  Hash& hash_;
  Scratch::Entities<Entity>& scratch_;
  // The entity's bytes. Fields are written in the order of their numbers and there are no maps: the
  // same content gives the same bytes (other bytes are not proof of other content).
  std::string content_;
  Decision decision_;
};

Normalizer::Normalizer(const crm::Adapter& adapter, Shape shape)
    : adapter_(adapter), shape_(std::move(shape)), scratch_(std::make_unique<Scratch>()) {}

Normalizer::~Normalizer() = default;

Decision Normalizer::Apply(const raw::v1::Record& record, std::optional<std::string_view> stored) {
  if (record.crm() != adapter_.id()) {
    return Dead("decode",
                "wrong_crm",
                fmt::format("crm: got \"{}\", want \"{}\"", record.crm(), adapter_.id()));
  }
  std::string id = EntityIdOf(record);
  if (id.empty()) {
    return Dead("decode", "incomplete_record", "integration_id or external_id is empty");
  }
  const bool is_deal = record.purpose() == crm::Purpose::PURPOSE_DEALS;
  if (!is_deal && record.purpose() != crm::Purpose::PURPOSE_REQUESTS) {
    Decision decision;
    decision.outcome = Outcome::kIgnored;
    decision.reason = "other_purpose";
    decision.entity_id = std::move(id);
    return decision;
  }
  if (is_deal ? adapter_.deal_mapper() == nullptr : adapter_.request_mapper() == nullptr) {
    return Dead(
        "map",
        "no_mapper",
        fmt::format("the adapter {} maps no {}", adapter_.id(), is_deal ? "deals" : "requests"));
  }
  const wire::State* kept = nullptr;
  if (stored.has_value()) {
    wire::State& state = scratch_->stored;
    if (!state.ParseFromArray(stored->data(), static_cast<int>(stored->size())) ||
        !(is_deal ? state.has_deal() : state.has_request())) {
      return Dead("decode", "unreadable_state", "the kept state can't be read");
    }
    kept = &state;
  }
  return is_deal ? Step<Deal>(*this, record, kept, std::move(id)).Run()
                 : Step<Request>(*this, record, kept, std::move(id)).Run();
}

}  // namespace dealstream::normalizer
