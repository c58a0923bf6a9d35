#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "libs/crm/api/adapter.h"

namespace dealstream::normalizer {

constexpr std::string_view kFakeCrm = "fakecrm";

// A CRM whose answers are Deal and Request in text format, for tests. A body "!<code>" makes the
// mapper fail: "!invalid", "!internal"; "!none" is no request and no deal.
std::unique_ptr<crm::Adapter> MakeFakeAdapter(bool requests_are_made_once = false);

// A living deal, read at `version` seconds.
raw::v1::Record FakeRecord(std::string_view external_id, int64_t version, std::string_view body);
// The same, gone.
raw::v1::Record FakeGone(std::string_view external_id, int64_t observed_seconds);

}  // namespace dealstream::normalizer
