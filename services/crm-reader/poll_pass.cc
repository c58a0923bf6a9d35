#include "services/crm-reader/poll_pass.h"

#include <algorithm>

#include "services/crm-reader/proto_time.h"

namespace dealstream::reader {
namespace {

bool IsSamePass(const raw::v1::PollTick& tick, const std::optional<raw::v1::PollProgress>& kept) {
  return kept.has_value() && kept->poll_id() == tick.poll_id();
}

raw::v1::PollProgress Base(const raw::v1::PollTick& tick,
                           const std::optional<raw::v1::PollProgress>& kept,
                           absl::Time now) {
  raw::v1::PollProgress progress;
  progress.set_poll_id(tick.poll_id());
  progress.set_integration_id(tick.integration_id());
  progress.set_cause(tick.cause());
  progress.set_listed(tick.listed());
  if (kept.has_value()) {
    progress.set_cursor(kept->cursor());
    // Newer than what is kept, though another process's clock was ahead: by this it is known.
    now = std::max(now, FromProto(kept->updated_at()) + absl::Microseconds(1));
  }
  *progress.mutable_updated_at() = ToProto(now);
  if (IsSamePass(tick, kept)) {
    progress.set_read(kept->read());
    progress.set_total(kept->total());
  }
  return progress;
}

}  // namespace

PageVerdict JudgePage(const raw::v1::PollTick& tick,
                      const std::optional<raw::v1::PollProgress>& kept,
                      absl::Time now,
                      absl::Duration stale_after) {
  if (!kept.has_value()) {
    return PageVerdict::kRun;
  }
  if (IsSamePass(tick, kept)) {
    // A page without objects can't be told from the one after it; doing it twice is harmless.
    bool is_behind = kept->state() == raw::v1::POLL_STATE_RUNNING && tick.listed() < kept->listed();
    return is_behind || kept->state() == raw::v1::POLL_STATE_DONE ? PageVerdict::kSamePage
                                                                  : PageVerdict::kRun;
  }
  bool is_running = kept->state() == raw::v1::POLL_STATE_RUNNING &&
                    now - FromProto(kept->updated_at()) < stale_after;
  return is_running ? PageVerdict::kPassRunning : PageVerdict::kRun;
}

bool IsSweepStart(const raw::v1::PollTick& tick) {
  return tick.cause() != deal::v1::CAUSE_BACKFILL && tick.page_token().empty() &&
         !tick.has_from() && !tick.has_to();
}

crm::ListRequest MakeListRequest(const raw::v1::PollTick& tick,
                                 const std::optional<raw::v1::PollProgress>& kept,
                                 const Integration& integration) {
  crm::ListRequest request;
  request.page_token = tick.page_token();
  if (tick.has_to()) {
    request.to = FromProto(tick.to());
  }
  if (tick.cause() == deal::v1::CAUSE_BACKFILL || tick.has_from()) {
    request.from = tick.has_from() ? FromProto(tick.from()) : absl::InfinitePast();
    return request;
  }
  // A load is all there is of a CRM without webhooks: its first one begins with the first object.
  request.from =
      tick.cause() == deal::v1::CAUSE_POLL ? absl::InfinitePast() : integration.created_at;
  request.cursor = kept.has_value() ? kept->cursor() : "";
  return request;
}

PageEnd EndPage(const raw::v1::PollTick& tick,
                const std::optional<raw::v1::PollProgress>& kept,
                const crm::ListPage& page,
                int64_t read,
                absl::Time now) {
  PageEnd end;
  end.progress = Base(tick, kept, now);
  end.progress.set_listed(tick.listed() + static_cast<int64_t>(page.objects.size()));
  end.progress.set_read(end.progress.read() + read);
  if (page.total > 0) {
    end.progress.set_total(page.total);
  }
  if (page.next_page_token.empty()) {
    end.progress.set_state(raw::v1::POLL_STATE_DONE);
    if (!page.cursor.empty()) {
      end.progress.set_cursor(page.cursor);
    }
    return end;
  }
  end.progress.set_state(raw::v1::POLL_STATE_RUNNING);
  end.next = tick;
  end.next->set_page_token(page.next_page_token);
  end.next->set_listed(end.progress.listed());
  return end;
}

raw::v1::PollProgress FailPass(const raw::v1::PollTick& tick,
                               const std::optional<raw::v1::PollProgress>& kept,
                               const std::string& error,
                               absl::Time now) {
  raw::v1::PollProgress progress = Base(tick, kept, now);
  progress.set_state(raw::v1::POLL_STATE_FAILED);
  progress.set_error(error);
  return progress;
}

}  // namespace dealstream::reader
