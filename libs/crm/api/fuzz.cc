#include "libs/crm/api/fuzz.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "libs/base/strings.h"

namespace dealstream::crm::fuzz {
namespace {

std::string Text(const Status& status) { return status.ToString(); }

// The same answer to every call.
class Parrot final : public Session, public http::Transport {
 public:
  explicit Parrot(const Result<http::Response>& answer) : answer_(answer) {}
  Result<http::Response> Send(const Call&) override { return Again(); }
  Result<http::Response> Send(const http::Request&) override { return Again(); }
  absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }
  int calls() const { return calls_; }
  // The adapter went on when it had been told to stop.
  bool endless() const { return calls_ > kMostCalls; }

 private:
  // An answer may be a long list of what is to be asked for.
  static constexpr int kMostCalls = 100'000;

  Result<http::Response> Again() {
    if (++calls_ > kMostCalls) {
      return absl::CancelledError("a conversation that doesn't end");
    }
    return answer_;
  }

  const Result<http::Response>& answer_;
  int calls_ = 0;
};

void CheckAnswer(std::string_view what,
                 const Status& status,
                 const http::Response& response,
                 Findings& findings) {
  const Disposition disposition = DispositionOf(status);
  // A CRM that refuses the call as such (405) may show a bug of ours; its data may not.
  const bool refused = response.status >= 400 && response.status < 500;
  if (disposition == Disposition::kStop ||
      (disposition == Disposition::kBug && !(refused && absl::IsInternal(status)))) {
    findings.push_back(fmt::format("{}: got {}", what, Text(status)));
  }
}

}  // namespace

// ---- Notices ---------------------------------------------------------------------------------

Notice::Notice(const Adapter& adapter, const std::string& /*testdata*/) : adapter_(adapter) {}

Findings Notice::Run(const std::string& bytes) {
  Findings findings;
  const auto check = [&](std::string query, std::string body) {
    raw::v1::Notice notice;
    notice.set_query(std::move(query));
    notice.set_body(std::move(body));
    for (const Purpose purpose : adapter_.Purposes()) {
      const auto decoded = adapter_.notice_decoder()->Decode(notice, purpose);
      if (!decoded.ok()) {
        if (!absl::IsInvalidArgument(decoded.status())) {
          findings.push_back("a refusal: got " + Text(decoded.status()));
        }
        continue;
      }
      if (decoded->objects.empty() && decoded->ignored.empty()) {
        findings.emplace_back("a notice names nothing and says no reason");
      }
      for (const ObjectRef& ref : decoded->objects) {
        const Result<http::Response> stop = absl::CancelledError("stop");
        Parrot session(stop);
        const auto read = adapter_.record_source()->Read(ref, {}, session);
        if (session.calls() == 0) {
          findings.push_back(fmt::format("a notice names {} \"{}\", which can't be asked for: {}",
                                         ref.kind,
                                         ref.external_id,
                                         Text(read.status())));
        }
      }
    }
  };
  check(bytes, "");
  const size_t end = bytes.find('\n');
  if (end != std::string::npos && end < 256) {
    check(bytes.substr(0, end), bytes.substr(end + 1));
  } else {
    check("", bytes);
  }
  return findings;
}

// ---- Mapping ---------------------------------------------------------------------------------

Mappers::Mappers(const Adapter& adapter, const std::string& testdata) : adapter_(adapter) {
  auto cases = fixture::LoadMappingCases(adapter, testdata);
  std::map<std::tuple<Purpose, std::string, std::string>, Place> smallest;
  for (const fixture::MappingCase& one : cases.value()) {
    if (!used_.Map(adapter, one.record).ok()) {
      continue;
    }
    for (int part = 0; part < one.record.parts_size(); ++part) {
      Place& place = smallest[{
          one.record.purpose(), one.record.parts(0).name(), one.record.parts(part).name()}];
      if (place.record.parts().empty() || one.record.ByteSizeLong() < place.record.ByteSizeLong()) {
        place = {one.record, part};
      }
    }
  }
  for (auto& [name, place] : smallest) {
    places_.push_back(std::move(place));
  }
}

Findings Mappers::Run(const std::string& bytes) {
  Findings findings;
  for (const Place& place : places_) {
    raw::v1::Record record = place.record;
    auto& again = *record.add_parts();
    again.set_name(record.parts(place.part).name());
    again.set_body(bytes);
    Check(record, findings);
    record.mutable_parts()->RemoveLast();
    record.mutable_parts(place.part)->set_body(bytes);
    Check(record, findings);
  }
  return findings;
}

void Mappers::Check(const raw::v1::Record& record, Findings& findings) {
  fixture::Mapped fresh;
  const auto first = fresh.Map(adapter_, record);
  const auto second = used_.Map(adapter_, record);
  if (!first.ok() && !fixture::IsMappingFailure(first.status())) {
    findings.push_back("mapping: got " + Text(first.status()));
  }
  const Purpose purpose = record.purpose();
  if (first != second ||
      (first.value_or(false) && fresh.MessageOf(purpose).SerializeAsString() !=
                                    used_.MessageOf(purpose).SerializeAsString())) {
    findings.emplace_back("a used message gives another result");
  }
}

// ---- Answers ---------------------------------------------------------------------------------

Answers::Answers(const Adapter& adapter, const std::string& testdata) : adapter_(adapter) {
  std::set<std::string> headers{"retry-after"};
  const auto add_headers = [&headers](const std::vector<fixture::Exchange>& exchanges) {
    for (const fixture::Exchange& exchange : exchanges) {
      for (const auto& [name, value] : exchange.response.headers) {
        headers.insert(name);
      }
    }
  };
  std::set<std::string> kinds;
  const auto reads = fixture::LoadReadCases(testdata);
  for (const fixture::ReadCase& one : reads.value()) {
    add_headers(one.exchange);
    if (kinds.insert(one.ref.kind).second) {
      refs_.push_back(one.ref);
    }
  }
  std::set<std::tuple<Purpose, std::string, std::string>> places;
  const auto lists = fixture::LoadListCases(testdata);
  for (const fixture::ListCase& one : lists.value()) {
    add_headers(one.exchange);
    if (places.insert({one.purpose, one.request.page_token, one.request.cursor}).second) {
      lists_.emplace_back(one.purpose, one.request);
    }
  }
  headers_.assign(headers.begin(), headers.end());
}

Findings Answers::Run(const std::string& bytes) {
  std::string rest = bytes;
  http::Response response;
  response.status = 200;
  if (rest.size() > 2 && static_cast<unsigned char>(rest[0]) < 6) {
    response.status = rest[0] * 100 + static_cast<unsigned char>(rest[1]) % 100;
    rest.erase(0, 2);
    const size_t end = rest.find('\n');
    if (end != std::string::npos) {
      for (const std::string& name : headers_) {
        response.headers.emplace_back(name, rest.substr(0, end));
      }
      rest.erase(0, end + 1);
    }
  }
  response.body = rest;
  const Result<http::Response> answer = response;

  Findings findings;
  const auto with_parrot = [&](std::string_view what, const auto& talk) {
    Parrot parrot(answer);
    auto result = talk(parrot);
    CheckAnswer(what, result.status(), response, findings);
    if (parrot.endless()) {
      findings.push_back(fmt::format("{}: a conversation that doesn't end", what));
    }
    return result;
  };
  const RecordSource& source = *adapter_.record_source();
  for (const ObjectRef& ref : refs_) {
    const auto read = with_parrot("read " + ref.kind,
                                  [&](Parrot& parrot) { return source.Read(ref, {}, parrot); });
    if (absl::IsNotFound(read.status())) {
      findings.push_back(
          fmt::format("read {}: got NotFound, want an object that is gone", ref.kind));
    }
  }
  const auto list = [&](Purpose purpose, const ListRequest& request) {
    return with_parrot("list",
                       [&](Parrot& parrot) { return source.List(request, purpose, {}, parrot); });
  };
  for (const auto& [purpose, request] : lists_) {
    const auto page = list(purpose, request);
    if (page.ok() && !page->next_page_token.empty()) {
      ListRequest next = request;
      next.page_token = page->next_page_token;
      (void)list(purpose, next).ok();
    }
  }
  // A page token and a cursor come back from a topic.
  ListRequest request;
  request.page_token = rest;
  (void)list(Purpose::PURPOSE_DEALS, request).ok();
  request.page_token.clear();
  request.cursor = rest;
  (void)list(Purpose::PURPOSE_DEALS, request).ok();

  // A field may be a host.
  const auto hosts = adapter_.AllowedHostSuffixes();
  CredentialFields fields;
  for (const CredentialFieldSpec& spec : adapter_.credential().Fields()) {
    fields.emplace_back(spec.name, Secret(hosts.empty() ? "x" : "a." + hosts.front()));
  }
  (void)with_parrot("login", [&](Parrot& parrot) {
    return adapter_.credential().LogIn(fields, {.state = Secret("x"), .now = parrot.Now()}, parrot);
  }).ok();
  return findings;
}

}  // namespace dealstream::crm::fuzz
