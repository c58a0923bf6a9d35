#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/status.h"
#include "libs/base/strings.h"
#include "libs/crm/api/adapter.h"

// The files of an adapter's testdata folder, for tests, benchmarks and fuzzing. No part of the
// product.
//
//   deals/<case>/input.json      {"about": text, "parts": [{"name": text, "body": JSON}]}
//   deals/<case>/settings.json   {key: text}, where the defaults won't do
//   deals/<case>/expected.txtpb  dealstream.deal.v1.Deal as text, or `error: <status>`
//   requests/<case>/...          the same three files; expected.txtpb holds a
//                                dealstream.request.v1.Request, or `not a request`
//   notices/<case>.json          {"about", "purpose", "method", "query", "body": JSON or text,
//                                "expect": {"objects": [{"kind", "id"}], "ignored": [text],
//                                "delivery_id": text, "unreadable": text} or {"error": part of
//                                its text}}
//   read/<case>.json             {"about", "purpose", "kind", "id", "settings": {key: text},
//                                "exchange": [{"request": "GET /path?name=value", "request_body":
//                                JSON, "optional", "status", "headers": {}, "body"}], "expect":
//                                {"version", "gone", "perhaps_not_yet", "ref": {"kind", "id"},
//                                "parts": [part]} or {"error": part of its text, "code":
//                                "NOT_FOUND"}}
//   list/<case>.json             {"about", "purpose", "settings", "from", "to", "cursor",
//                                "page_token", "exchange", "expect": {"objects": [{"kind", "id",
//                                "version", "parts": [part]}], "next_page_token", "cursor",
//                                "total"}}
//
// A part is its name, when it is the body of the call of the same place in `exchange`; or {"name",
// "call": which one, "pointer": to a piece of its body (optional)}; or {"name", "body"}. A
// request's body is compared as JSON, where one is given. What an `optional` call would have given
// can be done without when the CRM forbids it (403), and may be when the answer has another shape.
//
// A purpose is "deals" (where none is given) or "requests". Bodies are kept byte for byte: how a
// number is written counts. Requests are written without encoding.
namespace dealstream::crm::fixture {

// For short in tests.
inline constexpr Purpose kDeals = integration::v1::PURPOSE_DEALS;
inline constexpr Purpose kRequests = integration::v1::PURPOSE_REQUESTS;

inline std::string Message(const Status& status) { return std::string(ToStd(status.message())); }

// Empty when it can't be read.
std::string ReadFile(const std::string& path);
// What is in a folder, sorted; nothing when there is no such folder.
std::vector<std::string> Names(const std::string& folder);

struct MappingCase {
  std::string name;
  std::string expected_path;
  // Its purpose says which mapper it is for.
  raw::v1::Record record;
};
bool HasMapper(const Adapter& adapter, Purpose purpose);
Result<std::vector<MappingCase>> LoadDealCases(const Adapter& adapter, const std::string& testdata);
Result<std::vector<MappingCase>> LoadRequestCases(const Adapter& adapter,
                                                  const std::string& testdata);
// Those of every mapper that the adapter has.
Result<std::vector<MappingCase>> LoadMappingCases(const Adapter& adapter,
                                                  const std::string& testdata);

// Messages that records are mapped into one after another, as the normalizer does it.
class Mapped {
 public:
  // By the mapper of the record's purpose. False: this record is no request.
  Result<bool> Map(const Adapter& adapter, const raw::v1::Record& record);
  // As Map, for comparison: the bytes of the message, or why there is none.
  std::string Outcome(const Adapter& adapter, const raw::v1::Record& record);
  google::protobuf::Message& MessageOf(Purpose purpose);

 private:
  deal::v1::Deal deal_;
  request::v1::Request request_;
};

// What the mapper of the record's purpose makes of it, as in expected.txtpb.
std::string MapToText(const Adapter& adapter, const raw::v1::Record& record);
// What may be said of a record that can't be mapped.
bool IsMappingFailure(const Status& status);

struct NoticeCase {
  std::string name;
  Purpose purpose = Purpose::PURPOSE_DEALS;
  raw::v1::Notice notice;
  DecodedNotice expected;
  std::string error;
};
Result<std::vector<NoticeCase>> LoadNoticeCases(const std::string& testdata);

// Texts of settings by their keys.
using SettingTexts = std::vector<std::pair<std::string, std::string>>;
// What is said of settings that are refused; of those that aren't, or by another code, that.
std::string RefusalOfSettings(const Adapter& adapter, Purpose purpose, const SettingTexts& texts);

struct Exchange {
  std::string request;
  // JSON; empty: not looked at.
  std::string request_body;
  bool optional = false;
  http::Response response;
};

struct ReadCase {
  std::string name;
  Purpose purpose = Purpose::PURPOSE_DEALS;
  ObjectRef ref;
  SettingTexts settings;
  std::vector<Exchange> exchange;
  ReadObject expected;
  std::string error;
  std::string code;
};
Result<std::vector<ReadCase>> LoadReadCases(const std::string& testdata);

struct ListCase {
  std::string name;
  Purpose purpose = Purpose::PURPOSE_DEALS;
  SettingTexts settings;
  ListRequest request;
  std::vector<Exchange> exchange;
  ListPage expected;
};
Result<std::vector<ListCase>> LoadListCases(const std::string& testdata);

// Answers calls from a script, one after the other, and checks that they are those expected.
class ScriptedSession final : public Session {
 public:
  explicit ScriptedSession(std::vector<Exchange> script) : script_(std::move(script)) {}
  // Internal when the call is not the next of the script.
  Result<http::Response> Send(const Call& call) override;
  absl::Time Now() const override { return absl::FromUnixSeconds(1'772'000'000); }
  // The call of this number, from 0 on, fails or gets another answer.
  void Replace(size_t call, Result<http::Response> answer) {
    replaced_ = call;
    replacement_ = std::move(answer);
  }
  size_t calls() const { return calls_.size(); }
  // A call came that is not the next of the script.
  bool off_script() const { return off_script_; }
  const std::vector<Call>& sent() const { return calls_; }

 private:
  std::vector<Exchange> script_;
  std::vector<Call> calls_;
  bool off_script_ = false;
  size_t replaced_ = SIZE_MAX;
  Result<http::Response> replacement_ = absl::InternalError("unused");
};

// Sends as the reader does, without its limits: for adapters against their simulators.
class PlainSession final : public Session {
 public:
  // `transport` outlives this object.
  PlainSession(http::Transport& transport, Access access)
      : transport_(transport), access_(std::move(access)) {}
  Result<http::Response> Send(const Call& call) override;
  absl::Time Now() const override;
  int calls() const { return calls_; }

 private:
  http::Transport& transport_;
  const Access access_;
  int calls_ = 0;
};

// A listing from its first page to the last, or to the first failure.
struct Pass {
  // All that was listed, in that order.
  std::vector<ListedObject> objects;
  // The latest version of each, by external id.
  std::map<std::string, int64_t, std::less<>> versions;
  // Of the last page.
  std::string cursor;
  int pages = 0;
  // Internal "no end" for a listing that doesn't come to one.
  Status status;
};
// Of deals.
Pass ListAll(const RecordSource& source,
             Session& session,
             ListRequest request,
             const google::protobuf::Any& settings = {});

}  // namespace dealstream::crm::fixture
