#pragma once

#include "libs/base/status.h"
#include "libs/crm/alfacrm/settings.h"
#include "libs/crm/api/adapter.h"

namespace dealstream::crm::alfacrm {

// A page of what changed in the account: branch by branch the cards and payments that did so since
// a day (the filters know no finer time), then the logs, which alone tell of deletions, and of
// changes in old accounts whose rows bear no time.
//
// Of rows it reads only what names the object and when it changed: what is odd besides is for the
// one that reads the object. A branch or log that is refused is passed over: the cursor keeps how
// far it had been read, and the next pass goes on from there.
Result<ListPage> ListChanges(const ListRequest& request, const Terms& terms, Session& session);

}  // namespace dealstream::crm::alfacrm
