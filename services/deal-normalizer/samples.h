#pragma once

#include <cstdint>
#include <string>

#include "dealstream/raw/v1/raw.pb.h"
#include "libs/base/status.h"
#include "libs/crm/api/adapter.h"

// Real orders for benchmarks, the load program and fuzzing, out of an adapter's testdata. No part
// of the product.
namespace dealstream::normalizer {

// A record of one deal whose versions differ in their title.
class Sample {
 public:
  // The good case in `testdata`/deals whose parts are nearest to `bytes`.
  static Result<Sample> Load(const crm::Adapter& adapter,
                             const std::string& testdata,
                             size_t bytes);

  // Version `version` of deal number `deal`.
  raw::v1::Record Make(int64_t deal, int64_t version) const;
  const std::string& name() const { return name_; }
  size_t bytes() const { return bytes_; }

 private:
  std::string name_;
  size_t bytes_ = 0;
  raw::v1::Record record_;
  // As it stands in the bodies.
  std::string title_;
};

}  // namespace dealstream::normalizer
