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

// Counts how often it is made.
struct Made {
  int times = 0;
  std::string of;
};

TEST(SettingsTest, TheSameSettingsAreReadOnce) {
  LastSettings<Made> last;
  const auto get = [&last](const google::protobuf::Any& packed) {
    return last.Get(packed, [](const google::protobuf::Any& from, Made& made) -> Status {
      ++made.times;
      made.of = from.value();
      return made.of == "bad" ? absl::InvalidArgumentError("bad") : absl::OkStatus();
    });
  };
  google::protobuf::Any packed;
  // Empty ones are settings like others, and not those that nobody has asked for yet.
  EXPECT_EQ((*get(packed))->times, 1);
  EXPECT_EQ((*get(packed))->times, 1);
  packed.set_value("a");
  EXPECT_EQ((*get(packed))->times, 2);
  EXPECT_EQ((*get(packed))->of, "a");
  packed.set_type_url("b");
  EXPECT_EQ((*get(packed))->times, 3);
  // Those that can't be read are refused each time, and leave nothing behind.
  google::protobuf::Any bad;
  bad.set_value("bad");
  EXPECT_FALSE(get(bad).ok());
  EXPECT_FALSE(get(bad).ok());
  EXPECT_EQ((*get(packed))->times, 6);
  EXPECT_EQ((*get(packed))->of, "a");
}

TEST(SettingsTest, ChecksNameTheKeyAndWhatIsWanted) {
  EXPECT_TRUE(CheckRange("page", 1, 1, 5).ok());
  EXPECT_TRUE(CheckRange("page", 5, 1, 5).ok());
  EXPECT_EQ(Text(CheckRange("page", 0, 1, 5)), "setting page: got 0, want 1 to 5");
  EXPECT_EQ(Text(CheckRange("page", 6, 1, 5)), "setting page: got 6, want 1 to 5");

  EXPECT_TRUE(CheckRegion("region", "RU").ok());
  for (const std::string region : {"", "R", "ru", "RUS", "Я"}) {
    EXPECT_EQ(Text(CheckRegion("region", region)),
              "setting region: got \"" + region + "\", want two upper-case letters such as RU");
  }

  EXPECT_TRUE(CheckCurrency("currency", "KZT").ok());
  for (const std::string code : {"", "kzt", "RUR", "643", "XYZ", "RUB "}) {
    EXPECT_EQ(Text(CheckCurrency("currency", code)),
              "setting currency: got \"" + code + "\", want an ISO 4217 code such as RUB");
  }

  const auto& purpose = *integration::v1::Purpose_descriptor();
  EXPECT_TRUE(CheckChoice("for", purpose, integration::v1::PURPOSE_TEXTS).ok());
  for (const int value : {0, 5, -1}) {
    EXPECT_EQ(Text(CheckChoice("for", purpose, value)),
              "setting for: got " + std::to_string(value) +
                  ", want deals or requests or telephony or texts");
  }
}

}  // namespace
}  // namespace dealstream::crm
