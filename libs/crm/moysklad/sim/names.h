#pragma once

#include <string>

#include "libs/crm/moysklad/sim/random.h"

// Invented people, companies and things, as they are written in life.
namespace dealstream::crm::moysklad::sim {

struct PersonName {
  std::string last;
  std::string first;
  std::string middle;
  std::string Full() const { return last + " " + first + " " + middle; }
  std::string Short() const;
};

PersonName MakePerson(Random& random);
std::string MakeCompany(Random& random);
// One free string, as people fill it: one or several numbers, extensions, remarks, nonsense.
std::string MakePhone(Random& random);
// A plain mobile number, "+79…".
std::string MakeMobile(Random& random);
std::string MakeEmail(Random& random);
std::string MakeProduct(Random& random);
std::string MakeAddress(Random& random);
std::string MakeRemark(Random& random);

}  // namespace dealstream::crm::moysklad::sim
