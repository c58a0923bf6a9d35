#include "services/crm-reader/metrics.h"

#include <gtest/gtest.h>

#include "libs/crm/api/fixture.h"
#include "libs/crm/registry.h"

namespace dealstream::reader {
namespace {

TEST(ReasonLabelTest, KnownOnesAreSaidOthersAreNot) {
  for (std::string_view reason : {"already_read",
                                  "malformed_json",
                                  "not_there_yet",
                                  "permission_denied",
                                  "refused",
                                  "superseded",
                                  "vault_unavailable",
                                  "wrong_shape"}) {
    EXPECT_EQ(ReasonLabel(reason), reason);
  }
  EXPECT_EQ(ReasonLabel("what a CRM said"), "other");
}

// What the adapters' cases say of notices that are ignored: were one not known, an operator would
// see nothing but "other".
TEST(ReasonLabelTest, EveryReasonOfAnAdapterIsKnown) {
  int reasons = 0;
  const crm::Registry adapters = crm::AllAdapters();
  for (const auto& adapter : adapters.adapters()) {
    if (adapter->notice_decoder() == nullptr) {
      continue;
    }
    const auto cases =
        crm::fixture::LoadNoticeCases(std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/" +
                                      std::string(adapter->id()) + "/testdata");
    ASSERT_TRUE(cases.ok()) << cases.status();
    for (const crm::fixture::NoticeCase& one : *cases) {
      const auto decoded = adapter->notice_decoder()->Decode(one.notice, one.purpose);
      if (!decoded.ok()) {
        EXPECT_EQ(ReasonLabel(ReasonOf(decoded.status())), ReasonOf(decoded.status())) << one.name;
        continue;
      }
      for (const std::string& reason : decoded->ignored) {
        ++reasons;
        EXPECT_EQ(ReasonLabel(reason), reason) << adapter->id() << ", " << one.name;
      }
    }
  }
  EXPECT_GT(reasons, 0);
}

}  // namespace
}  // namespace dealstream::reader
