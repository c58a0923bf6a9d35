#pragma once

#include <string_view>

#include "libs/domain/money.h"

// Sums of money as people and Hollihop write them. Pure.
namespace dealstream::crm::hollihop {

// ISO 4217 code of a mark that stands beside a sum ("руб.", "₸", "RUB"); empty when it is none. The
// text lives as long as the process.
std::string_view CurrencyOfMark(std::string_view mark);

struct Sum {
  domain::Decimal value;
  // Empty: none is named.
  std::string_view currency;
};

// "1 500,00 руб.", "36000", "₽ 36 000.50". False when it is anything else ("от 5000", "5
// тыс."), or may be read in two ways ("1,500").
bool ParseSum(std::string_view text, Sum& sum);

}  // namespace dealstream::crm::hollihop
