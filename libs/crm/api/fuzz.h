#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libs/crm/api/fixture.h"

// What the fuzz targets of every adapter do with any bytes. Each finding is a sentence; none means
// that all is well. What only one CRM has (kinds of objects, parts, page tokens, headers) is taken
// from the adapter's testdata. No part of the product.
namespace dealstream::crm::fuzz {

using Findings = std::vector<std::string>;

// Any bytes may come to the door. A first line that is short is the query string.
class Notice {
 public:
  Notice(const Adapter& adapter, const std::string& testdata);
  Findings Run(const std::string& bytes);

 private:
  const Adapter& adapter_;
};

// Any bytes as each part of a record, and as a part that comes twice, into messages that are used
// again.
class Mappers {
 public:
  Mappers(const Adapter& adapter, const std::string& testdata);
  Findings Run(const std::string& bytes);

 private:
  struct Place {
    raw::v1::Record record;
    int part = 0;
  };
  void Check(const raw::v1::Record& record, Findings& findings);

  const Adapter& adapter_;
  // Each part that a record may have, in the smallest that has it. The first part tells records of
  // one kind from those of another.
  std::vector<Place> places_;
  fixture::Mapped used_;
};

// Any bytes as the CRM's answer to every call of Read, List and LogIn. Where the first is below
// six, the first two are the status, and a line is the headers that say when to come back.
class Answers {
 public:
  Answers(const Adapter& adapter, const std::string& testdata);
  Findings Run(const std::string& bytes);

 private:
  const Adapter& adapter_;
  // One of each kind.
  std::vector<ObjectRef> refs_;
  std::vector<std::pair<Purpose, ListRequest>> lists_;
  std::vector<std::string> headers_;
};

}  // namespace dealstream::crm::fuzz
