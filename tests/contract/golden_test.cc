// Every message that lies on a topic has a pair of files in golden/: <Message>.txtpb says what it
// is, <Message>.binpb holds its bytes as the first version that had them wrote them. Bytes are
// never rewritten: a change that can't read them, or reads them differently, breaks every
// subscriber.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>

#include "google/protobuf/dynamic_message.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

#include "dealstream/deal/v1/deal.pb.h"
#include "dealstream/integration/v1/integration.pb.h"
#include "dealstream/raw/v1/raw.pb.h"
#include "dealstream/request/v1/request.pb.h"
#include "dealstream/state/v1/state.pb.h"

namespace dealstream {
namespace {

namespace fs = std::filesystem;
using google::protobuf::Message;

const fs::path kGolden = fs::path(DEALSTREAM_SOURCE_DIR) / "tests/contract/golden";

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The messages that are values of topics.
const Message* const kTopicValues[] = {
    &raw::v1::Notice::default_instance(),
    &raw::v1::PollTick::default_instance(),
    &raw::v1::PollProgress::default_instance(),
    &raw::v1::Record::default_instance(),
    &raw::v1::Retry::default_instance(),
    &raw::v1::DeadLetter::default_instance(),
    &deal::v1::Deal::default_instance(),
    &deal::v1::DealEvent::default_instance(),
    &request::v1::RequestEvent::default_instance(),
    &integration::v1::Integration::default_instance(),
    &state::v1::EntityState::default_instance(),
};

class GoldenTest : public testing::TestWithParam<const Message*> {};

TEST_P(GoldenTest, OldBytesAreReadAsBefore) {
  const std::string name = GetParam()->GetDescriptor()->name();
  const fs::path text_path = kGolden / (name + ".txtpb");
  const fs::path bytes_path = kGolden / (name + ".binpb");
  std::unique_ptr<Message> expected(GetParam()->New());
  ASSERT_TRUE(fs::exists(text_path)) << "write " << text_path << " for the new topic value";
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(ReadFile(text_path), expected.get()));
  if (!fs::exists(bytes_path) && std::getenv("DEALSTREAM_WRITE_GOLDEN") != nullptr) {
    std::ofstream(bytes_path, std::ios::binary) << expected->SerializeAsString();
  }
  ASSERT_TRUE(fs::exists(bytes_path)) << "run once with DEALSTREAM_WRITE_GOLDEN=1";
  std::unique_ptr<Message> read(GetParam()->New());
  ASSERT_TRUE(read->ParseFromString(ReadFile(bytes_path)));
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*expected, *read))
      << read->DebugString();
  EXPECT_TRUE(read->GetReflection()->GetUnknownFields(*read).empty())
      << "a field was dropped without being reserved";
}

TEST_P(GoldenTest, EveryFieldIsInTheSample) {
  std::unique_ptr<Message> sample(GetParam()->New());
  const std::string name = GetParam()->GetDescriptor()->name();
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(ReadFile(kGolden / (name + ".txtpb")),
                                                            sample.get()));
  const auto* descriptor = sample->GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const auto* field = descriptor->field(i);
    if (field->real_containing_oneof() != nullptr) {
      continue;  // Only one of them can be set.
    }
    const bool set = field->is_repeated() ? sample->GetReflection()->FieldSize(*sample, field) > 0
                                          : sample->GetReflection()->HasField(*sample, field);
    EXPECT_TRUE(set) << field->full_name() << " is missing from " << name << ".txtpb";
  }
}

std::string NameOf(const testing::TestParamInfo<const Message*>& message) {
  return message.param->GetDescriptor()->name();
}

INSTANTIATE_TEST_SUITE_P(Topics, GoldenTest, testing::ValuesIn(kTopicValues), NameOf);

}  // namespace
}  // namespace dealstream
