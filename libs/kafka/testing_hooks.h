#pragma once

#include "libs/kafka/kafka.h"

// For the tests of this library alone.
namespace dealstream::kafka::internal {

// Makes the client see a fatal error.
void FailFatallyForTest(Producer& producer);
void FailFatallyForTest(Consumer& consumer);

}  // namespace dealstream::kafka::internal
