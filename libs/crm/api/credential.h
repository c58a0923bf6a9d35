#pragma once

#include <string>
#include <string_view>

#include "libs/base/secret.h"
#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

// What the credentials of CRMs have in common.
namespace dealstream::crm {

// Null when the field isn't there or is empty. Good as long as `fields`.
const Secret* FindField(const CredentialFields& fields, std::string_view name);

// A field that is no secret; empty when it isn't there. Good as long as `fields`.
std::string_view PlainField(const CredentialFields& fields, std::string_view name);

// Letters, digits and signs of ASCII only: no blanks, no control characters. True for "".
bool IsVisibleAscii(std::string_view text);

// Letters, digits, dashes and single dots, without a port; not whether it exists.
bool IsHostName(std::string_view host);

// BadValue for an address. Of it, no more than the host is shown: a key may have been pasted with
// it, in its query, as its user or in its place.
Status BadAddress(std::string_view field, std::string_view given, std::string_view want);

// Where the API of a CRM is unless its owner says otherwise.
struct ApiAddress {
  // "https://api.example.ru".
  std::string_view origin;
  // With a leading slash; empty: the API has no path of its own.
  std::string_view path;
};

// The base URL of an integration: that of `standard`, or what the owner gave as `base_url` instead,
// with or without the API's path and slashes at the end. InvalidArgument when that is no address of
// http or https, bears a user, a query or a fragment, or has another path.
Result<std::string> BaseUrl(std::string_view given, const ApiAddress& standard);

// "Bearer <token>", for the header Authorization.
Secret BearerToken(std::string_view token);

}  // namespace dealstream::crm
