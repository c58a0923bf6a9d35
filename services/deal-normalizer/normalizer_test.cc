#include "services/deal-normalizer/normalizer.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

#include "dealstream/state/v1/state.pb.h"
#include "libs/crm/api/fixture.h"
#include "libs/crm/registry.h"
#include "services/deal-normalizer/fake_adapter.h"
#include "services/deal-normalizer/wire.pb.h"

namespace dealstream::normalizer {
namespace {

using deal::v1::Deal;
using deal::v1::DealEvent;
using raw::v1::Record;
using state::v1::EntityState;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <typename Message>
Message Parse(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  EXPECT_TRUE(message.GetReflection()->GetUnknownFields(message).empty());
  return message;
}

class NormalizerTest : public testing::Test {
 protected:
  // Applies and keeps the state, as the shell does.
  Decision Apply(const Record& record) { return Apply(normalizer_, record); }

  Decision Apply(Normalizer& normalizer, const Record& record) {
    const std::string id = EntityIdOf(record);
    const auto found = states_.find(id);
    Decision decision = normalizer.Apply(
        record,
        found == states_.end() ? std::nullopt : std::optional<std::string_view>(found->second));
    if (decision.state.has_value()) {
      states_[id] = *decision.state;
    }
    return decision;
  }

  DealEvent ApplyEvent(const Record& record) {
    const Decision decision = Apply(record);
    EXPECT_EQ(decision.outcome, Outcome::kEmitted) << decision.reason << " " << decision.message;
    return decision.event.has_value() ? Parse<DealEvent>(decision.event->value) : DealEvent();
  }

  EntityState StateOf(const std::string& id) { return Parse<EntityState>(states_[id]); }

  const std::unique_ptr<crm::Adapter> adapter_ = MakeFakeAdapter();
  Normalizer normalizer_{*adapter_, CurrentShape()};
  std::map<std::string, std::string> states_;
};

#define EXPECT_END(decision, want_outcome, want_reason)                     \
  do {                                                                      \
    const Decision ended = (decision);                                      \
    EXPECT_EQ(ToText(ended.outcome), ToText(want_outcome));                 \
    EXPECT_EQ(ended.reason, want_reason);                                   \
    EXPECT_EQ(ended.event.has_value(), ended.outcome == Outcome::kEmitted); \
  } while (false)

TEST_F(NormalizerTest, FirstSightIsCreatedWithEveryFilledField) {
  Record record = FakeRecord("a", 5, R"(title: "00518" stage { id: "s1" })");
  record.add_notice_ids("n1");
  record.add_notice_ids("n2");
  const Decision decision = Apply(record);
  ASSERT_EQ(decision.outcome, Outcome::kEmitted);
  EXPECT_EQ(decision.entity_id, "int_1:a");
  const auto event = Parse<DealEvent>(decision.event->value);
  EXPECT_EQ(event.kind(), deal::v1::DEAL_EVENT_KIND_CREATED);
  EXPECT_EQ(event.id(), decision.event->id);
  EXPECT_EQ(event.id().size(), 32u);
  EXPECT_THAT(
      event.changed(),
      ElementsAre("id", "integration_id", "account_id", "crm", "external_id", "title", "stage"));
  EXPECT_FALSE(event.has_previous_stage());
  EXPECT_EQ(event.cause(), deal::v1::CAUSE_WEBHOOK);
  EXPECT_EQ(event.observed_at().seconds(), 5);
  EXPECT_THAT(event.notice_ids(), ElementsAre("n1", "n2"));
  EXPECT_EQ(event.deal().id(), "int_1:a");
  EXPECT_EQ(event.deal().integration_id(), "int_1");
  EXPECT_EQ(event.deal().account_id(), "tenant");
  EXPECT_EQ(event.deal().crm(), kFakeCrm);
  EXPECT_EQ(event.deal().external_id(), "a");
  EXPECT_EQ(*decision.event->snapshot, event.deal().SerializeAsString());
  const EntityState state = StateOf("int_1:a");
  EXPECT_EQ(state.version(), 5);
  EXPECT_EQ(state.shape(), CurrentShape().current);
  EXPECT_EQ(state.deal().SerializeAsString(), event.deal().SerializeAsString());
}

TEST_F(NormalizerTest, NewerVersionIsUpdatedAndNamesWhatChanged) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x" stage { id: "s1" } amount { units: 1 })"));
  const DealEvent event =
      ApplyEvent(FakeRecord("a", 6, R"(title: "x" stage { id: "s2" } amount { units: 0 })"));
  EXPECT_EQ(event.kind(), deal::v1::DEAL_EVENT_KIND_UPDATED);
  EXPECT_THAT(event.changed(), ElementsAre("amount", "stage"));
  EXPECT_EQ(event.previous_stage().id(), "s1");
}

TEST_F(NormalizerTest, PreviousStageOnlyWhenTheStageMovedFromOne) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  EXPECT_FALSE(
      ApplyEvent(FakeRecord("a", 6, R"(title: "x" stage { id: "s1" })")).has_previous_stage());
  EXPECT_FALSE(
      ApplyEvent(FakeRecord("a", 7, R"(title: "y" stage { id: "s1" })")).has_previous_stage());
  EXPECT_TRUE(ApplyEvent(FakeRecord("a", 8, R"(title: "y")")).has_previous_stage());
}

TEST_F(NormalizerTest, SameVersionAndContentIsARepeat) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  const Decision again = Apply(FakeRecord("a", 5, R"(title: "x")"));
  EXPECT_END(again, Outcome::kRepeat, "unchanged");
  EXPECT_FALSE(again.state.has_value());
}

// What was read before a repeat counts no more, though nothing came of the repeat.
TEST_F(NormalizerTest, ARepeatReadLaterMovesTheTimeOfReading) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  ApplyEvent(FakeRecord("a", 5, R"(title: "y")"));
  Record later = FakeRecord("a", 5, R"(title: "y")");
  later.mutable_observed_at()->set_seconds(5 + 59);
  EXPECT_FALSE(Apply(later).state.has_value());
  later.mutable_observed_at()->set_seconds(5 + 60);
  EXPECT_END(Apply(later), Outcome::kRepeat, "unchanged");
  EXPECT_EQ(StateOf("int_1:a").observed_at().seconds(), 65);
  EXPECT_EQ(StateOf("int_1:a").revision(), 1);
  Record before = FakeRecord("a", 5, R"(title: "z")");
  before.mutable_observed_at()->set_seconds(64);
  EXPECT_END(Apply(before), Outcome::kRepeat, "older_observation");
  EXPECT_END(Apply(FakeGone("a", 64)), Outcome::kRepeat, "older_observation");
}

TEST_F(NormalizerTest, NewerVersionWithTheSameContentIsARepeatAndTheVersionIsKept) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  EXPECT_END(Apply(FakeRecord("a", 7, R"(title: "x")")), Outcome::kRepeat, "unchanged");
  EXPECT_EQ(StateOf("int_1:a").version(), 7);
  EXPECT_END(Apply(FakeRecord("a", 6, R"(title: "y")")), Outcome::kRepeat, "older_version");
}

TEST_F(NormalizerTest, OlderVersionIsARepeat) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  EXPECT_END(Apply(FakeRecord("a", 4, R"(title: "y")")), Outcome::kRepeat, "older_version");
  EXPECT_EQ(StateOf("int_1:a").deal().title(), "x");
}

TEST_F(NormalizerTest, SameVersionAndOtherContentIsUpdatedWithAnIdOfItsOwnEachTime) {
  std::set<std::string> ids;
  ids.insert(ApplyEvent(FakeRecord("a", 5, R"(title: "x")")).id());
  ids.insert(ApplyEvent(FakeRecord("a", 5, R"(title: "y")")).id());
  // Back to what it was: subscribers who drop repeats by id must not drop this one.
  const DealEvent event = ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  ids.insert(event.id());
  EXPECT_EQ(event.kind(), deal::v1::DEAL_EVENT_KIND_UPDATED);
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_EQ(StateOf("int_1:a").revision(), 2);
}

TEST_F(NormalizerTest, SameVersionReadEarlierIsARepeat) {
  Record late = FakeRecord("a", 5, R"(title: "new agent")");
  late.mutable_observed_at()->set_seconds(60);
  Record early = FakeRecord("a", 5, R"(title: "old agent")");
  early.mutable_observed_at()->set_seconds(59);
  early.mutable_observed_at()->set_nanos(999'999'999);
  ApplyEvent(late);
  EXPECT_END(Apply(early), Outcome::kRepeat, "older_observation");
  early.clear_observed_at();
  EXPECT_END(Apply(early), Outcome::kEmitted, "");
}

TEST_F(NormalizerTest, ATouchIsNoNews) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x" updated_at { seconds: 5 })"));
  EXPECT_END(Apply(FakeRecord("a", 6, R"(title: "x" updated_at { seconds: 6 })")),
             Outcome::kRepeat,
             "unchanged");
  EXPECT_EQ(StateOf("int_1:a").version(), 6);
  EXPECT_THAT(ApplyEvent(FakeRecord("a", 7, R"(title: "y" updated_at { seconds: 7 })")).changed(),
              ElementsAre("title", "updated_at"));
}

TEST_F(NormalizerTest, IdIsDerivedFromTheChangeAlone) {
  const std::string id = ApplyEvent(FakeRecord("a", 5, R"(title: "x")")).id();
  states_.clear();
  Record other = FakeRecord("a", 5, R"(title: "x")");
  other.set_cause(deal::v1::CAUSE_BACKFILL);
  other.mutable_observed_at()->set_seconds(999);
  EXPECT_EQ(ApplyEvent(other).id(), id);
  states_.clear();
  EXPECT_NE(ApplyEvent(FakeRecord("a", 6, R"(title: "x")")).id(), id);
  states_.clear();
  EXPECT_NE(ApplyEvent(FakeRecord("b", 5, R"(title: "x")")).id(), id);
}

TEST_F(NormalizerTest, GoneIsDeletedOnceWithTheLastKnownFields) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x" stage { id: "s1" })"));
  Record gone = FakeGone("a", 6);
  gone.add_notice_ids("n");
  const Decision decision = Apply(gone);
  ASSERT_EQ(decision.outcome, Outcome::kEmitted);
  const auto event = Parse<DealEvent>(decision.event->value);
  EXPECT_EQ(event.kind(), deal::v1::DEAL_EVENT_KIND_DELETED);
  EXPECT_EQ(event.deal().title(), "x");
  EXPECT_TRUE(event.deal().deleted());
  EXPECT_THAT(event.changed(), ElementsAre("updated_at", "deleted"));
  EXPECT_THAT(event.notice_ids(), ElementsAre("n"));
  EXPECT_FALSE(event.has_previous_stage());
  EXPECT_FALSE(decision.event->snapshot.has_value());
  EXPECT_EQ(event.deal().updated_at().seconds(), 6);
  EXPECT_EQ(StateOf("int_1:a").version(), 5);
  EXPECT_END(Apply(FakeGone("a", 7)), Outcome::kRepeat, "already_deleted");
}

TEST_F(NormalizerTest, GoneReadBeforeTheKeptStateIsARepeat) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  EXPECT_END(Apply(FakeGone("a", 4)), Outcome::kRepeat, "older_observation");
}

TEST_F(NormalizerTest, GoneAndNeverSeenIsIgnored) {
  const Decision decision = Apply(FakeGone("a", 1));
  EXPECT_END(decision, Outcome::kIgnored, "never_seen");
  EXPECT_FALSE(decision.state.has_value());
}

TEST_F(NormalizerTest, AfterGoneTheSameVersionRevivesOnlyLongAfter) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  const std::string deleted = ApplyEvent(FakeGone("a", 6)).id();
  Record same = FakeRecord("a", 5, R"(title: "x")");
  same.mutable_observed_at()->set_seconds(6 + 599);
  EXPECT_END(Apply(same), Outcome::kRepeat, "older_version");
  // It was no deletion then: a right or a setting hid the deal for a while.
  same.mutable_observed_at()->set_seconds(6 + 600);
  const DealEvent event = ApplyEvent(same);
  EXPECT_EQ(event.kind(), deal::v1::DEAL_EVENT_KIND_UPDATED);
  EXPECT_THAT(event.changed(), ElementsAre("updated_at", "deleted"));
  EXPECT_NE(event.id(), deleted);
  EXPECT_FALSE(StateOf("int_1:a").gone());
  Record older = FakeRecord("a", 4, R"(title: "w")");
  older.mutable_observed_at()->set_seconds(10'000);
  EXPECT_END(Apply(older), Outcome::kRepeat, "older_version");
}

TEST_F(NormalizerTest, AfterGoneANewerVersionRevives) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  ApplyEvent(FakeGone("a", 6));
  Record same = FakeRecord("a", 5, R"(title: "x")");
  same.mutable_observed_at()->set_seconds(7);
  EXPECT_END(Apply(same), Outcome::kRepeat, "older_version");
  EXPECT_END(Apply(FakeRecord("a", 4, R"(title: "w")")), Outcome::kRepeat, "older_version");
  const Decision decision = Apply(FakeRecord("a", 8, R"(title: "x")"));
  ASSERT_EQ(decision.outcome, Outcome::kEmitted);
  const auto event = Parse<DealEvent>(decision.event->value);
  EXPECT_EQ(event.kind(), deal::v1::DEAL_EVENT_KIND_UPDATED);
  EXPECT_FALSE(event.deal().deleted());
  EXPECT_THAT(event.changed(), ElementsAre("updated_at", "deleted"));
  EXPECT_TRUE(decision.event->snapshot.has_value());
  EXPECT_FALSE(StateOf("int_1:a").gone());
}

TEST_F(NormalizerTest, WhatWasReadBeforeItWasGoneRevivesNothing) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  ApplyEvent(FakeGone("a", 9));
  // Newer than what was known, but read at 8 and written down late.
  Record late = FakeRecord("a", 7, R"(title: "y")");
  late.mutable_observed_at()->set_seconds(8);
  EXPECT_END(Apply(late), Outcome::kRepeat, "older_observation");
  EXPECT_TRUE(StateOf("int_1:a").gone());
}

TEST_F(NormalizerTest, IntoTheBinIsDeletedAndOutOfItUpdated) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  const Decision binned = Apply(FakeRecord("a", 6, R"(title: "x" deleted: true)"));
  ASSERT_EQ(binned.outcome, Outcome::kEmitted);
  EXPECT_EQ(Parse<DealEvent>(binned.event->value).kind(), deal::v1::DEAL_EVENT_KIND_DELETED);
  EXPECT_FALSE(binned.event->snapshot.has_value());
  const DealEvent restored = ApplyEvent(FakeRecord("a", 7, R"(title: "x")"));
  EXPECT_EQ(restored.kind(), deal::v1::DEAL_EVENT_KIND_UPDATED);
  EXPECT_THAT(restored.changed(), ElementsAre("deleted"));
}

TEST_F(NormalizerTest, OutOfTheBinAndGoneIsARepeat) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  ApplyEvent(FakeRecord("a", 6, R"(title: "x" deleted: true)"));
  EXPECT_END(Apply(FakeGone("a", 7)), Outcome::kRepeat, "already_deleted");
  EXPECT_TRUE(StateOf("int_1:a").gone());
  EXPECT_END(Apply(FakeRecord("a", 6, R"(title: "x")")), Outcome::kRepeat, "older_version");
  EXPECT_EQ(ApplyEvent(FakeRecord("a", 8, R"(title: "x")")).kind(),
            deal::v1::DEAL_EVENT_KIND_UPDATED);
}

TEST_F(NormalizerTest, DeletedBeforeSeenIsKeptAndCreatedWhenRestored) {
  EXPECT_END(Apply(FakeRecord("a", 5, R"(title: "x" deleted: true)")),
             Outcome::kIgnored,
             "deleted_before_seen");
  EXPECT_END(Apply(FakeRecord("a", 6, R"(title: "y" deleted: true)")),
             Outcome::kIgnored,
             "deleted_before_seen");
  EXPECT_END(Apply(FakeRecord("a", 4, R"(title: "x")")), Outcome::kRepeat, "older_version");
  EXPECT_END(Apply(FakeGone("a", 7)), Outcome::kRepeat, "already_deleted");
  const DealEvent event = ApplyEvent(FakeRecord("a", 8, R"(title: "z")"));
  EXPECT_EQ(event.kind(), deal::v1::DEAL_EVENT_KIND_CREATED);
  EXPECT_THAT(event.changed(), testing::Contains("title"));
  EXPECT_EQ(ApplyEvent(FakeRecord("a", 9, R"(title: "w")")).kind(),
            deal::v1::DEAL_EVENT_KIND_UPDATED);
}

TEST_F(NormalizerTest, FieldsOfANewerShapeAreFilledInSilently) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  Normalizer next(*adapter_, Shape{.current = 2, .added = {{2, EntityKind::kDeal, "url"}}});
  EXPECT_END(
      Apply(next, FakeRecord("a", 5, R"(title: "x" url: "u")")), Outcome::kRepeat, "unchanged");
  EXPECT_EQ(StateOf("int_1:a").shape(), 2);
  EXPECT_EQ(StateOf("int_1:a").deal().url(), "u");
  // From then on it counts.
  EXPECT_END(Apply(next, FakeRecord("a", 5, R"(title: "x" url: "v")")), Outcome::kEmitted, "");
}

TEST_F(NormalizerTest, ANewFieldIsLeftOutOfARealChangeToo) {
  ApplyEvent(FakeRecord("a", 5, R"(title: "x")"));
  Normalizer next(
      *adapter_,
      Shape{.current = 3,
            .added = {{2, EntityKind::kRequest, "title"}, {3, EntityKind::kDeal, "url"}}});
  const Decision decision = Apply(next, FakeRecord("a", 6, R"(title: "y" url: "u")"));
  ASSERT_EQ(decision.outcome, Outcome::kEmitted);
  const auto event = Parse<DealEvent>(decision.event->value);
  EXPECT_THAT(event.changed(), ElementsAre("title"));
  EXPECT_EQ(event.deal().url(), "u");
}

// Counts the fields of a message and of those within it.
size_t CountFields(const google::protobuf::Descriptor& message,
                   std::set<std::string>& seen) {  // NOLINT(misc-no-recursion)
  size_t count = 0;
  if (seen.insert(message.full_name()).second) {
    for (int i = 0; i < message.field_count(); ++i) {
      const auto* nested = message.field(i)->message_type();
      count += 1 + (nested == nullptr ? 0 : CountFields(*nested, seen));
    }
  }
  return count;
}

TEST_F(NormalizerTest, EveryFieldBelongsToAShape) {
  std::set<std::string> seen;
  const size_t fields = CountFields(*Deal::descriptor(), seen) +
                        CountFields(*request::v1::Request::descriptor(), seen);
  // 81 are of shape 1. A field within a part of a deal is told by the part: "items".
  EXPECT_EQ(fields, 81 + CurrentShape().added.size())
      << "add a line to CurrentShape() for the new field, or every stored deal is an event";
}

TEST_F(NormalizerTest, WhatCannotPassIsADeadLetter) {
  EXPECT_END(Apply(FakeRecord("a", 5, "!")), Outcome::kDead, "invalid_argument");
  EXPECT_END(Apply(FakeRecord("a", 5, "!internal")), Outcome::kDead, "internal");
  EXPECT_END(Apply(FakeRecord("", 5, "")), Outcome::kDead, "incomplete_record");
  Record record = FakeRecord("a", 5, "");
  record.set_integration_id("");
  EXPECT_END(Apply(record), Outcome::kDead, "incomplete_record");
  record = FakeRecord("a", 5, "");
  record.set_crm("other");
  EXPECT_END(Apply(record), Outcome::kDead, "wrong_crm");
  EXPECT_TRUE(states_.empty());
  const Decision decision = Apply(FakeRecord("a", 5, "!"));
  EXPECT_EQ(decision.stage, "map");
  EXPECT_EQ(decision.message, "fake part 0: want text format");
}

TEST_F(NormalizerTest, WhatIsNoDealIsIgnored) {
  const Decision decision = Apply(FakeRecord("a", 5, "!none"));
  EXPECT_END(decision, Outcome::kIgnored, "not_a_deal");
  EXPECT_FALSE(decision.state.has_value());
  EXPECT_EQ(Apply(FakeRecord("a", 6, R"(title: "x")")).outcome, Outcome::kEmitted);
}

TEST_F(NormalizerTest, OtherPurposesAreIgnored) {
  Record record = FakeRecord("a", 5, "");
  record.set_purpose(crm::Purpose::PURPOSE_TELEPHONY);
  EXPECT_END(Apply(record), Outcome::kIgnored, "other_purpose");
}

TEST_F(NormalizerTest, StateThatCannotBeReadIsADeadLetter) {
  states_["int_1:a"] = "\xFF";
  EXPECT_END(Apply(FakeRecord("a", 5, "")), Outcome::kDead, "unreadable_state");
  EntityState request;
  request.mutable_request();
  states_["int_1:a"] = request.SerializeAsString();
  EXPECT_END(Apply(FakeRecord("a", 5, "")), Outcome::kDead, "unreadable_state");
}

TEST_F(NormalizerTest, AdapterWithoutAMapperIsADeadLetter) {
  class Bare final : public crm::CredentialType, public crm::Adapter {
   public:
    std::vector<crm::CredentialFieldSpec> Fields() const override { return {}; }
    Result<std::string> CrmAccountId(const crm::CredentialFields&) const override { return ""; }
    Result<crm::Access> MakeAccess(const crm::CredentialFields&, http::Transport&) const override {
      return absl::UnimplementedError("");
    }
    std::string_view id() const override { return kFakeCrm; }
    std::string_view display_name() const override { return ""; }
    std::vector<crm::Purpose> Purposes() const override { return {}; }
    const google::protobuf::Message& SettingsPrototype() const override {
      return google::protobuf::Any::default_instance();
    }
    Status CheckSettings(const google::protobuf::Any&, crm::Purpose) const override {
      return absl::OkStatus();
    }
    crm::RateLimit Limit(const google::protobuf::Any&) const override { return {}; }
    std::vector<std::string> AllowedHostSuffixes() const override { return {}; }
    absl::Duration SweepInterval() const override { return absl::ZeroDuration(); }
    const crm::CredentialType& credential() const override { return *this; }
  };
  const Bare bare;
  Normalizer normalizer(bare, CurrentShape());
  EXPECT_END(Apply(normalizer, FakeRecord("a", 5, "")), Outcome::kDead, "no_mapper");
}

// ---- Requests ----------------------------------------------------------------------------------

Record FakeRequest(std::string_view external_id, int64_t version, std::string_view body) {
  Record record = FakeRecord(external_id, version, body);
  record.set_purpose(crm::Purpose::PURPOSE_REQUESTS);
  return record;
}

TEST_F(NormalizerTest, RequestsFollowTheSameRules) {
  const Decision created = Apply(FakeRequest("r", 5, R"(text: "call me")"));
  ASSERT_EQ(created.outcome, Outcome::kEmitted);
  EXPECT_EQ(created.entity_kind, EntityKind::kRequest);
  EXPECT_FALSE(created.event->snapshot.has_value());
  auto event = Parse<request::v1::RequestEvent>(created.event->value);
  EXPECT_EQ(event.kind(), request::v1::REQUEST_EVENT_KIND_CREATED);
  EXPECT_EQ(event.request().text(), "call me");
  EXPECT_EQ(event.request().id(), "int_1:r");
  EXPECT_EQ(event.id(), created.event->id);

  EXPECT_END(Apply(FakeRequest("r", 5, R"(text: "call me")")), Outcome::kRepeat, "unchanged");
  EXPECT_END(Apply(FakeRequest("r", 4, "")), Outcome::kRepeat, "older_version");
  EXPECT_END(Apply(FakeRequest("x", 4, "!none")), Outcome::kIgnored, "not_a_request");

  const Decision updated = Apply(FakeRequest("r", 6, R"(text: "now")"));
  event = Parse<request::v1::RequestEvent>(updated.event->value);
  EXPECT_EQ(event.kind(), request::v1::REQUEST_EVENT_KIND_UPDATED);
  EXPECT_THAT(event.changed(), ElementsAre("text"));

  Record gone = FakeGone("r", 7);
  gone.set_purpose(crm::Purpose::PURPOSE_REQUESTS);
  const Decision deleted = Apply(gone);
  event = Parse<request::v1::RequestEvent>(deleted.event->value);
  EXPECT_EQ(event.kind(), request::v1::REQUEST_EVENT_KIND_DELETED);
  EXPECT_EQ(event.request().text(), "now");
  EXPECT_THAT(event.changed(), IsEmpty());
  EXPECT_END(Apply(gone), Outcome::kRepeat, "already_deleted");

  const Decision revived = Apply(FakeRequest("r", 8, R"(text: "now")"));
  event = Parse<request::v1::RequestEvent>(revived.event->value);
  EXPECT_EQ(event.kind(), request::v1::REQUEST_EVENT_KIND_UPDATED);
}

TEST_F(NormalizerTest, RequestThatIsMadeOnceHasOneEvent) {
  const auto adapter = MakeFakeAdapter(/*requests_are_made_once=*/true);
  Normalizer once(*adapter, CurrentShape());
  EXPECT_END(Apply(once, FakeRequest("r", 5, "!none")), Outcome::kIgnored, "not_a_request");
  EXPECT_EQ(Apply(once, FakeRequest("r", 6, R"(text: "call me")")).outcome, Outcome::kEmitted);
  EXPECT_END(Apply(once, FakeRequest("r", 7, R"(text: "now")")), Outcome::kRepeat, "already_made");
  Record gone = FakeGone("r", 8);
  gone.set_purpose(crm::Purpose::PURPOSE_REQUESTS);
  EXPECT_END(Apply(once, gone), Outcome::kRepeat, "already_made");
  // Deals of the same CRM go on changing.
  EXPECT_EQ(Apply(once, FakeRecord("d", 5, R"(title: "x")")).outcome, Outcome::kEmitted);
  EXPECT_EQ(Apply(once, FakeRecord("d", 6, R"(title: "y")")).outcome, Outcome::kEmitted);
}

// K6 K7: what an adapter's mapper makes of its own cases goes out as requests.
TEST(RealRequestMappersTest, EachRequestIsOneEvent) {
  const crm::Registry registry = crm::AllAdapters();
  int events = 0;
  for (const auto& adapter : registry.adapters()) {
    if (adapter->request_mapper() == nullptr) {
      continue;
    }
    auto cases = crm::fixture::LoadRequestCases(
        *adapter, fmt::format("{}/libs/crm/{}/testdata", DEALSTREAM_SOURCE_DIR, adapter->id()));
    ASSERT_TRUE(cases.ok()) << cases.status();
    Normalizer normalizer(*adapter, CurrentShape());
    for (auto& one : *cases) {
      one.record.set_integration_id("int_1");
      one.record.set_account_id("tenant");
      one.record.set_external_id("7");
      one.record.set_version(1);
      const Decision decision = normalizer.Apply(one.record, std::nullopt);
      const std::string mapped = crm::fixture::MapToText(*adapter, one.record);
      EXPECT_EQ(decision.entity_kind, EntityKind::kRequest) << one.name;
      if (mapped.starts_with("error:")) {
        EXPECT_END(decision, Outcome::kDead, decision.reason);
        continue;
      }
      if (mapped == "not a request\n") {
        EXPECT_END(decision, Outcome::kIgnored, "not_a_request");
        continue;
      }
      ASSERT_EQ(decision.outcome, Outcome::kEmitted) << one.name << decision.message;
      const auto event = Parse<request::v1::RequestEvent>(decision.event->value);
      EXPECT_EQ(event.kind(), request::v1::REQUEST_EVENT_KIND_CREATED);
      EXPECT_EQ(event.request().id(), "int_1:7");
      EXPECT_EQ(event.request().crm(), adapter->id());
      EXPECT_FALSE(decision.event->snapshot.has_value()) << "snapshots are of deals";
      ++events;
      // Told of again, moved, then removed.
      const Decision again = normalizer.Apply(one.record, *decision.state);
      EXPECT_EQ(again.outcome, Outcome::kRepeat) << one.name;
      if (adapter->request_mapper()->IsMadeOnce()) {
        one.record.set_version(2);
        EXPECT_END(normalizer.Apply(one.record, *decision.state), Outcome::kRepeat, "already_made");
        one.record.set_gone(true);
        EXPECT_END(normalizer.Apply(one.record, *decision.state), Outcome::kRepeat, "already_made");
      }
    }
  }
  EXPECT_GT(events, 10);
}

// ---- The wire twins ----------------------------------------------------------------------------

void ExpectSameFields(const google::protobuf::Descriptor* wire,
                      const google::protobuf::Descriptor* real) {
  ASSERT_EQ(wire->field_count(), real->field_count()) << real->full_name();
  for (int i = 0; i < real->field_count(); ++i) {
    const auto* want = real->field(i);
    const auto* got = wire->FindFieldByNumber(want->number());
    ASSERT_NE(got, nullptr) << want->full_name();
    EXPECT_EQ(got->name(), want->name());
    EXPECT_EQ(got->is_repeated(), want->is_repeated()) << want->full_name();
    EXPECT_EQ(google::protobuf::FieldDescriptor::TypeName(got->type()) == std::string("bytes"),
              want->name() == "deal" || want->name() == "request")
        << want->full_name();
  }
}

TEST(WireTest, IsTheSameAsTheContract) {
  ExpectSameFields(wire::State::descriptor(), EntityState::descriptor());
  ExpectSameFields(wire::DealEvent::descriptor(), DealEvent::descriptor());
  ExpectSameFields(wire::RequestEvent::descriptor(), request::v1::RequestEvent::descriptor());
}

// ---- Properties --------------------------------------------------------------------------------

// The life of one deal at the CRM: version 1, 2, ... each with content of its own, some in the bin.
std::vector<Record> Life(std::mt19937& random, int versions) {
  std::vector<Record> life;
  for (int version = 1; version <= versions; ++version) {
    const bool deleted = version > 1 && random() % 4 == 0;
    life.push_back(FakeRecord("a",
                              version,
                              fmt::format(R"(title: "{}" stage {{ id: "s{}" }} deleted: {})",
                                          random() % 3,
                                          random() % 3,
                                          deleted)));
  }
  return life;
}

// Whatever is repeated or comes in another order: the kept deal is the last version's, the last
// event says so, versions go up, and none is sent twice.
TEST_F(NormalizerTest, AnyOrderWithRepeatsEndsInTheLastVersion) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    states_.clear();
    const std::vector<Record> life = Life(random, 1 + static_cast<int>(random() % 8));
    std::vector<Record> delivered = life;
    for (size_t repeats = random() % 10; repeats > 0; --repeats) {
      delivered.push_back(life[random() % life.size()]);
    }
    std::shuffle(delivered.begin(), delivered.end(), random);

    int64_t last_version = 0;
    std::set<std::string> ids;
    std::optional<DealEvent> last;
    for (const Record& record : delivered) {
      const Decision decision = Apply(record);
      if (decision.event.has_value()) {
        EXPECT_GT(record.version(), last_version) << "seed " << seed;
        last_version = record.version();
        EXPECT_TRUE(ids.insert(decision.event->id).second) << "seed " << seed;
        const auto event = Parse<DealEvent>(decision.event->value);
        EXPECT_EQ(event.kind() == deal::v1::DEAL_EVENT_KIND_CREATED, !last.has_value());
        EXPECT_EQ(event.kind() == deal::v1::DEAL_EVENT_KIND_DELETED, event.deal().deleted());
        EXPECT_EQ(decision.event->snapshot.has_value(), !event.deal().deleted());
        last = event;
      }
    }
    const EntityState state = StateOf("int_1:a");
    EXPECT_EQ(state.version(), life.back().version()) << "seed " << seed;
    Deal truth;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(life.back().parts(0).body(), &truth));
    EXPECT_EQ(state.deal().title(), truth.title()) << "seed " << seed;
    EXPECT_EQ(state.deal().deleted(), truth.deleted()) << "seed " << seed;
    if (last.has_value()) {
      EXPECT_EQ(last->deal().SerializeAsString(), state.deal().SerializeAsString());
    } else {
      EXPECT_TRUE(state.unannounced());
    }
  }
}

// With deletions for good in their place of the order, and every record delivered again at any
// later time: the same end as without repeats, and the same events.
TEST_F(NormalizerTest, LateRepeatsChangeNothing) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    std::vector<Record> life = Life(random, 1 + static_cast<int>(random() % 6));
    if (random() % 2 == 0) {
      life.push_back(FakeGone("a", life.back().version()));
    }
    states_.clear();
    std::vector<std::string> once;
    for (const Record& record : life) {
      if (const Decision decision = Apply(record); decision.event.has_value()) {
        once.push_back(decision.event->id);
      }
    }
    const auto end = states_;

    states_.clear();
    std::vector<std::string> repeated;
    for (size_t i = 0; i < life.size(); ++i) {
      for (size_t times = 1 + random() % 4; times > 0; --times) {
        const Record& record = times == 1 ? life[i] : life[random() % (i + 1)];
        // A repeat is the same bytes: it was read when it was read.
        if (const Decision decision = Apply(record); decision.event.has_value()) {
          repeated.push_back(decision.event->id);
        }
      }
      if (const Decision decision = Apply(life[i]); decision.event.has_value()) {
        repeated.push_back(decision.event->id);
      }
    }
    EXPECT_EQ(repeated, once) << "seed " << seed;
    EXPECT_EQ(states_, end) << "seed " << seed;
  }
}

TEST_F(NormalizerTest, SameRecordAndStateGiveTheSameBytes) {
  std::mt19937 random(1);
  Normalizer other(*adapter_, CurrentShape());
  for (const Record& record : Life(random, 50)) {
    const auto found = states_.find("int_1:a");
    const std::optional<std::string> stored =
        found == states_.end() ? std::nullopt : std::optional(found->second);
    const Decision twin = other.Apply(record, stored);
    const Decision decision = Apply(record);
    EXPECT_EQ(decision.state, twin.state);
    ASSERT_EQ(decision.event.has_value(), twin.event.has_value());
    if (decision.event.has_value()) {
      EXPECT_EQ(decision.event->value, twin.event->value);
      EXPECT_EQ(decision.event->snapshot, twin.event->snapshot);
    }
  }
}

}  // namespace
}  // namespace dealstream::normalizer
