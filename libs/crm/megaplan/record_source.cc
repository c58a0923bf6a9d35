#include "libs/crm/megaplan/record_source.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>

#include "libs/base/strings.h"
#include "libs/crm/api/json.h"
#include "libs/crm/api/place.h"
#include "libs/crm/megaplan/client.h"
#include "libs/crm/megaplan/wire.h"

namespace dealstream::crm::megaplan {
namespace {

// How far before the newest deal of the last pass the next one begins. Source: README.md#polling.
constexpr auto kOverlap = absl::Hours(1);
// A deal said to be dropped that is still there is asked for again after so long.
constexpr auto kDropSettles = absl::Seconds(5);
// The last deals of a page, behind any of which the next one may begin: one may have gone away.
constexpr size_t kRememberedDeals = 3;
// How often a pass goes back to the front because all of these went away.
constexpr int kMostRestarts = 3;

// Kind of a reference; `dropped_at` where an event said that the deal was dropped.
Status CheckRef(const ObjectRef& ref, std::optional<absl::Time>& dropped_at) {
  if (IsId(ref.external_id) && ref.kind == kDeal) {
    return absl::OkStatus();
  }
  int64_t seconds = 0;
  if (IsId(ref.external_id) && ref.kind.starts_with(kDroppedDealPrefix) &&
      absl::SimpleAtoi(ref.kind.substr(kDroppedDealPrefix.size()), &seconds)) {
    dropped_at = absl::FromUnixSeconds(seconds);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      fmt::format("read: got {} \"{}\", want a {} and its id of digits",
                  ref.kind.substr(0, 100),
                  ref.external_id.substr(0, 100),
                  kDeal));
}

// Whether the answers say nothing of a linked entity but that it exists.
bool IsUnknown(const Answers& answers, const Value& entity) {
  return entity.IsObject() && IsId(IdOf(entity)) && !PathOf(ContentTypeOf(entity)).empty() &&
         answers.NameOf(entity).empty();
}

// The first entity that has to be read by itself; none when the answers hold all that a deal is
// made of, or what they lack was `tried`.
Value NextUnknown(const Answers& answers, const Value& deal, const std::vector<Value>& tried) {
  const auto is_new = [&tried](const Value& entity) {
    return std::none_of(tried.begin(), tried.end(), [&entity](const Value& other) {
      return SameEntity(entity, other);
    });
  };
  for (std::string_view field :
       std::to_array<std::string_view>({"manager", "contractor", "contact", "payer", "program"})) {
    const Value entity = deal[field];
    if (IsUnknown(answers, entity) && is_new(entity)) {
      return entity;
    }
  }
  // The scheme says what its stages are called and what they mean.
  const Value state = deal["state"];
  const Value program = deal["program"];
  const bool stage_unknown = state.IsObject() && (answers.FieldText(state, "name").empty() ||
                                                  answers.FieldText(state, "type").empty());
  if (stage_unknown && IsId(IdOf(program)) && ContentTypeOf(program) == kProgramType &&
      is_new(program)) {
    return program;
  }
  return {};
}

// Reads what the deal only links to. What is gone, or may not be seen, stays a link.
Status ReadLinked(Client& client, const Answers& answers, const Value& deal, ReadObject& object) {
  std::vector<Value> tried;
  for (Value entity = NextUnknown(answers, deal, tried); entity.IsObject();
       entity = NextUnknown(answers, deal, tried)) {
    tried.push_back(entity);
    auto answer = client.GetEntity(ContentTypeOf(entity), IdOf(entity));
    if (absl::IsNotFound(answer.status()) || (absl::IsPermissionDenied(answer.status()) &&
                                              ReasonOf(answer.status()) == kObjectForbidden)) {
      continue;
    }
    DEALSTREAM_RETURN_IF_ERROR(answer.status());
    if (!answer->data.IsObject()) {
      return answer->data.Wrong("an object in data");
    }
    object.parts.emplace_back(kEntityPart, std::move(answer->body));
  }
  return absl::OkStatus();
}

// Where a page begins: "<ms of from>/<ms of the pass's newest>/<id>,<id>,<id>/<restarts>", and
// "/<gone>" behind that where it isn't 0.
struct PageToken {
  // Deals changed at this instant or later are listed.
  absl::Time from;
  // The newest change that the pass has seen: where the next pass begins.
  absl::Time newest;
  // The last deals listed, the very last first: the page begins behind the first of them that is
  // still there. Empty: at the front.
  std::vector<std::string> after;
  int restarts = 0;
  // So many of them seem to be gone; fewer than all.
  size_t gone = 0;

  // The deal that the page begins behind; empty: at the front.
  std::string_view Place() const { return after.empty() ? std::string_view() : after[gone]; }

  std::string ToText() const {
    return fmt::format("{}/{}/{}/{}{}",
                       absl::ToUnixMillis(from),
                       absl::ToUnixMillis(newest),
                       fmt::join(after, ","),
                       restarts,
                       gone == 0 ? "" : fmt::format("/{}", gone));
  }

  static Result<PageToken> Parse(std::string_view text) {
    const std::vector<std::string> parts = absl::StrSplit(ToAbsl(text), '/');
    PageToken token;
    int64_t from = 0;
    int64_t newest = 0;
    bool good = (parts.size() == 4 || parts.size() == 5) && absl::SimpleAtoi(parts[0], &from) &&
                absl::SimpleAtoi(parts[1], &newest) &&
                absl::SimpleAtoi(parts[3], &token.restarts) &&
                (parts.size() == 4 || absl::SimpleAtoi(parts[4], &token.gone));
    if (good) {
      token.after = absl::StrSplit(parts[2], ',', absl::SkipEmpty());
      good = token.after.size() <= kRememberedDeals &&
             (token.gone == 0 || token.gone < token.after.size()) &&
             std::all_of(token.after.begin(), token.after.end(), IsId);
    }
    if (!good) {
      return BadPageToken(text);
    }
    token.from = absl::FromUnixMillis(from);
    token.newest = absl::FromUnixMillis(newest);
    return token;
  }
};

// No pass begins behind `now`: a time that is yet to come would list nothing until then.
Result<PageToken> FirstPage(const ListRequest& request, absl::Time now) {
  PageToken token;
  token.from = request.from;
  if (!request.cursor.empty()) {
    DEALSTREAM_ASSIGN_OR_RETURN(const absl::Time cursor, ParseCursor(request.cursor));
    token.newest = std::min(cursor, now);
    token.from = std::max(token.newest - kOverlap, absl::UnixEpoch());
    return token;
  }
  // A range may have no beginning.
  token.from = std::max(token.from, absl::UnixEpoch());
  token.newest = token.from;
  return token;
}

// What a place behind a deal that is gone gives isn't documented: a refusal, or no rows. No rows
// may be the end as well, which the deal before it shows.
bool IsPlaceGone(const PageToken& token, const Result<Client::Answer>& answer) {
  if (token.after.empty()) {
    return false;
  }
  return answer.ok()
             ? answer->data.kind() == Value::Kind::kArray && answer->data.IsEmpty()
             : absl::IsNotFound(answer.status()) || absl::IsInvalidArgument(answer.status());
}

// The page begins behind a deal that is no more, as it seems: behind the one before it, then, and
// at the front when there is none. In the end the pass fails rather than leave out the rest.
Result<PageToken> WithoutPlace(PageToken token) {
  if (++token.gone < token.after.size()) {
    return token;
  }
  if (++token.restarts > kMostRestarts) {
    return WithReason(absl::DataLossError(fmt::format(
                          "list_deals: got no place behind any of {} for the fourth time, want one",
                          fmt::join(token.after, ", "))),
                      "place_is_gone");
  }
  token.after.clear();
  token.gone = 0;
  return token;
}

bool IsLastPage(const PageToken& token, const internal::DealPage& page, bool has_more) {
  if (page.rows == 0 || (page.rows < Client::kPageSize && !has_more)) {
    return true;
  }
  std::vector<absl::Time> times;
  for (const internal::ListedDeal& deal : page.deals) {
    if (deal.updated.has_value()) {
      times.push_back(*deal.updated);
    }
  }
  // A page that isn't in order says nothing of the next one.
  const bool in_order = std::is_sorted(times.begin(), times.end(), std::greater<>());
  const bool reached = in_order && !times.empty() && times.back() < token.from;
  // It ends where the last one did: behind that deal nothing was, or the place was ignored.
  const bool no_progress = !token.after.empty() && page.deals.back().id == token.after.front();
  return reached || no_progress;
}

// The token of the page behind this one, which has at least one deal.
PageToken Behind(PageToken token, const std::vector<internal::ListedDeal>& deals) {
  std::vector<std::string> after;
  for (size_t i = 0; i < std::min(kRememberedDeals, deals.size()); ++i) {
    after.push_back(deals[deals.size() - 1 - i].id);
  }
  // A page may be shorter than that.
  for (size_t i = token.gone; i < token.after.size() && after.size() < kRememberedDeals; ++i) {
    after.push_back(std::move(token.after[i]));
  }
  token.after = std::move(after);
  token.gone = 0;
  return token;
}

// What says when a deal was changed last; none where nothing does.
Value ChangeTimeField(const Value& deal) {
  const Value updated = deal["timeUpdated"];
  const Value time = updated.IsEmpty() ? deal["timeCreated"] : updated;
  return time.IsEmpty() ? Value() : time;
}

std::optional<absl::Time> ReadTime(const Value& time) {
  const Value written = time["value"];
  absl::Time parsed;
  const bool good = written.kind() == Value::Kind::kString && ParseDateTime(written.text(), parsed);
  return good ? std::optional<absl::Time>(parsed) : std::nullopt;
}

}  // namespace

Result<absl::Time> ChangeTimeOf(const Value& deal) {
  const Value time = ChangeTimeField(deal);
  if (time.kind() == Value::Kind::kNone) {
    return deal.Wrong("a deal without timeUpdated and timeCreated", "one of them");
  }
  const std::optional<absl::Time> parsed = ReadTime(time);
  return parsed.has_value()
             ? Result<absl::Time>(*parsed)
             : time.Wrong("another value",
                          "a DateTime whose value is as \"2025-10-03T06:03:56+00:00\"");
}

namespace internal {

Result<DealPage> ReadPage(const Value& data) {
  if (data.kind() != Value::Kind::kArray) {
    return data.Wrong("an array of deals in data");
  }
  DealPage page;
  for (Value row = data.First(); row.kind() != Value::Kind::kNone; row = row.Next()) {
    ++page.rows;
    if (!IsId(IdOf(row))) {
      continue;
    }
    // Not ChangeTimeOf: its errors name the row by its number, which takes counting.
    page.deals.push_back({std::string(IdOf(row)), ReadTime(ChangeTimeField(row))});
  }
  if (page.rows > 0 && page.deals.empty()) {
    return data.First().Wrong("a row without an id of digits, as all of them", "a deal");
  }
  return page;
}

}  // namespace internal

Result<ReadObject> Source::Read(const ObjectRef& ref,
                                const google::protobuf::Any&,
                                Session& session) const {
  std::optional<absl::Time> dropped_at;
  DEALSTREAM_RETURN_IF_ERROR(CheckRef(ref, dropped_at));
  Answers answers;
  Client client(session, answers);
  auto answer = client.GetDeal(ref.external_id);
  ReadObject object;
  if (dropped_at.has_value()) {
    object.ref = ObjectRef{std::string(kDeal), ref.external_id};
  }
  if (absl::IsNotFound(answer.status())) {
    object.gone = true;
    return object;
  }
  // Events tell of all deals; the user may see some of them only. That is no fault of the
  // credential.
  if (ReasonOf(answer.status()) == kObjectForbidden) {
    return WithReason(
        absl::FailedPreconditionError(fmt::format(
            "{}: the user may not see deal {}", ToStd(answer.status().message()), ref.external_id)),
        kObjectForbidden);
  }
  DEALSTREAM_RETURN_IF_ERROR(answer.status());
  const Value deal = answer->data;
  if (!deal.IsObject()) {
    return deal.Wrong("an object in data");
  }
  if (IdOf(deal) != ref.external_id) {
    return deal.Wrong(fmt::format("a deal of id \"{}\"", IdOf(deal).substr(0, 100)),
                      fmt::format("{}", ref.external_id));
  }
  // An event may be quicker than what it tells of.
  const absl::Time settled = dropped_at.value_or(absl::InfinitePast()) + kDropSettles;
  if (session.Now() < settled) {
    return WithRetryAfter(
        WithReason(
            absl::UnavailableError(fmt::format(
                "get_deal: got deal {} that an event said was dropped, want 404", ref.external_id)),
            "not_dropped_yet"),
        settled - session.Now());
  }
  DEALSTREAM_ASSIGN_OR_RETURN(const absl::Time updated, ChangeTimeOf(deal));
  object.version = absl::ToUnixMicros(updated);
  object.parts.emplace_back(kDealPart, std::move(answer->body));
  DEALSTREAM_RETURN_IF_ERROR(ReadLinked(client, answers, deal, object));
  return object;
}

Result<ListPage> Source::List(const ListRequest& request,
                              Purpose,
                              const google::protobuf::Any&,
                              Session& session) const {
  const absl::Time now = session.Now();
  DEALSTREAM_ASSIGN_OR_RETURN(
      PageToken token,
      request.page_token.empty() ? FirstPage(request, now) : PageToken::Parse(request.page_token));
  Answers answers;
  Client client(session, answers);
  const auto answer = client.ListDeals(token.Place());
  if (IsPlaceGone(token, answer)) {
    DEALSTREAM_ASSIGN_OR_RETURN(token, WithoutPlace(std::move(token)));
    ListPage nothing;
    nothing.next_page_token = token.ToText();
    return nothing;
  }
  if (absl::IsNotFound(answer.status())) {
    return WithReason(absl::UnavailableError(answer.status().message()), "unexpected_not_found");
  }
  DEALSTREAM_RETURN_IF_ERROR(answer.status());
  DEALSTREAM_ASSIGN_OR_RETURN(const internal::DealPage listed, internal::ReadPage(answer->data));
  if (listed.rows == 0 && answer->has_more) {
    return WithReason(
        absl::UnavailableError("list_deals: got no deals and hasMoreNext, want one or the other"),
        "empty_page");
  }
  ListPage page;
  for (const internal::ListedDeal& deal : listed.deals) {
    // Without a time it may have changed just now; its reading says what is wrong with it.
    const absl::Time updated = deal.updated.value_or(now);
    if (!deal.updated.has_value() || (updated >= token.from && updated < request.to)) {
      page.objects.push_back({{std::string(kDeal), deal.id}, absl::ToUnixMicros(updated)});
    }
    if (deal.updated.has_value()) {
      // One deal dated in the future must not keep the next passes from all others.
      token.newest = std::max(token.newest, std::min(updated, now));
    }
  }
  if (IsLastPage(token, listed, answer->has_more)) {
    page.cursor = CursorOf(token.newest);
  } else {
    page.next_page_token = Behind(std::move(token), listed.deals).ToText();
  }
  return page;
}

}  // namespace dealstream::crm::megaplan
