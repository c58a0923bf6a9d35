#include "services/credential-vault/store.h"

#include <string_view>

#include "absl/strings/escaping.h"
#include <fmt/format.h>
#include <soci/soci.h>

#include "libs/base/strings.h"

namespace dealstream::vault {
namespace {

using soci::into;
using soci::use;

constexpr std::string_view kColumns =
    "id, account_id, crm, name, crm_account_id, plain_fields, version, sealed_fields, wrapped_key, "
    "root_key_version, login_box, created_at, updated_at";

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '%' || c == '&' || c == '=' || static_cast<unsigned char>(c) < 0x20) {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      plain += absl::HexStringToBytes(ToAbsl(text.substr(i + 1, 2)));
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Variables that a row is read into or written from; boxes as base 64.
struct Columns {
  Columns() = default;
  explicit Columns(const StoredCredential& from)
      : id(from.id),
        account_id(from.account_id),
        crm(from.crm),
        name(from.name),
        crm_account_id(from.crm_account_id),
        plain_fields(from.plain_fields),
        version(from.version),
        sealed_fields(absl::Base64Escape(from.sealed.fields)),
        wrapped_key(absl::Base64Escape(from.sealed.wrapped_key)),
        root_key_version(from.sealed.root_key_version),
        login_box(absl::Base64Escape(from.login_box)),
        created_at(from.created_at),
        updated_at(from.updated_at) {}

  StoredCredential ToStored() const {
    StoredCredential stored{.id = id,
                            .account_id = account_id,
                            .crm = crm,
                            .name = name,
                            .crm_account_id = crm_account_id,
                            .plain_fields = plain_fields,
                            .version = version,
                            .sealed = {},
                            .login_box = {},
                            .created_at = created_at,
                            .updated_at = updated_at};
    // What is no base 64 stays empty and doesn't open.
    absl::Base64Unescape(sealed_fields, &stored.sealed.fields);
    absl::Base64Unescape(wrapped_key, &stored.sealed.wrapped_key);
    stored.sealed.root_key_version = root_key_version;
    absl::Base64Unescape(login_box, &stored.login_box);
    return stored;
  }

  std::string id, account_id, crm, name, crm_account_id, plain_fields;
  long long version = 0;
  std::string sealed_fields, wrapped_key;
  long long root_key_version = 0;
  std::string login_box;
  long long created_at = 0;
  long long updated_at = 0;
};

soci::details::prepare_temp_type Into(soci::details::prepare_temp_type statement, Columns& row) {
  return statement, into(row.id), into(row.account_id), into(row.crm), into(row.name),
         into(row.crm_account_id), into(row.plain_fields), into(row.version),
         into(row.sealed_fields), into(row.wrapped_key), into(row.root_key_version),
         into(row.login_box), into(row.created_at), into(row.updated_at);
}

std::vector<StoredCredential> FetchAll(soci::statement& statement, const Columns& row) {
  std::vector<StoredCredential> rows;
  statement.execute();
  while (statement.fetch()) {
    rows.push_back(row.ToStored());
  }
  return rows;
}

constexpr std::string_view kCreateCredentials = R"(
CREATE TABLE credentials (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL,
  crm TEXT NOT NULL,
  name TEXT NOT NULL,
  crm_account_id TEXT NOT NULL,
  plain_fields TEXT NOT NULL,
  version BIGINT NOT NULL,
  sealed_fields TEXT NOT NULL,
  wrapped_key TEXT NOT NULL,
  root_key_version BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL))";

// See audit.h.
constexpr std::string_view kCreateAudit = R"(
CREATE TABLE audit (
  seq BIGINT PRIMARY KEY,
  at BIGINT NOT NULL,
  caller TEXT NOT NULL,
  method TEXT NOT NULL,
  outcome TEXT NOT NULL,
  credential_id TEXT NOT NULL,
  account_id TEXT NOT NULL,
  crm TEXT NOT NULL,
  version BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  hash TEXT NOT NULL))";

// Rows whose root key's version compares so, after id `after`.
std::vector<StoredCredential> FindWrapped(soci::session& session,
                                          std::string_view compare,
                                          int64_t root_key_version,
                                          const std::string& after,
                                          int limit) {
  Columns row;
  const long long root = root_key_version;
  soci::statement statement =
      Into((session.prepare << "SELECT " << kColumns << " FROM credentials WHERE root_key_version "
                            << compare << " :root AND id > :after ORDER BY id LIMIT :limit",
            use(root),
            use(after),
            use(limit)),
           row);
  return FetchAll(statement, row);
}

}  // namespace

Binding StoredCredential::MakeBinding() const {
  return {.credential_id = id,
          .account_id = account_id,
          .crm = crm,
          .crm_account_id = crm_account_id,
          .name = name,
          .plain_fields = plain_fields,
          .version = version};
}

v1::Credential StoredCredential::ToProto() const {
  v1::Credential proto;
  proto.set_id(id);
  proto.set_account_id(account_id);
  proto.set_crm(crm);
  proto.set_name(name);
  proto.set_crm_account_id(crm_account_id);
  for (const auto& [field, value] : DecodePlain(plain_fields)) {
    v1::CredentialField* plain = proto.add_plain_fields();
    plain->set_name(field);
    plain->set_value(value);
  }
  proto.set_version(version);
  proto.mutable_created_at()->set_seconds(created_at / 1'000'000);
  proto.mutable_created_at()->set_nanos(static_cast<int32_t>(created_at % 1'000'000 * 1'000));
  proto.mutable_updated_at()->set_seconds(updated_at / 1'000'000);
  proto.mutable_updated_at()->set_nanos(static_cast<int32_t>(updated_at % 1'000'000 * 1'000));
  return proto;
}

const std::vector<storage::Migration>& Migrations() {
  static const std::vector<storage::Migration> migrations = {
      {1,
       "credentials and audit",
       {kCreateCredentials,
        "CREATE INDEX credentials_by_account ON credentials (account_id, crm, id)",
        "CREATE INDEX credentials_by_root_key ON credentials (root_key_version, id)",
        kCreateAudit,
        "CREATE TRIGGER audit_keeps_rows BEFORE UPDATE ON audit BEGIN "
        "SELECT RAISE(ABORT, 'the audit log is append-only'); END",
        "CREATE TRIGGER audit_loses_no_row BEFORE DELETE ON audit BEGIN "
        "SELECT RAISE(ABORT, 'the audit log is append-only'); END",
        // INSERT OR REPLACE goes past the trigger on DELETE.
        "CREATE TRIGGER audit_replaces_no_row BEFORE INSERT ON audit "
        "WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq) BEGIN "
        "SELECT RAISE(ABORT, 'the audit log is append-only'); END"}},
      {2,
       "what a login leaves for the next one",
       {"ALTER TABLE credentials ADD COLUMN login_box TEXT NOT NULL DEFAULT ''"}},
  };
  return migrations;
}

std::string EncodePlain(const PlainFields& fields) {
  std::string text;
  for (const auto& [name, value] : fields) {
    text += fmt::format("{}{}={}", text.empty() ? "" : "&", Escape(name), Escape(value));
  }
  return text;
}

PlainFields DecodePlain(const std::string& text) {
  PlainFields fields;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    fields.emplace_back(Unescape(pair.substr(0, equals)),
                        Unescape(pair.substr(std::min(equals + 1, pair.size()))));
  }
  return fields;
}

void Insert(soci::session& session, const StoredCredential& credential) {
  const Columns row(credential);
  session << "INSERT INTO credentials (" << kColumns
          << ") VALUES (:id, :account_id, :crm, :name, :crm_account_id, :plain, :version, :fields, "
             ":key, :root, :login, :created, :updated)",
      use(row.id), use(row.account_id), use(row.crm), use(row.name), use(row.crm_account_id),
      use(row.plain_fields), use(row.version), use(row.sealed_fields), use(row.wrapped_key),
      use(row.root_key_version), use(row.login_box), use(row.created_at), use(row.updated_at);
}

Result<StoredCredential> Find(soci::session& session, const std::string& id) {
  Columns row;
  soci::statement statement = Into(
      (session.prepare << "SELECT " << kColumns << " FROM credentials WHERE id = :id", use(id)),
      row);
  if (!statement.execute(true)) {
    return absl::NotFoundError(fmt::format("no credential \"{}\"", id.substr(0, 100)));
  }
  return row.ToStored();
}

std::vector<StoredCredential> List(soci::session& session,
                                   const std::string& account_id,
                                   const std::string& crm,
                                   const std::string& after,
                                   int limit) {
  Columns row;
  soci::statement statement =
      Into((session.prepare << "SELECT " << kColumns
                            << " FROM credentials WHERE id > :after AND (:a = '' OR account_id = "
                               ":b) AND (:c = '' OR crm = :d) ORDER BY id LIMIT :limit",
            use(after),
            use(account_id),
            use(account_id),
            use(crm),
            use(crm),
            use(limit)),
           row);
  return FetchAll(statement, row);
}

Status Update(soci::session& session,
              const StoredCredential& credential,
              int64_t expected_version) {
  const Columns row(credential);
  const long long expected = expected_version;
  soci::statement statement =
      (session.prepare
           << "UPDATE credentials SET plain_fields = :plain, version = :version, "
              "sealed_fields = :fields, wrapped_key = :key, root_key_version = :root, "
              "login_box = '', updated_at = :updated WHERE id = :id AND version = :expected",
       use(row.plain_fields),
       use(row.version),
       use(row.sealed_fields),
       use(row.wrapped_key),
       use(row.root_key_version),
       use(row.updated_at),
       use(row.id),
       use(expected));
  statement.execute(true);
  return statement.get_affected_rows() == 1
             ? absl::OkStatus()
             : absl::AbortedError(fmt::format("credential \"{}\" has changed meanwhile: try again",
                                              credential.id));
}

void UpdateLogin(soci::session& session,
                 const StoredCredential& credential,
                 const std::string& login_box) {
  const std::string box = absl::Base64Escape(login_box);
  const long long version = credential.version;
  session << "UPDATE credentials SET login_box = :box WHERE id = :id AND version = :version",
      use(box), use(credential.id), use(version);
}

void Delete(soci::session& session, const std::string& id) {
  session << "DELETE FROM credentials WHERE id = :id", use(id);
}

std::vector<StoredCredential> FindWrappedBy(soci::session& session,
                                            int64_t root_key_version,
                                            int limit) {
  return FindWrapped(session, "=", root_key_version, "", limit);
}

std::vector<StoredCredential> FindWrappedBefore(soci::session& session,
                                                int64_t root_key_version,
                                                const std::string& after,
                                                int limit) {
  return FindWrapped(session, "<", root_key_version, after, limit);
}

bool UpdateWrapping(soci::session& session, const StoredCredential& old, const Sealed& rewrapped) {
  const std::string key = absl::Base64Escape(rewrapped.wrapped_key);
  const long long root = rewrapped.root_key_version;
  const long long version = old.version;
  const long long old_root = old.sealed.root_key_version;
  soci::statement statement =
      (session.prepare << "UPDATE credentials SET wrapped_key = :key, root_key_version = :root "
                          "WHERE id = :id AND version = :version AND root_key_version = :old_root",
       use(key),
       use(root),
       use(old.id),
       use(version),
       use(old_root));
  statement.execute(true);
  return statement.get_affected_rows() == 1;
}

}  // namespace dealstream::vault
