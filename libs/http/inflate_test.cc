#include "libs/http/inflate.h"

#include <string>

#include <gtest/gtest.h>
#include <zlib.h>

namespace dealstream::http {
namespace {

constexpr int kGzip = 15 + 16;
constexpr int kZlib = 15;
constexpr int kRaw = -15;

std::string Pack(const std::string& text, int window_bits) {
  z_stream z = {};
  deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

Result<std::string> Unpack(const std::string& encoding,
                           const std::string& bytes,
                           int64_t limit = 1 << 20,
                           size_t piece = 1) {
  BodyDecoder decoder(encoding, limit);
  for (size_t i = 0; i < bytes.size(); i += piece) {
    DEALSTREAM_RETURN_IF_ERROR(decoder.Add(std::string_view(bytes).substr(i, piece)));
  }
  return decoder.Finish();
}

TEST(BodyDecoderTest, DecodesEachEncodingInPiecesOfAnySize) {
  std::string text;
  for (int i = 0; i < 20000; ++i) {
    text += std::to_string(i * 7919);
  }
  for (size_t piece : {size_t{1}, size_t{2}, size_t{1000}, size_t{1} << 20}) {
    EXPECT_EQ(Unpack("gzip", Pack(text, kGzip), 1 << 20, piece).value(), text);
    EXPECT_EQ(Unpack("x-GZIP ", Pack(text, kGzip), 1 << 20, piece).value(), text);
    EXPECT_EQ(Unpack("deflate", Pack(text, kZlib), 1 << 20, piece).value(), text);
    EXPECT_EQ(Unpack("deflate", Pack(text, kRaw), 1 << 20, piece).value(), text);
    EXPECT_EQ(Unpack("", text, 1 << 20, piece).value(), text);
    EXPECT_EQ(Unpack("identity", text, 1 << 20, piece).value(), text);
  }
}

TEST(BodyDecoderTest, JoinsTheMembersOfAGzipStream) {
  EXPECT_EQ(Unpack("gzip", Pack("one", kGzip) + Pack("two", kGzip)).value(), "onetwo");
  EXPECT_EQ(Unpack("gzip", Pack("one", kGzip) + Pack("two", kGzip), 1000, 1000).value(), "onetwo");
}

TEST(BodyDecoderTest, AnEmptyBodyIsEmptyWhateverTheEncoding) {
  EXPECT_EQ(Unpack("gzip", "").value(), "");
  EXPECT_EQ(Unpack("gzip", Pack("", kGzip)).value(), "");
}

TEST(BodyDecoderTest, StopsABombAtTheLimit) {
  const std::string bomb = Pack(std::string(50 << 20, 'x'), kGzip);
  ASSERT_LT(bomb.size(), 100000U);
  const auto result = Unpack("gzip", bomb, 1 << 20, 4096);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReasonOf(result.status()), "answer_too_large");
}

TEST(BodyDecoderTest, LimitsWhatComesInToo) {
  std::string members;
  for (int i = 0; i < 100; ++i) {
    members += Pack("", kGzip);
  }
  EXPECT_EQ(Unpack("gzip", members, 1000).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Unpack("", "12345", 4).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Unpack("", "1234", 4).value(), "1234");
}

TEST(BodyDecoderTest, RefusesWhatIsCutOrNoSuchEncoding) {
  const std::string packed = Pack("some text to be cut", kGzip);
  for (size_t size = 1; size < packed.size(); ++size) {
    EXPECT_EQ(ReasonOf(Unpack("gzip", packed.substr(0, size)).status()), "broken_answer") << size;
  }
  EXPECT_EQ(ReasonOf(Unpack("gzip", "{\"not\":\"packed\"}").status()), "broken_answer");
  EXPECT_EQ(ReasonOf(Unpack("br", "x").status()), "broken_answer");
  EXPECT_EQ(ReasonOf(Unpack("gzip, gzip", packed).status()), "broken_answer");
}

}  // namespace
}  // namespace dealstream::http
