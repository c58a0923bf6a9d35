#include "libs/crm/alfacrm/directories.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/strings/numbers.h"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "libs/base/strings.h"
#include "libs/crm/alfacrm/json_values.h"
#include "libs/crm/alfacrm/rows.h"

namespace dealstream::crm::alfacrm {
namespace {

constexpr auto kKeptFor = absl::Minutes(30);
constexpr auto kReadAgainAfter = absl::Minutes(1);
constexpr int64_t kPageSize = 500;
// More would be a loop of theirs.
constexpr int kMostPages = 20;

// A note is "<read at, µs>\n<id> <name as JSON text's content>\n...".
std::string ToNote(absl::Time read_at, const std::vector<std::pair<int64_t, std::string>>& names) {
  std::string note = fmt::format("{}\n", absl::ToUnixMicros(read_at));
  for (const auto& [id, name] : names) {
    note += fmt::format("{} {}\n", id, EscapeJson(name));
  }
  return note;
}

std::string_view TakeLine(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  return line;
}

bool Holds(const std::vector<std::pair<int64_t, std::string>>& names, int64_t id) {
  return std::any_of(names.begin(), names.end(), [id](const auto& one) { return one.first == id; });
}

// Names of a page; their count.
Status ReadNames(std::string_view directory,
                 const std::string& body,
                 std::vector<std::pair<int64_t, std::string>>& names,
                 PageHead& head) {
  json::Document document;
  DEALSTREAM_RETURN_IF_ERROR(OfAnswer(document.Read(directory, body, [&](json::Node root) {
    return ReadPage(root, head, [&](json::Node row) -> Status {
      int64_t id = 0;
      std::string_view name;
      DEALSTREAM_RETURN_IF_ERROR(row.Object([&](std::string_view key, json::Node value) -> Status {
        if (key == "id") {
          return ReadId(value, id);
        }
        return key == "name" ? ReadText(value, name) : absl::OkStatus();
      }));
      if (id > 0 && !Holds(names, id)) {
        names.emplace_back(id, name);
      }
      return absl::OkStatus();
    });
  })));
  return CheckPage(directory, head);
}

}  // namespace

bool IsDirectory(std::string_view name) {
  static constexpr auto kAll = std::to_array<std::string_view>({kBranches,
                                                                kLeadStatuses,
                                                                kLeadSources,
                                                                kLeadRejects,
                                                                kStudyStatuses,
                                                                kTeachers,
                                                                kUsers,
                                                                kPayTypes,
                                                                kPayAccounts,
                                                                kPayItems});
  return std::find(kAll.begin(), kAll.end(), name) != kAll.end();
}

void Directories::Want(std::string_view directory, int64_t id) {
  if (id <= 0) {
    return;
  }
  auto found = std::find_if(wanted_.begin(), wanted_.end(), [directory](const auto& one) {
    return one.first == directory;
  });
  if (found == wanted_.end()) {
    found = wanted_.emplace(wanted_.end(), directory, std::vector<int64_t>());
  }
  if (std::find(found->second.begin(), found->second.end(), id) == found->second.end()) {
    found->second.push_back(id);
  }
}

void Directories::Want(std::string_view directory, const std::vector<int64_t>& ids) {
  for (const int64_t id : ids) {
    Want(directory, id);
  }
}

Result<Directories::Names> Directories::Read(std::string_view directory) {
  Names names;
  Client client(session_);
  int64_t rows = 0;
  for (int page = 0; page < kMostPages; ++page) {
    auto body = client.Index(
        directory, branch_, fmt::format(R"("page":{},"pageSize":{})", page, kPageSize));
    if (absl::IsPermissionDenied(body.status()) && ReasonOf(body.status()) != "host_not_allowed") {
      return Names();
    }
    if (ReasonOf(body.status()) == "unknown_path") {
      return Names();
    }
    DEALSTREAM_RETURN_IF_ERROR(body.status());
    const size_t before = names.size();
    PageHead head;
    DEALSTREAM_RETURN_IF_ERROR(ReadNames(directory, *body, names, head));
    rows += head.count;
    // A page past the end repeats the last one. Source: README.md#paging, seen.
    if (rows >= head.total || names.size() == before) {
      break;
    }
  }
  return names;
}

Result<const Directories::Names*> Directories::Load(std::string_view directory,
                                                    const std::vector<int64_t>& wanted) {
  for (const auto& [name, names] : loaded_) {
    if (name == directory) {
      return &names;
    }
  }
  DEALSTREAM_ASSIGN_OR_RETURN(Kept kept, LoadNoted(directory, wanted));
  loaded_.emplace_back(directory, std::move(kept.names));
  return &loaded_.back().second;
}

Result<Directories::Kept> Directories::LoadNoted(std::string_view directory,
                                                 const std::vector<int64_t>& wanted) {
  const std::string key = fmt::format("names/{}/{}", branch_, directory);
  if (const std::string* note = session_.Noted(key, kKeptFor)) {
    Kept kept;
    std::string_view rest = *note;
    int64_t micros = 0;
    (void)absl::SimpleAtoi(ToAbsl(TakeLine(rest)), &micros);
    kept.read_at = absl::FromUnixMicros(micros);
    while (!rest.empty()) {
      const std::string_view line = TakeLine(rest);
      const size_t space = line.find(' ');
      const auto id = ParseId(line.substr(0, space));
      if (id.has_value() && space != std::string_view::npos) {
        kept.names.emplace_back(*id, line.substr(space + 1));
      }
    }
    const bool complete = std::all_of(
        wanted.begin(), wanted.end(), [&kept](int64_t id) { return Holds(kept.names, id); });
    if (complete || session_.Now() - kept.read_at < kReadAgainAfter) {
      return kept;
    }
  }
  Kept read;
  read.read_at = session_.Now();
  DEALSTREAM_ASSIGN_OR_RETURN(read.names, Read(directory));
  session_.Note(key, ToNote(read.read_at, read.names));
  for (auto& [id, name] : read.names) {
    name = EscapeJson(name);
  }
  return read;
}

Result<std::string> Directories::ToJson() {
  std::vector<std::string> members;
  for (const auto& [directory, ids] : wanted_) {
    DEALSTREAM_ASSIGN_OR_RETURN(const Names* all, Load(directory, ids));
    std::vector<std::string> names;
    for (const auto& [id, name] : *all) {
      if (std::find(ids.begin(), ids.end(), id) != ids.end()) {
        names.push_back(fmt::format(R"("{}":"{}")", id, name));
      }
    }
    if (!names.empty()) {
      members.push_back(fmt::format(R"("{}":{{{}}})", directory, fmt::join(names, ",")));
    }
  }
  return fmt::format("{{{}}}", fmt::join(members, ","));
}

Result<std::vector<int64_t>> Directories::Branches() {
  DEALSTREAM_ASSIGN_OR_RETURN(const Names* all, Load(kBranches, {}));
  std::vector<int64_t> branches;
  branches.reserve(all->size());
  for (const auto& [id, name] : *all) {
    branches.push_back(id);
  }
  return branches;
}

}  // namespace dealstream::crm::alfacrm
