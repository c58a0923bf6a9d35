#include "libs/crm/api/settings.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::crm {
namespace {

std::string Text(const Status& status) { return std::string(ToStd(status.message())); }

TEST(SettingsTest, ZonesAreThoseOfTheDatabase) {
  for (const char* name : {"Europe/Moscow",
                           "Asia/Almaty",
                           "America/Argentina/Buenos_Aires",
                           "America/Port-au-Prince",
                           "Etc/GMT+3",
                           "UTC"}) {
    const auto zone = LoadZone("time_zone", name);
    ASSERT_TRUE(zone.ok()) << zone.status();
    EXPECT_EQ(zone->name(), name);
  }
}

TEST(SettingsTest, OtherZonesAreRefused) {
  for (const std::string& name : {std::string(),
                                  std::string("Moscow"),
                                  std::string("Europe/Atlantis"),
                                  std::string("Europe/"),
                                  std::string("Europe/Moscow\n"),
                                  std::string("Europe/Moscow\0", 14),
                                  std::string("Europe/../Europe/Moscow"),
                                  std::string("../../etc/passwd"),
                                  std::string("/usr/share/zoneinfo/Europe/Moscow"),
                                  std::string("/etc/passwd"),
                                  std::string(":Europe/Moscow"),
                                  std::string("file:/etc/localtime"),
                                  std::string("localtime"),
                                  std::string("posix/Europe/Moscow"),
                                  std::string("Fixed/UTC+03:00:00")}) {
    const Status status = LoadZone("time_zone", name).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_EQ(Text(status),
              "setting time_zone: got \"" + name +
                  "\", want a name of the IANA database such as Europe/Moscow");
  }
}

TEST(SettingsTest, LongValuesAreCutBetweenCharacters) {
  std::string name = "A";
  std::string shown = "A";
  for (int i = 0; i < 60; ++i) {
    name += "я";
    shown += i < 49 ? "я" : "";
  }
  EXPECT_EQ(Text(LoadZone("zone", name).status()),
            "setting zone: got \"" + shown +
                "\", want a name of the IANA database such as Europe/Moscow");
  EXPECT_FALSE(LoadZone("zone", std::string(65, 'A')).ok());
}

}  // namespace
}  // namespace dealstream::crm
