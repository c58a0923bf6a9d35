#include <algorithm>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include <fmt/format.h>

#include "libs/crm/megaplan/sim/account.h"
#include "libs/crm/megaplan/sim/view.h"

// API v3 as an account answers it.
namespace dealstream::crm::megaplan::sim {
namespace {

using simkit::JsonAnswer;

constexpr size_t kDefaultLimit = 100;

std::string MessageOf(int status) {
  switch (status) {
    case 401:
      return "Unauthorized";
    case 403:
      return "Доступ запрещён";
    case 404:
      return "Сущность не найдена";
    case 422:
      return "Ошибка в запросе";
    case 429:
      return "Too Many Requests";
    default:
      return "Internal Server Error";
  }
}

http::ServerResponse InvalidGrant() {
  return JsonAnswer({{"error", "invalid_grant"},
                     {"error_description", "Invalid username and password combination"}},
                    400);
}

// The kind that a request is counted under: "deal.get", "deal.list", "program.get".
std::string KindOf(const http::ServerRequest& request, const std::vector<std::string>& path) {
  const std::string step = request.method == "DELETE" ? "delete" : path.size() > 3 ? "get" : "list";
  return path.size() < 3 ? "other" : fmt::format("{}.{}", path[2], step);
}

// What a list can be ordered by.
absl::Time SortKey(const Deal& deal, const std::string& field) {
  return field == "timeCreated" ? deal.created : deal.updated;
}

}  // namespace

http::ServerResponse MegaplanAccount::Fail(int status) {
  return Refused(status, MessageOf(status));
}

http::ServerResponse MegaplanAccount::Refused(int status,
                                              const std::string& message,
                                              const std::string& field) {
  Json error = {{"message", message}};
  if (!field.empty()) {
    error = {{"field", field}, {"message", message}, {"type", "ValidationError"}};
  }
  http::ServerResponse answer = JsonAnswer(
      {{"meta", {{"status", status}, {"errors", Json::array({error})}}}, {"data", nullptr}},
      own_faults_.within_200 ? 200 : status);
  if (status == 429) {
    answer.headers.emplace_back("Retry-After", "1");
  }
  return answer;
}

http::ServerResponse MegaplanAccount::Refuse(const std::string&) { return Fail(429); }

simkit::Limits MegaplanAccount::limits() const {
  return {settings_.requests_per_second.Int(), absl::Seconds(1), settings_.parallel.Int()};
}

// ---- Tokens ----------------------------------------------------------------------------------

http::ServerResponse MegaplanAccount::NewTokens() {
  const std::string token = fmt::format("t{}.{}", number(), side_random().Hex(24));
  refresh_token_ = fmt::format("r{}.{}", number(), side_random().Hex(24));
  Issued(token);
  Issued(refresh_token_);
  tokens_[token] = {absl::Now() + absl::Seconds(settings_.token_lifetime.value())};
  return JsonAnswer({{"access_token", token},
                     {"expires_in", settings_.token_lifetime.Int()},
                     {"token_type", "bearer"},
                     {"scope", nullptr},
                     {"refresh_token", refresh_token_}});
}

http::ServerResponse MegaplanAccount::Login(const simkit::Parameters& form) {
  return Pass("auth", [&] {
    const std::string_view grant = simkit::FindParameter(form, "grant_type");
    if (grant == "password") {
      ++logins_;
      const bool right = simkit::FindParameter(form, "username") == username_ &&
                         simkit::FindParameter(form, "password") == password_;
      return right ? NewTokens() : InvalidGrant();
    }
    ++refreshes_;
    const std::string_view token = simkit::FindParameter(form, "refresh_token");
    const bool right = grant == "refresh_token" && settings_.refresh.Bool() && !token.empty() &&
                       token == refresh_token_;
    return right ? NewTokens() : RefuseRefresh();
  });
}

// What that is isn't documented: the grant may be unknown to the server, which fails at it then.
http::ServerResponse MegaplanAccount::RefuseRefresh() {
  const int status = settings_.refused_refresh_status.Int();
  return status == 400 ? InvalidGrant() : simkit::HtmlAnswer(status);
}

// ---- Calls -----------------------------------------------------------------------------------

http::ServerResponse MegaplanAccount::Call(const http::ServerRequest& request,
                                           const std::string& token) {
  const std::vector<std::string> path = simkit::SplitPath(request.path);
  return Pass(KindOf(request, path), [&] {
    const auto found = tokens_.find(token);
    if (found == tokens_.end() || found->second.expires <= absl::Now()) {
      return Fail(401);
    }
    return Answer(request, path);
  });
}

http::ServerResponse MegaplanAccount::Answer(const http::ServerRequest& request,
                                             const std::vector<std::string>& path) {
  if (path.size() == 4 && path[2] == "deal") {
    return OneDeal(request.method, path[3]);
  }
  if (request.method != "GET") {
    return Refused(404, "Метод не найден");
  }
  // The whole query is one JSON object; "limit=5" is none.
  Json query = Json::object();
  if (!request.query.empty()) {
    query = Json::parse(simkit::UrlDecode(request.query), nullptr, false);
    if (!query.is_object()) {
      Violation("query_form");
      return Refused(422, "Параметры запроса должны быть объектом JSON", "query");
    }
    if (query.contains("access_token")) {
      Violation("token_in_query");
    }
  }
  if (path.size() == 3 && path[2] == "deal") {
    return ListDeals(query);
  }
  return Entity(path);
}

http::ServerResponse MegaplanAccount::OneDeal(const std::string& method, const std::string& id) {
  Deal* deal = Find(id);
  if (deal == nullptr || (deal->gone && absl::Now() >= deal->shown_until)) {
    return Fail(404);
  }
  if (method == "DELETE") {
    (void)DeleteDeal(id, {});
    return JsonAnswer(Envelope(nullptr));
  }
  if (method != "GET") {
    return Refused(404, "Метод не найден");
  }
  Json full = View(*this).Full(*deal);
  if (own_faults_.links_only) {
    LinkEverything(full);
  }
  return JsonAnswer(Envelope(std::move(full)));
}

http::ServerResponse MegaplanAccount::Entity(const std::vector<std::string>& path) {
  const View view(*this);
  const auto answer = [&](const auto& all, const auto& wanted) {
    if (path.size() == 4) {
      const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) {
        return one.id == path[3] && wanted(one);
      });
      return found == all.end() ? Fail(404) : JsonAnswer(Envelope(view.Full(*found)));
    }
    Json rows = Json::array();
    for (const auto& one : all) {
      if (wanted(one)) {
        rows.push_back(view.Full(one));
      }
    }
    return JsonAnswer(Envelope(std::move(rows)));
  };
  const auto any = [](const auto&) { return true; };
  const std::string kind = path.size() >= 3 && path.size() <= 4 ? path[2] : "";
  if (kind == "employee") {
    return answer(employees_, any);
  }
  if (kind == "program") {
    return answer(programs_, any);
  }
  if (kind == "currency") {
    return answer(currencies_, any);
  }
  if (kind == "contractorHuman" || kind == "contractorCompany") {
    if (own_faults_.hide_clients) {
      return Fail(403);
    }
    return answer(clients_, [&](const Client& client) {
      return client.is_company == (kind == "contractorCompany");
    });
  }
  if (kind == "currentUser" && path.size() == 3) {
    return JsonAnswer(Envelope(view.Full(employees_.front())));
  }
  return Fail(404);
}

http::ServerResponse MegaplanAccount::ListDeals(const Json& query) {
  const size_t limit = query.value("limit", kDefaultLimit);
  if (limit == 0 || limit > 1000) {
    return Refused(422, "Недопустимое значение", "limit");
  }
  if (query.contains("filter")) {
    return Refused(422, "Фильтры здесь не разыгрываются", "filter");
  }
  std::vector<const Deal*> rows;
  for (const auto& [id, deal] : deals_) {
    if (!deal.gone) {
      rows.push_back(&deal);
    }
  }
  for (const Json& sort : query.value("sortBy", Json::array())) {
    const std::string field = sort.at("fieldName");
    const bool newest_first = sort.value("desc", false);
    std::stable_sort(rows.begin(), rows.end(), [&](const Deal* a, const Deal* b) {
      return newest_first ? SortKey(*a, field) > SortKey(*b, field)
                          : SortKey(*a, field) < SortKey(*b, field);
    });
  }
  size_t begin = 0;
  if (query.contains("pageAfter")) {
    const std::string after = query.at("pageAfter").at("id");
    const auto place = std::find_if(
        rows.begin(), rows.end(), [&after](const Deal* deal) { return deal->id == after; });
    if (place == rows.end() && settings_.gone_place_status.Int() != 200) {
      return Refused(settings_.gone_place_status.Int(), "Сущность не найдена", "pageAfter");
    }
    begin = place == rows.end() ? rows.size() : static_cast<size_t>(place - rows.begin()) + 1;
  }
  std::set<std::string> fields;
  for (const Json& field : query.value("fields", Json::array())) {
    if (field.is_string()) {
      fields.insert(field.get<std::string>());
    }
  }
  const bool only_fields = query.value("onlyRequestedFields", false);
  const size_t most = std::min(limit, static_cast<size_t>(settings_.page_rows.Int()));
  Json data = Json::array();
  for (size_t i = begin; i < rows.size() && data.size() < most; ++i) {
    data.push_back(View(*this).Row(*rows[i], fields, only_fields));
  }
  const size_t count = data.size();
  Json answer = Envelope(std::move(data));
  answer["meta"]["pagination"] = {{"count", count}, {"limit", limit}};
  // Only where a page is shorter than it was asked for does one have to say it.
  if (most < limit) {
    answer["meta"]["pagination"]["hasMoreNext"] = begin + count < rows.size();
  }
  return JsonAnswer(answer);
}

}  // namespace dealstream::crm::megaplan::sim
