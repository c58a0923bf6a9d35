#include "libs/crm/api/sim.h"
