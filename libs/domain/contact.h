#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dealstream/deal/v1/deal.pb.h"

namespace dealstream::domain {

// Phone numbers in a free text ("8 (495) 123-45-67, +7 900 000-11-22 доб. 5"): split, read with
// libphonenumber for `region` ("RU"), without extensions and duplicates. What can't be read is kept
// with e164 empty when it has at least 5 digits.
std::vector<deal::v1::Phone> ParsePhones(std::string_view text, std::string_view region);

// Adds the phones of `text` to the contact, without duplicates.
void AddPhones(std::string_view text, std::string_view region, deal::v1::Contact& contact);

// Adds the e-mail addresses of a free text, lower case, without duplicates.
void AddEmails(std::string_view text, deal::v1::Contact& contact);

}  // namespace dealstream::domain
