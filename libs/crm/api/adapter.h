#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/message.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "dealstream/integration/v1/integration.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "dealstream/request/v1/request.pb.h"
#include "libs/base/secret.h"
#include "libs/base/status.h"
#include "libs/http/transport.h"

// The slots of a CRM adapter. A CRM fills some and leaves others null. What an adapter knows of its
// CRM stays in its folder; what is here holds for all of them. Everything but RecordSource is pure:
// bytes and settings in, values out; no I/O, no clock. All methods are const and safe from several
// threads.
namespace dealstream::crm {

using integration::v1::Purpose;

// ---- Credentials -----------------------------------------------------------------------------

struct CredentialFieldSpec {
  std::string_view name;
  std::string_view label_ru;
  std::string_view label_en;
  // Kept encrypted and never shown again; a plain field may be listed.
  bool secret = false;
  bool required = true;
};

// A field as its owner gave it.
using CredentialFields = std::vector<std::pair<std::string, Secret>>;

// What it takes to call the CRM; mirrors vault.v1.Access.
struct Access {
  // Scheme, host and path prefix, no trailing slash.
  std::string base_url;
  std::vector<std::pair<std::string, Secret>> headers;
  std::vector<std::pair<std::string, Secret>> query;
  std::vector<std::pair<std::string, Secret>> path;
  // InfiniteFuture for a static credential.
  absl::Time expires_at = absl::InfiniteFuture();
};

// What a login of a CRM with minted tokens is told.
struct LoginContext {
  // What the login before left (Login::state). Empty at the first one, after a change of the
  // credential, and when what was kept can't be read.
  Secret state;
  // For `expires_at`: an adapter has no clock.
  absl::Time now;
};

struct Login {
  Access access;
  // What the next login of this credential wants: a refresh token. Kept sealed by the vault, over
  // restarts too, and never leaves it. It replaces what was kept; empty: nothing is kept.
  Secret state;
};

class CredentialType {
 public:
  virtual ~CredentialType() = default;
  virtual std::vector<CredentialFieldSpec> Fields() const = 0;
  // Checks the fields (presence and unknown names are checked by the caller) and derives the CRM
  // account id from the plain ones. InvalidArgument names the field, what was found (plain ones
  // only) and what was expected.
  virtual Result<std::string> CrmAccountId(const CredentialFields& fields) const = 0;
  // A CRM implements one of these two; the vault calls LogIn.
  //
  // Static credentials: turns the fields into access. `login` isn't used.
  virtual Result<Access> MakeAccess(const CredentialFields& /*fields*/,
                                    http::Transport& /*login*/) const {
    return absl::UnimplementedError("this CRM's access is made by a login");
  }
  // Minted tokens: logs in, or refreshes with what the login before left (and where that is
  // refused, logs in anew in the same call). `expires_at` must be set. One at a time for each
  // credential. Unauthenticated and PermissionDenied: the CRM refuses the credential, in words that
  // its owner can act on (what to check); it isn't tried again for some minutes, or until it
  // changes. Anything else is tried again at the next call.
  virtual Result<Login> LogIn(const CredentialFields& fields,
                              const LoginContext& /*context*/,
                              http::Transport& transport) const {
    auto access = MakeAccess(fields, transport);
    if (!access.ok()) {
      return access.status();
    }
    return Login{.access = *std::move(access), .state = {}};
  }
};

// ---- Notices ---------------------------------------------------------------------------------

struct ObjectRef {
  std::string kind;
  std::string external_id;
  bool operator==(const ObjectRef&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const ObjectRef& ref) {
    return H::combine(std::move(h), ref.kind, ref.external_id);
  }
};

struct DecodedNotice {
  std::vector<ObjectRef> objects;
  // The CRM's own id of the delivery: repeats bear the same. Empty where it has none.
  std::string delivery_id;
  // Parts of the notice that name nothing this purpose reads, by reason ("other_entity"): counted.
  std::vector<std::string> ignored;
  // Why a part of the notice can't be read, while others can: the objects are read, and the notice
  // is kept as a dead letter besides. With no object at all, Decode fails instead.
  Status unreadable;
};

// How the door answers this CRM.
struct NoticeReply {
  int status = 204;
  std::string content_type;
  std::string body;
  // The CRM gives up after; the door answers 503 in good time before.
  absl::Duration patience = absl::Seconds(5);
  // Methods the CRM uses.
  std::vector<std::string_view> methods = {"POST"};
  // Request headers worth keeping besides content-type, content-encoding and user-agent; lower
  // case.
  std::vector<std::string_view> headers;
};

class NoticeDecoder {
 public:
  virtual ~NoticeDecoder() = default;
  virtual NoticeReply Reply() const = 0;
  // InvalidArgument: what can't be read; it ends as a dead letter.
  virtual Result<DecodedNotice> Decode(const raw::v1::Notice& notice, Purpose purpose) const = 0;
};

// ---- Reading ---------------------------------------------------------------------------------

// One call of a conversation with the CRM: the host adds base URL, headers and query from the
// access, waits for the account's rate limit, counts, and sends. Errors as http::Transport, and
// Cancelled when we are stopping, ResourceExhausted when the limit would make it wait longer than
// the host lets it.
class Session {
 public:
  virtual ~Session() = default;
  struct Call {
    // For metrics and errors, of a closed set ("get_order").
    std::string_view operation;
    std::string_view method = "GET";
    // After the base URL, with a leading slash.
    std::string path;
    // Name and value, not yet encoded. Without a name the value stands alone ("?<value>"): a CRM
    // may take its arguments as one text, such as a JSON object.
    std::vector<std::pair<std::string, std::string>> query;
    http::Headers headers;
    std::string body;
    // Price in the units of the CRM's limit; multiplied by RateLimit::unit_price.
    double units = 1;
    absl::Duration timeout = absl::Seconds(10);
    bool idempotent = true;
  };
  virtual Result<http::Response> Send(const Call& call) = 0;
  // For adapters that must know the time of the call.
  virtual absl::Time Now() const = 0;

  // Notes on the CRM account, kept between its conversations in this process: names of a directory,
  // say, which it would be a waste to ask for with every object. Nothing may depend on a note but
  // the number of calls: at any time there may be none. No secrets. Bounded for each account; what
  // wasn't used for longest goes first. Good until the next Note of this session.
  // Null: there is none, or it is older than `at_most`.
  virtual const std::string* Noted(std::string_view /*key*/, absl::Duration /*at_most*/) {
    return nullptr;
  }
  virtual void Note(std::string_view /*key*/, std::string /*value*/) {}
};

struct ReadObject {
  // See raw.v1.Record.version; 0 when gone.
  int64_t version = 0;
  bool gone = false;
  // With `gone`: the CRM can't tell what was removed from what isn't there yet, and its notices may
  // come before the object. Else: what belongs to the object may not be there yet. The host asks
  // again a few times where it knows nothing of the object, and then takes it as it is.
  bool perhaps_not_yet = false;
  std::vector<std::pair<std::string, std::string>> parts;
  // What was read, where that isn't what was asked for: a notice may name an object by another one
  // only ("the customer of payment 7").
  std::optional<ObjectRef> ref;
};

struct ListedObject {
  ObjectRef ref;
  int64_t version = 0;
  // Those that Read would give, where the listing holds the whole object: it isn't read again then.
  // Empty: it must be read.
  std::vector<std::pair<std::string, std::string>> parts = {};
};

struct ListRequest {
  // Where to begin, as this adapter wrote it; empty: at `from`.
  std::string page_token;
  // Cursor of the last full pass, as this adapter wrote it; empty on the first pass.
  std::string cursor;
  // Change times, half open; for a sweep without cursor `from` is the integration's making. The
  // first load of a CRM without webhooks has no beginning.
  absl::Time from = absl::InfinitePast();
  absl::Time to = absl::InfiniteFuture();
};

struct ListPage {
  std::vector<ListedObject> objects;
  // Empty: this was the last page.
  std::string next_page_token;
  // On the last page: the cursor for the next pass.
  std::string cursor;
  // How many the whole pass has, where the CRM says; else 0.
  int64_t total = 0;
};

// Errors of both: what the CRM said, as a status (libs/base/status.h): 401 Unauthenticated, 403
// PermissionDenied (the credential is refused), or FailedPrecondition with kObjectForbidden where
// it is about this one object (only its reading is parked), 429 ResourceExhausted with RetryAfter,
// 5xx and HTML in place of JSON Unavailable (FailedPrecondition where it shows that the account's
// address is wrong), an answer of the wrong shape DataLoss naming the path.
inline constexpr std::string_view kObjectForbidden = "forbidden";

class RecordSource {
 public:
  virtual ~RecordSource() = default;
  // Reads one object. Gone is not an error.
  virtual Result<ReadObject> Read(const ObjectRef& ref,
                                  const google::protobuf::Any& settings,
                                  Session& session) const = 0;
  // True when List works (the CRM can list changes).
  virtual bool CanList() const = 0;
  // Whether it works for this purpose: a CRM may list all objects and yet not tell which of them
  // are requests. Without CanList, never.
  virtual bool Lists(Purpose /*purpose*/) const { return CanList(); }
  // One page of what changed. At most some 100 objects.
  virtual Result<ListPage> List(const ListRequest& request,
                                Purpose purpose,
                                const google::protobuf::Any& settings,
                                Session& session) const = 0;
};

// Token bucket of one CRM account. Where reader and bridge share a limit, each takes its part.
struct RateLimit {
  // Units that may be spent in each `interval`, and at once.
  double units = 1;
  absl::Duration interval = absl::Seconds(1);
  // Price of a call with units = 1.
  double unit_price = 1;
  // Part of the whole that crm-reader takes; the rest is telephony-bridge's.
  double reader_share = 0.7;
};

// ---- Mapping ---------------------------------------------------------------------------------

// What a DealMapper returns for an object that is no deal though it is of the deals' kind (a
// blocked hour in a calendar): counted as ignored. `what` says what it is.
inline constexpr std::string_view kNotADeal = "not_a_deal";
inline Status NotADeal(std::string_view what) {
  return WithReason(absl::InvalidArgumentError(absl::string_view(what.data(), what.size())),
                    kNotADeal);
}

class DealMapper {
 public:
  virtual ~DealMapper() = default;
  // Fills `deal` (reused: cleared by the callee) from a record that is not gone. id,
  // integration_id, account_id, crm and external_id are filled by the caller. NotADeal, or
  // InvalidArgument and DataLoss that name the part, the path, what was found and what was
  // expected.
  virtual Status Map(const raw::v1::Record& record, deal::v1::Deal& deal) const = 0;
};

class RequestMapper {
 public:
  virtual ~RequestMapper() = default;
  // As DealMapper. False: this record is no request (counted as ignored).
  virtual Result<bool> Map(const raw::v1::Record& record, request::v1::Request& request) const = 0;
  // True: a request is what its object was when it was first seen; what becomes of the object later
  // (changes, deletion) is no news of the request.
  virtual bool IsMadeOnce() const { return false; }
};

// ---- The adapter -----------------------------------------------------------------------------

class Adapter {
 public:
  virtual ~Adapter() = default;

  // Lower case, [a-z0-9]+, the folder's name; part of topic names.
  virtual std::string_view id() const = 0;
  virtual std::string_view display_name() const = 0;
  // Purposes that an integration of this CRM may have.
  virtual std::vector<Purpose> Purposes() const = 0;
  // A default instance of the adapter's settings message, whose fields bear settings.v1.setting
  // options.
  virtual const google::protobuf::Message& SettingsPrototype() const = 0;
  // Checks what a field's type can't show. InvalidArgument names the key and what was expected.
  virtual Status CheckSettings(const google::protobuf::Any& settings, Purpose purpose) const = 0;
  virtual RateLimit Limit(const google::protobuf::Any& settings) const = 0;
  // Suffixes of hosts that may be called ("example.ru").
  virtual std::vector<std::string> AllowedHostSuffixes() const = 0;
  // How often a sweep for lost webhooks (or the load, for CRMs without) is due. Zero: never.
  virtual absl::Duration SweepInterval() const = 0;
  // True when one sweep a day is made at a time of day spread by a hash, rather than at intervals.
  virtual bool SweepsDaily() const { return false; }

  virtual const CredentialType& credential() const = 0;
  // Slots; null where the CRM has none.
  virtual const NoticeDecoder* notice_decoder() const { return nullptr; }
  virtual const RecordSource* record_source() const { return nullptr; }
  virtual const DealMapper* deal_mapper() const { return nullptr; }
  virtual const RequestMapper* request_mapper() const { return nullptr; }
};

}  // namespace dealstream::crm
