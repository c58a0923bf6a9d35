#include "libs/crm/api/conformance.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/registry.h"

namespace dealstream::crm {
namespace {

using ::testing::IsEmpty;

const Registry& Adapters() {
  static const Registry registry = AllAdapters();
  return registry;
}

struct Case {
  const Adapter* adapter;
  ConformanceCheck check;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const auto& adapter : Adapters().adapters()) {
    for (const ConformanceCheck& check : ConformanceChecks()) {
      cases.push_back({adapter.get(), check});
    }
  }
  return cases;
}

class ConformanceTest : public ::testing::TestWithParam<Case> {};

TEST_P(ConformanceTest, Holds) {
  const auto& [adapter, check] = GetParam();
  const std::string testdata =
      std::string(DEALSTREAM_SOURCE_DIR) + "/libs/crm/" + std::string(adapter->id()) + "/testdata";
  EXPECT_THAT(check.run(*adapter, testdata), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(EveryAdapter,
                         ConformanceTest,
                         ::testing::ValuesIn(AllCases()),
                         [](const auto& test) {
                           return std::string(test.param.adapter->id()) + test.param.check.name;
                         });

}  // namespace
}  // namespace dealstream::crm
