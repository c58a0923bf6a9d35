#include "services/credential-vault/audit.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <soci/soci.h>

#include "libs/base/ids.h"

namespace dealstream::vault {
namespace {

using soci::into;
using soci::use;

struct Row {
  long long seq = 0;
  long long at = 0;
  AuditEvent event;
  long long version = 0;
  long long calls = 0;
  std::string hash;
};

void AddPart(std::string& text, const std::string& part) {
  text += fmt::format("{}:{}", part.size(), part);
}

std::string HashOf(const std::string& previous, const Row& row) {
  std::string text;
  AddPart(text, previous);
  AddPart(text, std::to_string(row.seq));
  AddPart(text, std::to_string(row.at));
  for (const std::string* part : {&row.event.caller,
                                  &row.event.method,
                                  &row.event.outcome,
                                  &row.event.credential_id,
                                  &row.event.account_id,
                                  &row.event.crm}) {
    AddPart(text, *part);
  }
  AddPart(text, std::to_string(row.version));
  AddPart(text, std::to_string(row.calls));
  return ToHex(Sha256(text));
}

// Appends rows to the log, the statement prepared once.
class Appender {
 public:
  explicit Appender(soci::session& session)
      : head_(ReadAuditHead(session)),
        insert_((session.prepare
                     << "INSERT INTO audit (seq, at, caller, method, outcome, credential_id, "
                        "account_id, crm, version, calls, hash) VALUES (:seq, :at, :caller, "
                        ":method, :outcome, :id, :account, :crm, :version, :calls, :hash)",
                 use(row_.seq),
                 use(row_.at),
                 use(row_.event.caller),
                 use(row_.event.method),
                 use(row_.event.outcome),
                 use(row_.event.credential_id),
                 use(row_.event.account_id),
                 use(row_.event.crm),
                 use(row_.version),
                 use(row_.calls),
                 use(row_.hash))) {}

  void Append(const AuditEvent& event, absl::Time at, int64_t calls) {
    row_.seq = ++head_.seq;
    row_.at = absl::ToUnixMicros(at);
    row_.event = event;
    row_.version = event.version;
    row_.calls = calls;
    row_.hash = HashOf(head_.hash, row_);
    head_.hash = row_.hash;
    insert_.execute(true);
  }

 private:
  AuditHead head_;
  Row row_;
  soci::statement insert_;
};

Status Broken(int64_t seq, std::string_view how) {
  return absl::DataLossError(fmt::format("audit row {}: {}", seq, how));
}

}  // namespace

AuditHead ReadAuditHead(soci::session& session) {
  long long seq = 0;
  AuditHead head;
  session << "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", into(seq), into(head.hash);
  head.seq = seq;
  return head;
}

void AppendAudit(soci::session& session, const AuditEvent& event, absl::Time at, int64_t calls) {
  Appender(session).Append(event, at, calls);
}

Result<AuditHead> VerifyAudit(const storage::Database& database,
                              const std::optional<AuditHead>& expected) {
  if (expected && (expected->seq < 1 || expected->hash.empty())) {
    return absl::InvalidArgumentError(
        fmt::format("expected row: got seq {} and hash \"{}\", want both, the seq at least 1",
                    expected->seq,
                    expected->hash));
  }
  AuditHead head;
  DEALSTREAM_RETURN_IF_ERROR(database.Read([&](soci::session& session) -> Status {
    Row row;
    soci::statement rows =
        (session.prepare << "SELECT seq, at, caller, method, outcome, credential_id, account_id, "
                            "crm, version, calls, hash FROM audit ORDER BY seq",
         into(row.seq),
         into(row.at),
         into(row.event.caller),
         into(row.event.method),
         into(row.event.outcome),
         into(row.event.credential_id),
         into(row.event.account_id),
         into(row.event.crm),
         into(row.version),
         into(row.calls),
         into(row.hash));
    rows.execute();
    while (rows.fetch()) {
      if (row.seq != head.seq + 1) {
        return Broken(head.seq + 1, fmt::format("is missing; the next one there is {}", row.seq));
      }
      if (row.hash != HashOf(head.hash, row)) {
        return Broken(row.seq,
                      "its hash is another than that of its contents after the row before: one of "
                      "the two was changed");
      }
      if (expected && row.seq == expected->seq && row.hash != expected->hash) {
        return Broken(row.seq, fmt::format("has hash {}, want {}", row.hash, expected->hash));
      }
      head = {.seq = row.seq, .hash = row.hash};
    }
    if (expected && expected->seq > head.seq) {
      return Broken(expected->seq, fmt::format("is missing; the log ends at {}", head.seq));
    }
    return absl::OkStatus();
  }));
  return head;
}

AuditWriter::AuditWriter(storage::Database& database,
                         const Clock& clock,
                         std::function<void(const Status&)> on_state)
    : database_(database),
      clock_(clock),
      on_state_(std::move(on_state)),
      thread_([this] { Run(); }) {}

AuditWriter::~AuditWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Status AuditWriter::Append(AuditEvent event) {
  const absl::Time now = clock_.Now();
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMaxWaiting ||
        now - std::min(waiting_since_, writing_since_) > kMaxWait) {
      return WithReason(absl::UnavailableError("the audit log can't be written"), "audit_full");
    }
    first = waiting_.empty();
    waiting_since_ = std::min(waiting_since_, now);
    Waiting& waiting = waiting_[std::move(event)];
    if (waiting.calls++ == 0) {
      waiting.first = now;
    }
  }
  if (first) {
    wake_.notify_one();
  }
  return absl::OkStatus();
}

void AuditWriter::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    // The window in which calls gather; a stop ends it.
    wake_.wait_for(lock, absl::ToChronoMilliseconds(kWindow), [this] { return stop_; });
    if (waiting_.empty()) {
      return;
    }
    const bool last_try = stop_;
    Batch batch;
    batch.swap(waiting_);
    writing_since_ = std::exchange(waiting_since_, absl::InfiniteFuture());
    lock.unlock();
    const Status written = Write(batch);
    on_state_(written);
    lock.lock();
    const absl::Time since = std::exchange(writing_since_, absl::InfiniteFuture());
    if (!written.ok() && !last_try) {
      // Back to those that wait, for the next round.
      waiting_since_ = std::min(waiting_since_, since);
      for (auto& [event, waiting] : batch) {
        Waiting& merged = waiting_[event];
        merged.first = merged.calls == 0 ? waiting.first : std::min(merged.first, waiting.first);
        merged.calls += waiting.calls;
      }
    }
  }
}

Status AuditWriter::Write(const Batch& batch) {
  // In the order of time.
  std::vector<const Batch::value_type*> rows;
  rows.reserve(batch.size());
  for (const auto& row : batch) {
    rows.push_back(&row);
  }
  std::sort(rows.begin(), rows.end(), [](const auto* a, const auto* b) {
    return a->second.first < b->second.first;
  });
  return database_.Write([&](soci::session& session) {
    Appender appender(session);
    for (const auto* row : rows) {
      appender.Append(row->first, row->second.first, row->second.calls);
    }
    return absl::OkStatus();
  });
}

}  // namespace dealstream::vault
