#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "libs/http/server.h"

// Reading requests and writing answers.
namespace dealstream::crm::simkit {

// Keys keep their order, as the CRMs' do.
using Json = nlohmann::ordered_json;

// "%41" and "+" decoded; what isn't well formed is left as it is.
std::string UrlDecode(std::string_view text);
std::string UrlEncode(std::string_view text);
// The segments between the slashes, decoded ("+" is a plus here). A leading slash makes no segment;
// "a//b" has an empty one.
std::vector<std::string> SplitPath(std::string_view path);

// The parameters of a query string or of a form body (application/x-www-form-urlencoded), decoded,
// in their order.
using Parameters = std::vector<std::pair<std::string, std::string>>;
Parameters ParseQuery(std::string_view query);
// First value; empty when absent.
std::string_view FindParameter(const Parameters& parameters, std::string_view name);

// A text of JSON as it is, null as "", everything else as JSON. Amounts given as 12.50 or "12.50".
std::string TextOf(const Json& value);
// The same of an object's member; "" when it's absent.
std::string TextOf(const Json& object, std::string_view key);

// Compact; broken UTF-8 is mended.
std::string Dump(const Json& json);
http::ServerResponse JsonAnswer(const Json& body, int status = 200);
// What a proxy before the CRM says.
http::ServerResponse HtmlAnswer(int status);

// Packs with gzip.
std::string Gzip(const std::string& bytes);

}  // namespace dealstream::crm::simkit
