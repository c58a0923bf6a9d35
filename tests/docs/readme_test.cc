// README.md, "State of the CRMs", against the slots that the adapters fill.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "libs/crm/registry.h"

namespace dealstream::crm {
namespace {

using Row = std::map<std::string, std::string>;

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  size_t begin = line.find('|');
  for (size_t end = 0; (end = line.find('|', begin + 1)) != std::string::npos; begin = end) {
    std::string cell = line.substr(begin + 1, end - begin - 1);
    cell.erase(0, cell.find_first_not_of(' '));
    cell.erase(cell.find_last_not_of(' ') + 1);
    cells.push_back(std::move(cell));
  }
  return cells;
}

// By the CRM's id, which is its name in lower case; what stands in each column.
std::map<std::string, Row> ReadTable() {
  std::ifstream file(DEALSTREAM_SOURCE_DIR "/README.md");
  std::map<std::string, Row> table;
  std::vector<std::string> head;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("## ", 0) == 0) {
      inside = line == "## State of the CRMs";
    }
    if (!inside || line.rfind("| ", 0) != 0) {
      continue;
    }
    const std::vector<std::string> cells = Cells(line);
    if (head.empty()) {
      head = cells;
      continue;
    }
    EXPECT_EQ(cells.size(), head.size()) << line;
    std::string id = cells.at(0);
    std::transform(
        id.begin(), id.end(), id.begin(), [](unsigned char c) { return std::tolower(c); });
    for (size_t i = 1; i < std::min(cells.size(), head.size()); ++i) {
      table[id][head[i]] = cells[i];
    }
  }
  return table;
}

bool Has(const Adapter& adapter, Purpose purpose) {
  const std::vector<Purpose> all = adapter.Purposes();
  return std::find(all.begin(), all.end(), purpose) != all.end();
}

// How objects of this purpose come in; empty: they don't.
std::string WaysIn(const Adapter& adapter, Purpose purpose) {
  const bool has_webhooks = adapter.notice_decoder() != nullptr;
  std::string ways = has_webhooks ? "webhooks" : "";
  if (adapter.record_source() != nullptr && adapter.record_source()->Lists(purpose)) {
    ways += has_webhooks ? ", sweeps" : adapter.SweepsDaily() ? "daily load" : "load";
    ways += ", backfill";
  }
  return ways;
}

Row RowOf(const Adapter& adapter) {
  Row row;
  row["deals"] = adapter.deal_mapper() != nullptr && Has(adapter, Purpose::PURPOSE_DEALS)
                     ? WaysIn(adapter, Purpose::PURPOSE_DEALS)
                     : "–";
  row["requests"] = adapter.request_mapper() != nullptr && Has(adapter, Purpose::PURPOSE_REQUESTS)
                        ? WaysIn(adapter, Purpose::PURPOSE_REQUESTS)
                        : "–";
  // Nothing in an adapter does these yet.
  row["telephony"] = Has(adapter, Purpose::PURPOSE_TELEPHONY) ? "done" : "planned";
  row["texts"] = Has(adapter, Purpose::PURPOSE_TEXTS) ? "done" : "planned";
  return row;
}

TEST(ReadmeTest, TableOfCrmsIsWhatTheAdaptersDo) {
  std::map<std::string, Row> wanted;
  const Registry registry = AllAdapters();
  for (const auto& adapter : registry.adapters()) {
    wanted[std::string(adapter->id())] = RowOf(*adapter);
  }
  EXPECT_EQ(ReadTable(), wanted)
      << "README.md, State of the CRMs: left what it says, right what is";
}

}  // namespace
}  // namespace dealstream::crm
