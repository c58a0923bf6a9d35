#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dealstream::ingest {

// What is said about the connection in an answer.
enum class Persistence {
  kDefault,    // HTTP/1.1 that stays open: nothing.
  kKeepAlive,  // HTTP/1.0 that asked to stay open.
  kClose,
};

// "Sun, 06 Nov 1994 08:49:37 GMT", 29 characters; the owner renews it once a second.
using DateText = std::array<char, 29>;

struct AnswerSpec {
  int status = 204;
  std::string reason = "No Content";
  std::vector<std::pair<std::string, std::string>> headers = {};
  // Empty: none is sent.
  std::string content_type = {};
  std::string body = {};
  // Leaves room for the header x-notice-id.
  bool has_notice_id = false;
};

// An HTTP answer of which only the date and the notice's id change: written once, patched for each
// use. Belongs to one thread. `date` outlives it.
class PreparedAnswer {
 public:
  PreparedAnswer(const AnswerSpec& spec, const DateText& date);

  // Valid until the next call. `notice_id` has 26 characters, or none where there is no room for
  // it. `head_only`: the answer to a HEAD request.
  std::string_view Render(Persistence persistence, std::string_view notice_id, bool head_only);

  int status() const { return status_; }

 private:
  struct Text {
    std::string bytes;
    size_t date_at = 0;
    size_t id_at = 0;
    size_t head_size = 0;
  };

  int status_;
  bool has_notice_id_;
  const DateText& date_;
  std::array<Text, 3> texts_;
};

}  // namespace dealstream::ingest
