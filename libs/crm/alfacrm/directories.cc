#include "libs/crm/alfacrm/directories.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "libs/base/strings.h"
#include "libs/crm/alfacrm/json_values.h"
#include "libs/crm/alfacrm/rows.h"

namespace dealstream::crm::alfacrm {
namespace {

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

// Names of a page; its head.
Status ReadNames(std::string_view directory,
                 const std::string& body,
                 std::vector<std::pair<int64_t, std::string>>& names,
                 absl::flat_hash_set<int64_t>& known,
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
      if (id > 0 && known.insert(id).second) {
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
  absl::flat_hash_set<int64_t> known;
  Client client(session_);
  int64_t rows = 0;
  for (int page = 0; page < kMostPages; ++page) {
    auto body = client.Index(
        directory, branch_, fmt::format(R"("page":{},"pageSize":{})", page, kPageSize));
    if (IsForbidden(body.status())) {
      return Names();
    }
    DEALSTREAM_RETURN_IF_ERROR(body.status());
    const size_t before = names.size();
    PageHead head;
    DEALSTREAM_RETURN_IF_ERROR(ReadNames(directory, *body, names, known, head));
    rows += head.count;
    // A page past the end repeats the last one. Source: README.md#paging, seen.
    if (rows >= head.total || names.size() == before) {
      break;
    }
  }
  return names;
}

std::string Directories::NoteOf(std::string_view directory) const {
  return fmt::format("names/{}/{}", branch_, directory);
}

std::optional<Directories::Kept> Directories::Noted(std::string_view directory) const {
  const std::string* note = session_.Noted(NoteOf(directory), kNamesKeptFor);
  if (note == nullptr) {
    return std::nullopt;
  }
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
  return kept;
}

Directories::Kept& Directories::Keep(std::string_view directory, Kept kept) {
  for (auto& [name, loaded] : loaded_) {
    if (name == directory) {
      return loaded = std::move(kept);
    }
  }
  return loaded_.emplace_back(directory, std::move(kept)).second;
}

Result<const Directories::Kept*> Directories::ReadAgain(std::string_view directory) {
  Kept read;
  read.read_at = session_.Now();
  DEALSTREAM_ASSIGN_OR_RETURN(read.names, Read(directory));
  session_.Note(NoteOf(directory), ToNote(read.read_at, read.names));
  for (auto& [id, name] : read.names) {
    name = EscapeJson(name);
  }
  return &Keep(directory, std::move(read));
}

Result<const Directories::Kept*> Directories::Load(std::string_view directory,
                                                   const std::vector<int64_t>& wanted) {
  for (const auto& [name, kept] : loaded_) {
    if (name == directory) {
      return &kept;
    }
  }
  if (auto kept = Noted(directory)) {
    const bool complete = std::all_of(
        wanted.begin(), wanted.end(), [&kept](int64_t id) { return Holds(kept->names, id); });
    if (complete || session_.Now() - kept->read_at < kReadAgainAfter) {
      return &Keep(directory, *std::move(kept));
    }
  }
  return ReadAgain(directory);
}

Result<std::string> Directories::ToJson() {
  std::vector<std::string> members;
  for (const auto& [directory, ids] : wanted_) {
    DEALSTREAM_ASSIGN_OR_RETURN(const Kept* all, Load(directory, ids));
    std::vector<std::string> names;
    for (const auto& [id, name] : all->names) {
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

Result<std::vector<int64_t>> Directories::Branches(absl::Duration at_most) {
  DEALSTREAM_ASSIGN_OR_RETURN(const Kept* kept, Load(kBranches, {}));
  // One that was forbidden was noted as an empty one.
  if (session_.Now() - kept->read_at > (kept->names.empty() ? kReadAgainAfter : at_most)) {
    DEALSTREAM_ASSIGN_OR_RETURN(kept, ReadAgain(kBranches));
  }
  if (kept->names.empty()) {
    return WithReason(absl::FailedPreconditionError(
                          "branches: got none, want the list of them: may the role read it?"),
                      kObjectForbidden);
  }
  std::vector<int64_t> branches;
  branches.reserve(kept->names.size());
  for (const auto& [id, name] : kept->names) {
    branches.push_back(id);
  }
  return branches;
}

}  // namespace dealstream::crm::alfacrm
