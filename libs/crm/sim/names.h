#pragma once

#include <string>

#include "libs/crm/sim/random.h"

// Invented people, companies and things, as they are written in life: Russian, in UTF-8.
namespace dealstream::crm::simkit {

struct PersonName {
  std::string last;
  std::string first;
  std::string middle;
  // "Лукина Вера Павловна".
  std::string Full() const { return last + " " + first + " " + middle; }
  // "Лукина В. П.".
  std::string Short() const;
};

PersonName MakePerson(Random& random);
std::string MakeCompany(Random& random);
// One free string, as people fill it: one or several numbers, extensions, remarks, nonsense.
std::string MakePhone(Random& random);
// A plain mobile number, "+79…".
std::string MakeMobile(Random& random);
// Now and then with capitals. Under example domains only.
std::string MakeEmail(Random& random);
std::string MakeProduct(Random& random);
std::string MakeAddress(Random& random);
// May hold line breaks, quotes and emoji.
std::string MakeRemark(Random& random);

}  // namespace dealstream::crm::simkit
