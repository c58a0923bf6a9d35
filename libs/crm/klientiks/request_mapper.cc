#include "libs/crm/klientiks/request_mapper.h"

#include <string_view>

#include "libs/crm/klientiks/mapping.h"
#include "libs/crm/klientiks/settings.h"
#include "libs/crm/klientiks/visit.h"
#include "libs/domain/contact.h"

namespace dealstream::crm::klientiks {
namespace {

using request::v1::Request;
using request::v1::Session;

std::string_view Text(const Visit& visit, std::string_view key) {
  return TextOf(visit.values, visit.json_data, key);
}

template <typename Set>
bool Put(std::string_view text, const Set& set) {
  if (!text.empty()) {
    set(text);
  }
  return !text.empty();
}

// What the widget's page knew of the visitor, where the customer has made fields for it. False:
// nothing. Source: README.md#requests, inferred.
bool SetSession(const Visit& visit, Request& request) {
  Session session;
  bool any = Put(Text(visit, "comagic_session_id"),
                 [&](std::string_view text) { session.set_id(text.data(), text.size()); });
  any |= Put(Text(visit, "utm_source"),
             [&](std::string_view text) { session.set_utm_source(text.data(), text.size()); });
  any |= Put(Text(visit, "utm_medium"),
             [&](std::string_view text) { session.set_utm_medium(text.data(), text.size()); });
  any |= Put(Text(visit, "utm_campaign"),
             [&](std::string_view text) { session.set_utm_campaign(text.data(), text.size()); });
  any |= Put(Text(visit, "utm_term"),
             [&](std::string_view text) { session.set_utm_term(text.data(), text.size()); });
  any |= Put(Text(visit, "utm_content"),
             [&](std::string_view text) { session.set_utm_content(text.data(), text.size()); });
  if (any) {
    *request.mutable_session() = std::move(session);
  }
  return any;
}

// Without a session: source and site, or the campaign.
void SetDefaultSession(const v1::Settings& settings, Request& request) {
  if (settings.traffic_type() == v1::TRAFFIC_TYPE_CAMPAIGN) {
    if (!settings.campaign().empty()) {
      request.mutable_session()->set_campaign(settings.campaign());
    }
    return;
  }
  if (!settings.source().empty()) {
    request.mutable_session()->set_source(settings.source());
  }
  if (!settings.site().empty()) {
    request.mutable_session()->set_site(settings.site());
  }
}

void SetContact(const Visit& visit, const Customer& client, deal::v1::Contact& contact) {
  contact.set_id(visit.client_id.data(), visit.client_id.size());
  contact.set_kind(deal::v1::CONTACT_KIND_PERSON);
  contact.set_name(client.FullName());
  AddPhone(client.phone, contact);
  while (contact.phones_size() > 1) {
    contact.mutable_phones()->RemoveLast();
  }
  domain::AddEmails(TextOf(client.values, client.json_data, "email"), contact);
}

}  // namespace

Result<bool> BookingMapper::Map(const raw::v1::Record& record, Request& request) const {
  DEALSTREAM_ASSIGN_OR_RETURN(const SettingsView* settings, SettingsInForce(record.settings()));
  DEALSTREAM_ASSIGN_OR_RETURN(const RecordContents contents, ReadRecord(record, settings->zone));
  const Visit& visit = contents.visit;
  request.Clear();
  const bool is_demo = contents.client.has_value() && contents.client->is_demo;
  if (visit.client_id.empty() || is_demo) {
    return false;
  }
  if (contents.client.has_value()) {
    SetContact(visit, *contents.client, *request.mutable_contact());
  }
  if (visit.created.has_value()) {
    SetTime(*visit.created, *request.mutable_created_at());
  }
  if (!SetSession(visit, request)) {
    SetDefaultSession(settings->settings, request);
  }
  const std::string_view lead = Text(visit, "lead");
  if (settings->settings.lead_tag() && !lead.empty()) {
    request.add_tags(lead.data(), lead.size());
  }
  return true;
}

}  // namespace dealstream::crm::klientiks
