#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "libs/base/status.h"
#include "libs/crm/alfacrm/client.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// How long what was read of a directory is good for.
inline constexpr auto kNamesKeptFor = absl::Minutes(30);

// The names that rows give by number only, from the account's directories ("lead-status"). Each is
// read whole and noted for the next objects; one that lacks a number is read again, at most once a
// minute. A directory that is forbidden, or that an old account doesn't have, is as good as empty.
class Directories {
 public:
  // Both outlive it. Directories are read in the scope `branch`.
  Directories(Session& session, int64_t branch) : session_(session), branch_(branch) {}

  // Asks for a name; 0 is none. The same may be asked for twice.
  void Want(std::string_view directory, int64_t id);
  void Want(std::string_view directory, const std::vector<int64_t>& ids);

  // The names that were asked for, as the part "names".
  Result<std::string> ToJson();

  // Numbers of all branches, in the directory's order, as they were read `at_most` ago. What isn't
  // found in them is taken for deleted, so one that can't be read is no empty list:
  // FailedPrecondition kObjectForbidden. No account is without a branch.
  Result<std::vector<int64_t>> Branches(absl::Duration at_most);

 private:
  // By number.
  using Names = std::vector<std::pair<int64_t, std::string>>;
  struct Kept {
    absl::Time read_at;
    Names names;
  };

  // Good until the next one is loaded.
  Result<const Kept*> Load(std::string_view directory, const std::vector<int64_t>& wanted);
  std::optional<Kept> Noted(std::string_view directory) const;
  // Reads and notes it.
  Result<const Kept*> ReadAgain(std::string_view directory);
  Result<Names> Read(std::string_view directory);
  std::string NoteOf(std::string_view directory) const;
  Kept& Keep(std::string_view directory, Kept kept);

  Session& session_;
  const int64_t branch_;
  // In the order of the first wish.
  std::vector<std::pair<std::string, std::vector<int64_t>>> wanted_;
  // Of this conversation; names as the content of JSON strings.
  std::vector<std::pair<std::string, Kept>> loaded_;
};

// The directories' names in paths.
inline constexpr std::string_view kBranches = "branch";
inline constexpr std::string_view kLeadStatuses = "lead-status";
inline constexpr std::string_view kLeadSources = "lead-source";
inline constexpr std::string_view kLeadRejects = "lead-reject";
inline constexpr std::string_view kStudyStatuses = "study-status";
inline constexpr std::string_view kTeachers = "teacher";
inline constexpr std::string_view kUsers = "user";
inline constexpr std::string_view kPayTypes = "pay-type";
inline constexpr std::string_view kPayAccounts = "pay-account";
inline constexpr std::string_view kPayItems = "pay-item";
bool IsDirectory(std::string_view name);

}  // namespace dealstream::crm::alfacrm
