// Any bytes at the door, in any pieces: through the session and the door, with a broker that
// accepts, refuses or is silent by turns.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

#include "dealstream/raw/v1/raw.pb.h"
#include "services/webhook-ingest/door.h"
#include "services/webhook-ingest/testing.h"

namespace dealstream::ingest {
namespace {

void Check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

class Sink final : public HttpOutput {
 public:
  void Write(std::string_view bytes) override { written += bytes.size(); }
  void Resumed() override {}
  size_t written = 0;
};

// What doesn't change from input to input.
struct World {
  World() {
    for (const char* token : {"on", "off"}) {
      TokenTarget target;
      target.digest = DigestForTest(token);
      target.integration_id = token;
      target.crm_account_id = "company";
      target.active = token == std::string_view("on");
      tokens.Put(target);
    }
  }
  const crm::Registry registry = FakeRegistry();
  obs::Metrics metrics{"fuzz", "1", "r"};
  const Crms crms{registry, absl::Milliseconds(400), metrics};
  TokenTable tokens{1};
  const HttpMetrics http_metrics{metrics};
};

void Run(std::string_view bytes) {
  static World world;
  FakeClock clock(absl::FromUnixSeconds(1'700'000'000));
  const std::atomic<bool> complete{true};
  KeyOrder order(absl::Milliseconds(300));
  const DoorShared shared{.clock = clock,
                          .crms = world.crms,
                          .tokens = world.tokens,
                          .tokens_complete = complete,
                          .order = order,
                          .metrics = world.http_metrics,
                          .retry_after = absl::Seconds(2)};
  const HttpLimits limits{.max_head_bytes = 1024, .max_headers = 10, .max_body_bytes = 4096};
  SessionGroup group;
  group.max_body_memory = 8192;
  FakeBroker broker;
  broker.RefuseIf([](const auto& record) { return record.value->size() % 5 == 0; });
  FakeProducer producer(broker);
  Door door(shared, 0, producer, 100);
  Sink sink;
  std::optional<HttpSession> session(std::in_place, limits, group, door, sink);

  // The first byte says how large the pieces are, and when the broker works.
  const size_t piece = bytes.empty() ? 1 : 1 + static_cast<unsigned char>(bytes[0]) % 64;
  bytes.remove_prefix(bytes.empty() ? 0 : 1);
  for (size_t turn = 0; !bytes.empty() && session->phase() != HttpSession::Phase::kClosing;
       ++turn) {
    if (session->wants_input()) {
      session->Input(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(piece, bytes.size()));
    } else {
      clock.Advance(absl::Milliseconds(150));
      door.Tick();
      if (turn % 3 != 0) {
        producer.Poll();
      }
    }
    Check(session->buffered_bytes() <= 4 * (limits.max_body_bytes + limits.max_head_bytes) + 256);
  }
  session->Timeout();
  session.reset();
  clock.Advance(absl::Seconds(5));
  door.Tick();
  producer.Poll();
  door.Tick();
  producer.Poll();
  Check(group.body_memory == 0);
  Check(door.in_flight() == 0);
  for (const kafka::OutRecord& record : broker.stored()) {
    raw::v1::Notice notice;
    Check(notice.ParseFromString(*record.value));
    Check(notice.body().size() <= limits.max_body_bytes);
  }
}

}  // namespace
}  // namespace dealstream::ingest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  dealstream::ingest::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
