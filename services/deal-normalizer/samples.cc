#include "services/deal-normalizer/samples.h"

#include <cstdlib>
#include <optional>

#include "fmt/format.h"

#include "libs/crm/api/fixture.h"

namespace dealstream::normalizer {
namespace {

size_t SizeOf(const raw::v1::Record& record) {
  size_t size = 0;
  for (const auto& part : record.parts()) {
    size += part.body().size();
  }
  return size;
}

size_t Distance(size_t a, size_t b) { return a < b ? b - a : a - b; }

}  // namespace

Result<Sample> Sample::Load(const crm::Adapter& adapter,
                            const std::string& testdata,
                            size_t bytes) {
  DEALSTREAM_ASSIGN_OR_RETURN(const auto cases, crm::fixture::LoadDealCases(adapter, testdata));
  std::optional<Sample> best;
  for (const auto& one : cases) {
    deal::v1::Deal deal;
    if (!adapter.deal_mapper()->Map(one.record, deal).ok() || deal.title().empty() ||
        deal.deleted()) {
      continue;
    }
    const size_t size = SizeOf(one.record);
    if (!best.has_value() || Distance(size, bytes) < Distance(best->bytes_, bytes)) {
      best.emplace();
      best->name_ = one.name;
      best->bytes_ = size;
      best->record_ = one.record;
      best->title_ = '"' + deal.title() + '"';
    }
  }
  if (!best.has_value()) {
    return absl::NotFoundError(fmt::format("{}: no deal that can be mapped", testdata));
  }
  raw::v1::Record& record = best->record_;
  record.set_crm(std::string(adapter.id()));
  record.set_crm_account_id("acme");
  record.set_integration_id("int_load");
  record.set_account_id("tenant");
  record.set_purpose(crm::Purpose::PURPOSE_DEALS);
  record.set_cause(deal::v1::CAUSE_WEBHOOK);
  record.add_notice_ids("01HV0000000000000000000000");
  return *std::move(best);
}

raw::v1::Record Sample::Make(int64_t deal, int64_t version) const {
  raw::v1::Record record = record_;
  record.set_external_id(fmt::format("{:08x}-0000-0000-0000-000000000000", deal));
  record.set_version(version);
  record.mutable_observed_at()->set_seconds(version);
  for (auto& part : *record.mutable_parts()) {
    std::string& body = *part.mutable_body();
    if (const size_t at = body.find(title_); at != std::string::npos) {
      body.replace(at, title_.size(), fmt::format("\"{:010}\"", version));
      break;
    }
  }
  return record;
}

}  // namespace dealstream::normalizer
