#include "services/credential-vault/policy.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

namespace dealstream::vault {
namespace {

Status Refused(std::string message) {
  return WithReason(absl::PermissionDeniedError(std::move(message)), "not_allowed");
}

// What was wrong with the file; ends in Policy::Load.
[[noreturn]] void Fail(const YAML::Node& node, const std::string& message) {
  throw YAML::Exception(node.Mark(), message);
}

std::set<Method> ReadMethods(const YAML::Node& node) {
  std::set<Method> methods;
  for (const YAML::Node& item : node) {
    const auto name = item.as<std::string>();
    const auto* found = std::find(kMethodNames.begin(), kMethodNames.end(), name);
    if (found == kMethodNames.end()) {
      Fail(item,
           fmt::format(
               "unknown method \"{}\", want one of {}", name, fmt::join(kMethodNames, ", ")));
    }
    methods.insert(static_cast<Method>(found - kMethodNames.begin()));
  }
  return methods;
}

}  // namespace

// Reads the file; throws YAML::Exception.
struct Policy::File {
  static Rights ReadRights(const YAML::Node& node) {
    Rights rights;
    for (const auto& entry : node) {
      const auto key = entry.first.as<std::string>();
      if (key == "methods") {
        rights.methods = ReadMethods(entry.second);
      } else if (key == "crms") {
        for (const auto& crm : entry.second.as<std::vector<std::string>>()) {
          rights.crms.insert(crm);
        }
        if (rights.crms.empty()) {
          Fail(entry.second, "crms: an empty list; leave it out to mean all");
        }
      } else if (key == "all_tenants") {
        rights.all_tenants = entry.second.as<bool>();
      } else {
        Fail(entry.first,
             fmt::format("unknown key \"{}\", want methods, crms or all_tenants", key));
      }
    }
    return rights;
  }

  static Policy Read(const YAML::Node& root) {
    Policy policy;
    if (!root.IsMap() || root.size() != 1 || !root["callers"].IsMap()) {
      Fail(root, "want one key, \"callers\", with a map by common name");
    }
    for (const auto& caller : root["callers"]) {
      policy.callers_[caller.first.as<std::string>()] = ReadRights(caller.second);
    }
    return policy;
  }
};

Policy Policy::Default() {
  const Rights opens = {
      .methods = {Method::kIssueAccess, Method::kGetCredential}, .crms = {}, .all_tenants = false};
  Policy policy;
  policy.callers_["crm-reader"] = opens;
  policy.callers_["telephony-bridge"] = opens;
  policy.callers_["cabinet"] = {.methods = {Method::kGetCredential, Method::kListCredentials},
                                .crms = {},
                                .all_tenants = false};
  policy.callers_["dealctl"] = {.methods = {Method::kPutCredential,
                                            Method::kListCredentials,
                                            Method::kGetCredential,
                                            Method::kRotateCredential,
                                            Method::kDeleteCredential},
                                .crms = {},
                                .all_tenants = true};
  return policy;
}

Result<Policy> Policy::Load(const std::string& path) {
  try {
    return File::Read(YAML::LoadFile(path));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(fmt::format("policy.file: {}: {}", path, error.what()));
  }
}

const Policy::Rights* Policy::Find(std::string_view caller) const {
  const auto found = callers_.find(caller);
  return found == callers_.end() ? nullptr : &found->second;
}

Status Policy::Check(std::string_view caller, Method method, std::string_view crm) const {
  const Rights* rights = Find(caller);
  if (rights == nullptr || rights->methods.count(method) == 0) {
    return Refused(fmt::format("\"{}\" may not call {}", caller, NameOf(method)));
  }
  if (!crm.empty() && !rights->crms.empty() && rights->crms.count(crm) == 0) {
    return Refused(
        fmt::format("\"{}\" may not call {} for credentials of {}", caller, NameOf(method), crm));
  }
  return absl::OkStatus();
}

Status Policy::CheckList(std::string_view caller,
                         std::string_view crm,
                         std::string_view account_id) const {
  DEALSTREAM_RETURN_IF_ERROR(Check(caller, Method::kListCredentials, crm));
  const Rights* rights = Find(caller);
  if (account_id.empty() && !rights->all_tenants) {
    return Refused(fmt::format("\"{}\" may not list all tenants: name an account_id", caller));
  }
  if (crm.empty() && !rights->crms.empty()) {
    return Refused(fmt::format(
        "\"{}\" may not list all CRMs: name one of {}", caller, fmt::join(rights->crms, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace dealstream::vault
