// deploy/topics.yaml, against the adapters of this build.
#include "libs/topics/topics.h"

#include <algorithm>
#include <string>

#include "gtest/gtest.h"

#include "libs/crm/registry.h"

namespace dealstream::crm {
namespace {

TEST(TopicsTest, EveryCrmHasItsTopics) {
  const auto specs = topics::Load(DEALSTREAM_SOURCE_DIR "/deploy/topics.yaml");
  ASSERT_TRUE(specs.ok()) << specs.status();
  const Registry registry = AllAdapters();
  for (const auto& adapter : registry.adapters()) {
    const std::string name = "crm.notice." + std::string(adapter->id());
    EXPECT_TRUE(std::any_of(specs->begin(),
                            specs->end(),
                            [&name](const topics::Spec& spec) { return spec.name == name; }))
        << name << ": add the CRM to `crms`";
  }
}

}  // namespace
}  // namespace dealstream::crm
