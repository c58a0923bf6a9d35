#include "libs/domain/contact.h"

#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/domain/phone_number.h"

namespace dealstream::domain {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Phones(std::string_view text, std::string_view region = "RU") {
  std::vector<std::string> shown;
  for (const auto& phone : ParsePhones(text, region)) {
    shown.push_back(phone.e164() + "|" + phone.as_given());
  }
  return shown;
}

std::vector<std::string> Emails(std::string_view text) {
  deal::v1::Contact contact;
  AddEmails(text, contact);
  return {contact.emails().begin(), contact.emails().end()};
}

TEST(ParsePhonesTest, ReadsRussianForms) {
  for (const char* text : {"+79000001122",
                           "89000001122",
                           "79000001122",
                           "9000001122",
                           "8 (900) 000-11-22",
                           "+7 900 000 11 22",
                           "8-900-000-11-22",
                           "тел. 8 900 000-11-22",
                           "8 900 000-11-22 Вера",
                           "8\u00a0900\u00a0000\u201311\u201322"}) {
    const auto phones = ParsePhones(text, "RU");
    ASSERT_EQ(phones.size(), 1u) << text;
    EXPECT_EQ(phones[0].e164(), "+79000001122") << text;
  }
}

TEST(ParsePhonesTest, KeepsTheTextAsGiven) {
  EXPECT_THAT(Phones(" 8 (495) 123-45-67 "), ElementsAre("+74951234567|8 (495) 123-45-67"));
}

TEST(ParsePhonesTest, SplitsSeveralNumbersInOneText) {
  EXPECT_THAT(Phones("8 (495) 123-45-67, +7 900 000-11-22 доб. 5"),
              ElementsAre("+74951234567|8 (495) 123-45-67", "+79000001122|+7 900 000-11-22"));
  EXPECT_THAT(
      Phones("89000001122;89000003344/89000005566"),
      ElementsAre(
          "+79000001122|89000001122", "+79000003344|89000003344", "+79000005566|89000005566"));
  EXPECT_THAT(Phones("89000001122 89000003344"),
              ElementsAre("+79000001122|89000001122", "+79000003344|89000003344"));
  EXPECT_THAT(Phones("8 900 000 11 22 8 900 000 33 44"),
              ElementsAre("+79000001122|8 900 000 11 22", "+79000003344|8 900 000 33 44"));
  EXPECT_THAT(Phones("+79000001122+79000003344"),
              ElementsAre("+79000001122|+79000001122", "+79000003344|+79000003344"));
  EXPECT_THAT(Phones("8 900 000-11-22 Вера 8 900 000-33-44 Егор"),
              ElementsAre("+79000001122|8 900 000-11-22", "+79000003344|8 900 000-33-44"));
}

TEST(ParsePhonesTest, LeavesOutExtensionsAndRepeats) {
  EXPECT_THAT(Phones("+7 495 123-45-67 доб. 12345"), ElementsAre("+74951234567|+7 495 123-45-67"));
  EXPECT_THAT(Phones("+7 495 123-45-67 (доб. 12345), 89000001122"),
              ElementsAre("+74951234567|+7 495 123-45-67", "+79000001122|89000001122"));
  EXPECT_THAT(Phones("+7 495 123-45-67 ext 12345"), ElementsAre("+74951234567|+7 495 123-45-67"));
  EXPECT_THAT(Phones("+7 495 123-45-67 #101"), ElementsAre("+74951234567|+7 495 123-45-67"));
  EXPECT_THAT(Phones("89000001122, +7 (900) 000-11-22"), ElementsAre("+79000001122|89000001122"));
}

TEST(ParsePhonesTest, KeepsWhatCanNotBeReadWithFiveDigitsOrMore) {
  EXPECT_THAT(Phones("12-345"), ElementsAre("|12-345"));
  EXPECT_THAT(Phones("кв. 12"), IsEmpty());
  EXPECT_THAT(Phones(""), IsEmpty());
  EXPECT_THAT(Phones("нет"), IsEmpty());
  EXPECT_THAT(Phones("+"), IsEmpty());
  EXPECT_THAT(Phones("((((((((("), IsEmpty());
}

TEST(ParsePhonesTest, ReadsOtherCountriesAndRegions) {
  EXPECT_THAT(Phones("+44 20 7946 0958"), ElementsAre("+442079460958|+44 20 7946 0958"));
  EXPECT_THAT(Phones("+998 90 123 45 67"), ElementsAre("+998901234567|+998 90 123 45 67"));
  EXPECT_THAT(Phones("8 701 123 45 67", "KZ"), ElementsAre("+77011234567|8 701 123 45 67"));
  EXPECT_THAT(Phones("90 123 45 67", "UZ"), ElementsAre("+998901234567|90 123 45 67"));
}

TEST(ParsePhonesTest, EndsOnHostileText) {
  EXPECT_LE(ParsePhones(std::string(1 << 20, '1'), "RU").size(), 1u);
  std::string spaced;
  for (int i = 0; i < 5000; ++i) {
    spaced += "1 ";
  }
  ParsePhones(spaced, "RU");
  std::string pluses(5000, '+');
  ParsePhones(pluses, "RU");
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += "8 900 000 11 22 ";
  }
  EXPECT_EQ(ParsePhones(many, "RU").size(), 1u);
}

// The short cut may be there only because it can't be told from the library.
TEST(ToE164Test, RussianShortCutEqualsTheLibrary) {
  std::mt19937_64 random(20261121);
  const std::vector<std::string> prefixes = {"+7", "7", "8", "", "+8", "+"};
  int taken = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string number = prefixes[random() % prefixes.size()];
    const size_t digits = random() % 20 == 0 ? random() % 13 : 10;
    for (size_t k = 0; k < digits; ++k) {
      static constexpr std::string_view kBetween = " -()";
      if (random() % 4 == 0) {
        number += kBetween[random() % kBetween.size()];
      }
      number += static_cast<char>('0' + random() % 10);
    }
    const std::string quick = internal::RussianE164(number);
    if (!quick.empty()) {
      ++taken;
      ASSERT_EQ(quick, internal::LibraryE164(number, "RU")) << number;
    }
  }
  EXPECT_GT(taken, 3000);
}

// Every area code and every prefix, with the digits behind them at both ends.
TEST(ToE164Test, RussianShortCutEqualsTheLibraryForEveryCode) {
  for (int code = 0; code < 1000; ++code) {
    for (const char* prefix : {"+7", "7", "8", ""}) {
      for (const char* tail : {"0000000", "9999999"}) {
        std::string number = prefix;
        number += std::to_string(1000 + code).substr(1) + tail;
        const std::string quick = internal::RussianE164(number);
        if (!quick.empty()) {
          ASSERT_EQ(quick, internal::LibraryE164(number, "RU")) << number;
        }
      }
    }
  }
}

TEST(ToE164Test, RemembersWithoutMixingRegions) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(ToE164("90 123 45 67", "UZ"), "+998901234567");
    EXPECT_EQ(ToE164("90 123 45 67", "RU"), "");
    EXPECT_EQ(ToE164("garbage", "RU"), "");
  }
}

TEST(AddPhonesTest, AddsWithoutDuplicates) {
  deal::v1::Contact contact;
  AddPhones("8 900 000-11-22", "RU", contact);
  AddPhones("+79000001122, 12345", "RU", contact);
  AddPhones("12345", "RU", contact);
  ASSERT_EQ(contact.phones_size(), 2);
  EXPECT_EQ(contact.phones(0).e164(), "+79000001122");
  EXPECT_EQ(contact.phones(1).e164(), "");
  EXPECT_EQ(contact.phones(1).as_given(), "12345");
}

TEST(AddEmailsTest, LongTextIsNotCutWithinALetter) {
  EXPECT_THAT(Emails(std::string(4088, ' ') + "a@b.рфрф"), ElementsAre("a@b.рф"));
  EXPECT_THAT(Emails(std::string(4089, ' ') + "a@b.рфрф"), ElementsAre("a@b.р"));
}

TEST(AddEmailsTest, SplitsLowersAndFolds) {
  EXPECT_THAT(Emails("E.Lukin@Example.ru; vera@example.ru,e.lukin@example.ru"),
              ElementsAre("e.lukin@example.ru", "vera@example.ru"));
  EXPECT_THAT(Emails("Егор <egor@example.ru>."), ElementsAre("egor@example.ru"));
  EXPECT_THAT(Emails("нет почты, @, a@b, @b.ru, a@.ru, a@@b.ru"), IsEmpty());
  EXPECT_THAT(Emails("почта@пример.рф"), ElementsAre("почта@пример.рф"));
}

}  // namespace
}  // namespace dealstream::domain
