#include "libs/crm/hollihop/credential.h"

#include <map>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/base/strings.h"

namespace dealstream::crm::hollihop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kKey =
    "q9Zt/EXAMPLEonly+notARealKey0000000000000000000000000000000000000=";

class NoCalls final : public http::Transport {
 public:
  Result<http::Response> Send(const http::Request&) override {
    ADD_FAILURE() << "a call";
    return absl::InternalError("a call");
  }
};

CredentialFields Fields(std::string_view url, std::string_view key) {
  CredentialFields fields;
  fields.emplace_back("url", Secret(url));
  fields.emplace_back("api_key", Secret(key));
  return fields;
}

// H8: URL and API key; the key is an argument, as it is: the host percent-encodes it.
TEST(CredentialTest, KeyGoesIntoTheQuery) {
  NoCalls transport;
  auto access = Credential().MakeAccess(Fields("https://uiscom.t8s.ru", kKey), transport);
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->base_url, "https://uiscom.t8s.ru/Api/V2");
  EXPECT_TRUE(access->headers.empty());
  EXPECT_TRUE(access->path.empty());
  ASSERT_EQ(access->query.size(), 1u);
  EXPECT_EQ(access->query[0].first, "authkey");
  EXPECT_EQ(access->query[0].second.Reveal(RevealToken{}), kKey);
  EXPECT_EQ(access->expires_at, absl::InfiniteFuture());
}

TEST(CredentialTest, BlanksAroundTheKeyAreNotOfIt) {
  NoCalls transport;
  auto access = Credential().MakeAccess(Fields("uiscom.t8s.ru", " abc\n"), transport);
  ASSERT_TRUE(access.ok()) << access.status();
  EXPECT_EQ(access->query[0].second.Reveal(RevealToken{}), "abc");
}

// H8: the address in the form of the document, and those that people paste.
TEST(CredentialTest, AddressInManyForms) {
  NoCalls transport;
  for (const char* url : {"https://uiscom.t8s.ru",
                          "https://uiscom.t8s.ru/",
                          "  https://UisCom.T8S.ru  ",
                          "uiscom.t8s.ru",
                          "http://uiscom.t8s.ru",
                          "https://uiscom.t8s.ru/Api/V2",
                          "https://uiscom.t8s.ru//api/v2/"}) {
    EXPECT_EQ(Credential().CrmAccountId(Fields(url, "k")).value_or("none"), "uiscom") << url;
    auto access = Credential().MakeAccess(Fields(url, "k"), transport);
    ASSERT_TRUE(access.ok()) << url << access.status();
    EXPECT_EQ(access->base_url, "https://uiscom.t8s.ru/Api/V2") << url;
  }
}

TEST(CredentialTest, SimulatorOnLoopback) {
  NoCalls transport;
  const std::map<std::string, std::pair<std::string, std::string>> cases = {
      {"http://127.0.0.1:8090/school1", {"school1", "http://127.0.0.1:8090/school1/Api/V2"}},
      {"http://127.0.0.1:8090/school1/Api/V2/",
       {"school1", "http://127.0.0.1:8090/school1/Api/V2"}},
      {"http://localhost:8090", {"localhost:8090", "http://localhost:8090/Api/V2"}}};
  for (const auto& [url, want] : cases) {
    EXPECT_EQ(Credential().CrmAccountId(Fields(url, "k")).value_or("none"), want.first) << url;
    EXPECT_EQ(Credential().MakeAccess(Fields(url, "k"), transport)->base_url, want.second) << url;
  }
}

// A wrong address could hit a function that writes.
TEST(CredentialTest, RefusesOtherAddresses) {
  for (const char* url : {"",
                          "https://",
                          "t8s.ru",
                          "https://.t8s.ru",
                          "https://school.example.com",
                          "https://t8s.ru.example.com",
                          "https://schoolt8s.ru",
                          "ftp://school.t8s.ru",
                          "https://school.t8s.ru:8443",
                          "https://school.t8s.ru/Api/V2/AddLead",
                          "https://school.t8s.ru/AddStudyRequest",
                          "https://user:pass@school.t8s.ru",
                          "https://school.t8s.ru?authkey=s3cret",
                          "https://user:s3cret@school.t8s.ru",
                          "s3cret",
                          "https://school.t8s.ru?x=.t8s.ru",
                          "https://evil.com#.t8s.ru",
                          "https://evil.com\\.t8s.ru",
                          "https://sch ool.t8s.ru",
                          "http://127.0.0.1:8090/GetLeads",
                          "http://127.0.0.1:8090/a/b",
                          "http://127.0.0.1:x"}) {
    const Status status = Credential().CrmAccountId(Fields(url, "s3cret")).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << url;
    EXPECT_THAT(std::string(ToStd(status.message())), HasSubstr("want the school's address"))
        << url;
    EXPECT_THAT(std::string(ToStd(status.message())), Not(HasSubstr("s3cret"))) << url;
  }
}

TEST(CredentialTest, WantsAKey) {
  NoCalls transport;
  for (const std::string& key : {std::string(), std::string(" "), std::string(513, 's')}) {
    const Status status =
        Credential().MakeAccess(Fields("https://uiscom.t8s.ru", key), transport).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(ToStd(status.message())), HasSubstr("api_key: got"));
    EXPECT_THAT(std::string(ToStd(status.message())), Not(HasSubstr("sss")));
  }
}

}  // namespace
}  // namespace dealstream::crm::hollihop
