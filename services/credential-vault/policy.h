#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "libs/base/status.h"

namespace dealstream::vault {

enum class Method {
  kPutCredential,
  kListCredentials,
  kGetCredential,
  kRotateCredential,
  kDeleteCredential,
  kIssueAccess,
};
inline constexpr std::array<std::string_view, 6> kMethodNames = {"PutCredential",
                                                                 "ListCredentials",
                                                                 "GetCredential",
                                                                 "RotateCredential",
                                                                 "DeleteCredential",
                                                                 "IssueAccess"};
inline std::string_view NameOf(Method method) { return kMethodNames[static_cast<size_t>(method)]; }

// Who may do what: by the common name of the caller's certificate. What isn't allowed is refused.
// From a file:
//
//   callers:
//     crm-reader:
//       methods: [IssueAccess, GetCredential]
//     dealctl:
//       methods: [PutCredential, ListCredentials]
//       crms: [alpha]        # absent: all
//       all_tenants: true    # may list without naming a tenant; absent: false
class Policy {
 public:
  // crm-reader and telephony-bridge open; cabinet looks; dealctl does everything but open.
  static Policy Default();
  // InvalidArgument names the unknown key or method.
  static Result<Policy> Load(const std::string& path);

  // PermissionDenied with reason "not_allowed". An empty `crm` isn't known yet: check again when it
  // is.
  Status Check(std::string_view caller, Method method, std::string_view crm = "") const;
  // As Check; for a list, where an empty `crm` or tenant means all.
  Status CheckList(std::string_view caller,
                   std::string_view crm,
                   std::string_view account_id) const;

 private:
  struct Rights {
    std::set<Method> methods;
    // Empty: all.
    std::set<std::string, std::less<>> crms;
    bool all_tenants = false;
  };
  struct File;
  const Rights* Find(std::string_view caller) const;

  std::map<std::string, Rights, std::less<>> callers_;
};

}  // namespace dealstream::vault
