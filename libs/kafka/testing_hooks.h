#pragma once

#include "libs/kafka/kafka.h"

// For the tests of this library alone.
namespace dealstream::kafka::internal {

// Makes the client see a fatal error.
void FailFatallyForTest(Producer& producer);

}  // namespace dealstream::kafka::internal
