#include "services/cabinet/store.h"

#include <utility>

#include "absl/strings/escaping.h"
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <soci/soci.h>

#include "libs/base/strings.h"
#include "libs/storage/database.h"

namespace dealstream::cabinet {
namespace {

using soci::into;
using soci::use;

// Messages are kept as base 64: text is what both engines take without a word. Times are
// microseconds since 1970 UTC. Columns beside `body` are those that are searched by.
const std::vector<storage::Migration>& Migrations() {
  // NOLINTBEGIN(bugprone-suspicious-missing-comma): the statements are longer than a line
  static const std::vector<storage::Migration> migrations = {
      {1,
       "integrations, outbox, schedules, backfills",
       {"CREATE TABLE integrations ("
        "id TEXT PRIMARY KEY, account_id TEXT NOT NULL, crm TEXT NOT NULL, "
        "active INTEGER NOT NULL, version BIGINT NOT NULL, webhook_token TEXT NOT NULL UNIQUE, "
        "body TEXT NOT NULL)",
        "CREATE INDEX integrations_account ON integrations (account_id, id)",
        // One row: the last seq given. A seq is never given twice, and their order is the order of
        // the transactions.
        "CREATE TABLE outbox_seq (last BIGINT NOT NULL)",
        "INSERT INTO outbox_seq (last) VALUES (0)",
        "CREATE TABLE outbox ("
        "seq BIGINT PRIMARY KEY, topic TEXT NOT NULL, record_key TEXT NOT NULL, value TEXT, "
        "headers TEXT NOT NULL, created_us BIGINT NOT NULL)",
        "CREATE INDEX outbox_key ON outbox (topic, record_key, seq)",
        "CREATE TABLE schedules (integration_id TEXT PRIMARY KEY, due_us BIGINT NOT NULL)",
        "CREATE INDEX schedules_due ON schedules (due_us)",
        "CREATE TABLE backfills ("
        "id TEXT PRIMARY KEY, integration_id TEXT NOT NULL, from_us BIGINT NOT NULL, "
        "to_us BIGINT, created_us BIGINT NOT NULL)"}},
  };
  // NOLINTEND(bugprone-suspicious-missing-comma)
  return migrations;
}

std::string Encode(const std::string& bytes) { return absl::Base64Escape(bytes); }

Result<std::string> Decode(const std::string& text) {
  std::string bytes;
  if (!absl::Base64Unescape(text, &bytes)) {
    return absl::DataLossError("cabinet store: a value isn't base 64");
  }
  return bytes;
}

Result<integration::v1::Integration> DecodeIntegration(const std::string& text) {
  DEALSTREAM_ASSIGN_OR_RETURN(const std::string bytes, Decode(text));
  integration::v1::Integration integration;
  if (!integration.ParseFromString(bytes)) {
    return absl::DataLossError("cabinet store: an integration can't be read");
  }
  return integration;
}

std::string EncodeHeaders(const kafka::Headers& headers) {
  nlohmann::json pairs = nlohmann::json::array();
  for (const auto& [name, value] : headers) {
    pairs.push_back({name, value});
  }
  return pairs.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<kafka::Headers> DecodeHeaders(const std::string& text) {
  kafka::Headers headers;
  const nlohmann::json pairs = nlohmann::json::parse(text, nullptr, false);
  if (!pairs.is_array()) {
    return absl::DataLossError("cabinet store: headers can't be read");
  }
  for (const nlohmann::json& pair : pairs) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return absl::DataLossError("cabinet store: headers can't be read");
    }
    headers.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
  }
  return headers;
}

long long Micros(absl::Time time) { return absl::ToUnixMicros(time); }

// The functions below run inside of a transaction and may throw what SOCI throws.

void WriteOutbox(soci::session& sql, const std::vector<kafka::OutRecord>& records, absl::Time now) {
  if (records.empty()) {
    return;
  }
  const auto count = static_cast<long long>(records.size());
  sql << "UPDATE outbox_seq SET last = last + :count", use(count);
  long long last = 0;
  sql << "SELECT last FROM outbox_seq", into(last);
  long long seq = last - count;
  const long long created = Micros(now);
  for (const kafka::OutRecord& record : records) {
    ++seq;
    const std::string value = record.value ? Encode(*record.value) : "";
    soci::indicator is_there = record.value ? soci::i_ok : soci::i_null;
    const std::string headers = EncodeHeaders(record.headers);
    sql << "INSERT INTO outbox (seq, topic, record_key, value, headers, created_us) "
           "VALUES (:seq, :topic, :key, :value, :headers, :created)",
        use(seq), use(record.topic), use(record.key), use(value, is_there), use(headers),
        use(created);
  }
}

void WriteSchedule(soci::session& sql, const std::string& id, std::optional<absl::Time> due) {
  sql << "DELETE FROM schedules WHERE integration_id = :id", use(id);
  if (due) {
    const long long due_us = Micros(*due);
    sql << "INSERT INTO schedules (integration_id, due_us) VALUES (:id, :due)", use(id),
        use(due_us);
  }
}

std::optional<absl::Time> ReadSchedule(soci::session& sql, const std::string& id) {
  long long due_us = 0;
  sql << "SELECT due_us FROM schedules WHERE integration_id = :id", use(id), into(due_us);
  return sql.got_data() ? std::optional(absl::FromUnixMicros(due_us)) : std::nullopt;
}

Result<StoredIntegration> ReadIntegration(soci::session& sql, const std::string& id) {
  std::string body;
  StoredIntegration stored;
  sql << "SELECT body, webhook_token FROM integrations WHERE id = :id", use(id), into(body),
      into(stored.webhook_token);
  if (!sql.got_data()) {
    return absl::NotFoundError(fmt::format("integration {}: there is none of that id", id));
  }
  DEALSTREAM_ASSIGN_OR_RETURN(stored.integration, DecodeIntegration(body));
  return stored;
}

class SqlStore final : public Store {
 public:
  SqlStore(std::unique_ptr<storage::Database> database, const Clock& clock)
      : database_(std::move(database)), clock_(clock) {}

  Status Insert(const StoredIntegration& stored,
                const std::vector<kafka::OutRecord>& outbox,
                std::optional<absl::Time> due) override {
    const integration::v1::Integration& integration = stored.integration;
    const std::string body = Encode(integration.SerializeAsString());
    const int active = integration.active() ? 1 : 0;
    const auto version = static_cast<long long>(integration.version());
    return database_->Write([&](soci::session& sql) {
      sql << "INSERT INTO integrations (id, account_id, crm, active, version, webhook_token, body) "
             "VALUES (:id, :account, :crm, :active, :version, :token, :body)",
          use(integration.id()), use(integration.account_id()), use(integration.crm()), use(active),
          use(version), use(stored.webhook_token), use(body);
      WriteSchedule(sql, integration.id(), due);
      WriteOutbox(sql, outbox, clock_.Now());
      return absl::OkStatus();
    });
  }

  Status Update(const integration::v1::Integration& integration,
                int64_t old_version,
                const std::vector<kafka::OutRecord>& outbox,
                std::optional<absl::Time> due) override {
    const std::string body = Encode(integration.SerializeAsString());
    const int active = integration.active() ? 1 : 0;
    const auto version = static_cast<long long>(integration.version());
    const auto old = static_cast<long long>(old_version);
    return database_->Write([&](soci::session& sql) -> Status {
      soci::statement update =
          (sql.prepare << "UPDATE integrations SET active = :active, version = :version, "
                          "body = :body WHERE id = :id AND version = :old",
           use(active),
           use(version),
           use(body),
           use(integration.id()),
           use(old));
      update.execute(true);
      if (update.get_affected_rows() != 1) {
        return absl::AbortedError(
            fmt::format("integration {}: it has changed meanwhile", integration.id()));
      }
      const auto kept = due ? ReadSchedule(sql, integration.id()) : std::nullopt;
      if (!kept || *kept > *due) {
        WriteSchedule(sql, integration.id(), due);
      }
      WriteOutbox(sql, outbox, clock_.Now());
      return absl::OkStatus();
    });
  }

  Result<StoredIntegration> Get(const std::string& id) override {
    StoredIntegration stored;
    DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) -> Status {
      DEALSTREAM_ASSIGN_OR_RETURN(stored, ReadIntegration(sql, id));
      return absl::OkStatus();
    }));
    return stored;
  }

  Result<std::vector<StoredIntegration>> List(const std::string& account_id,
                                              const std::string& crm,
                                              const std::string& after_id,
                                              int64_t limit) override {
    // Body and token as stored; read outside of the transaction.
    std::vector<std::pair<std::string, std::string>> rows;
    const auto most = static_cast<long long>(limit);
    DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) {
      std::string body;
      std::string token;
      soci::statement select =
          (sql.prepare << "SELECT body, webhook_token FROM integrations WHERE id > :after "
                          "AND (:account_a = '' OR account_id = :account_b) "
                          "AND (:crm_a = '' OR crm = :crm_b) ORDER BY id LIMIT :most",
           use(after_id),
           use(account_id),
           use(account_id),
           use(crm),
           use(crm),
           use(most),
           into(body),
           into(token));
      select.execute();
      while (select.fetch()) {
        rows.emplace_back(body, token);
      }
      return absl::OkStatus();
    }));
    std::vector<StoredIntegration> page;
    page.reserve(rows.size());
    for (auto& [body, token] : rows) {
      DEALSTREAM_ASSIGN_OR_RETURN(auto integration, DecodeIntegration(body));
      page.push_back({.integration = std::move(integration), .webhook_token = std::move(token)});
    }
    return page;
  }

  Status InsertBackfill(const Backfill& backfill, const kafka::OutRecord& tick) override {
    const long long from = Micros(backfill.from);
    const bool is_open = backfill.to == absl::InfiniteFuture();
    const long long to = is_open ? 0 : Micros(backfill.to);
    soci::indicator to_is_there = is_open ? soci::i_null : soci::i_ok;
    const long long created = Micros(backfill.created_at);
    return database_->Write([&](soci::session& sql) {
      sql << "INSERT INTO backfills (id, integration_id, from_us, to_us, created_us) "
             "VALUES (:id, :integration, :from_us, :to_us, :created)",
          use(backfill.id), use(backfill.integration_id), use(from), use(to, to_is_there),
          use(created);
      WriteOutbox(sql, {tick}, clock_.Now());
      return absl::OkStatus();
    });
  }

  Result<Backfill> GetBackfill(const std::string& id) override {
    Backfill backfill;
    DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) -> Status {
      long long from = 0;
      long long to = 0;
      soci::indicator to_is_there = soci::i_null;
      long long created = 0;
      sql << "SELECT id, integration_id, from_us, to_us, created_us FROM backfills WHERE id = :id",
          use(id), into(backfill.id), into(backfill.integration_id), into(from),
          into(to, to_is_there), into(created);
      if (!sql.got_data()) {
        return absl::NotFoundError(fmt::format("backfill {}: there is none of that id", id));
      }
      backfill.from = absl::FromUnixMicros(from);
      backfill.to = to_is_there == soci::i_ok ? absl::FromUnixMicros(to) : absl::InfiniteFuture();
      backfill.created_at = absl::FromUnixMicros(created);
      return absl::OkStatus();
    }));
    return backfill;
  }

  Result<std::vector<Due>> DueAt(absl::Time now, int64_t limit) override {
    const auto most = static_cast<long long>(limit);
    const long long now_us = Micros(now);
    std::vector<Due> due;
    DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) {
      std::string id;
      long long at = 0;
      soci::statement select =
          (sql.prepare << "SELECT integration_id, due_us FROM schedules WHERE due_us <= :now "
                          "ORDER BY due_us LIMIT :most",
           use(now_us),
           use(most),
           into(id),
           into(at));
      select.execute();
      while (select.fetch()) {
        due.push_back({.integration_id = id, .at = absl::FromUnixMicros(at)});
      }
      return absl::OkStatus();
    }));
    return due;
  }

  Result<std::map<std::string, absl::Time>> Schedules() override {
    std::map<std::string, absl::Time> schedules;
    DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) {
      std::string id;
      long long at = 0;
      soci::statement select =
          (sql.prepare << "SELECT integration_id, due_us FROM schedules", into(id), into(at));
      select.execute();
      while (select.fetch()) {
        schedules[id] = absl::FromUnixMicros(at);
      }
      return absl::OkStatus();
    }));
    return schedules;
  }

  Status Order(const Due& due, absl::Time next, const kafka::OutRecord& tick) override {
    const long long at = Micros(due.at);
    const long long next_us = Micros(next);
    return database_->Write([&](soci::session& sql) -> Status {
      soci::statement update = (sql.prepare << "UPDATE schedules SET due_us = :next "
                                               "WHERE integration_id = :id AND due_us = :at",
                                use(next_us),
                                use(due.integration_id),
                                use(at));
      update.execute(true);
      if (update.get_affected_rows() != 1) {
        return absl::AbortedError(
            fmt::format("integration {}: its schedule has changed", due.integration_id));
      }
      WriteOutbox(sql, {tick}, clock_.Now());
      return absl::OkStatus();
    });
  }

  Status SetSchedules(const std::vector<ScheduleChange>& changes) override {
    return database_->Write([&](soci::session& sql) {
      for (const auto& [integration_id, due] : changes) {
        WriteSchedule(sql, integration_id, due);
      }
      return absl::OkStatus();
    });
  }

  Status Republish(const std::vector<std::string>& integration_ids,
                   const MakeRecord& make) override {
    return database_->Write([&](soci::session& sql) -> Status {
      std::vector<kafka::OutRecord> records;
      records.reserve(integration_ids.size());
      for (const std::string& id : integration_ids) {
        DEALSTREAM_ASSIGN_OR_RETURN(const StoredIntegration stored, ReadIntegration(sql, id));
        records.push_back(make(stored.integration));
      }
      WriteOutbox(sql, records, clock_.Now());
      return absl::OkStatus();
    });
  }

  Status Enqueue(const kafka::OutRecord& record) override {
    return database_->Write([&](soci::session& sql) {
      WriteOutbox(sql, {record}, clock_.Now());
      return absl::OkStatus();
    });
  }

  Result<std::vector<OutboxRecord>> OutboxHeads(int64_t limit) override {
    const auto most = static_cast<long long>(limit);
    // Value and headers as stored until they are read below.
    std::vector<std::pair<OutboxRecord, std::string>> rows;
    DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) {
      long long seq = 0;
      std::string topic;
      std::string key;
      std::string value;
      soci::indicator value_is_there = soci::i_null;
      std::string headers;
      soci::statement select =
          (sql.prepare << "SELECT seq, topic, record_key, value, headers FROM outbox o "
                          "WHERE seq = (SELECT MIN(seq) FROM outbox i "
                          "WHERE i.topic = o.topic AND i.record_key = o.record_key) "
                          "ORDER BY seq LIMIT :most",
           use(most),
           into(seq),
           into(topic),
           into(key),
           into(value, value_is_there),
           into(headers));
      select.execute();
      while (select.fetch()) {
        OutboxRecord row{.seq = seq, .record = {}};
        row.record.topic = topic;
        row.record.key = key;
        row.record.value = value_is_there == soci::i_ok ? std::optional(value) : std::nullopt;
        rows.emplace_back(std::move(row), headers);
      }
      return absl::OkStatus();
    }));
    std::vector<OutboxRecord> heads;
    heads.reserve(rows.size());
    for (auto& [row, headers] : rows) {
      if (row.record.value) {
        DEALSTREAM_ASSIGN_OR_RETURN(row.record.value, Decode(*row.record.value));
      }
      DEALSTREAM_ASSIGN_OR_RETURN(row.record.headers, DecodeHeaders(headers));
      heads.push_back(std::move(row));
    }
    return heads;
  }

  Status RemoveFromOutbox(const std::vector<int64_t>& seqs) override {
    return database_->Write([&](soci::session& sql) {
      long long seq = 0;
      soci::statement remove = (sql.prepare << "DELETE FROM outbox WHERE seq = :seq", use(seq));
      for (const int64_t one : seqs) {
        seq = one;
        remove.execute(true);
      }
      return absl::OkStatus();
    });
  }

  Result<OutboxFigures> Figures() override {
    OutboxFigures figures;
    DEALSTREAM_RETURN_IF_ERROR(database_->Read([&](soci::session& sql) {
      long long records = 0;
      long long oldest = 0;
      soci::indicator oldest_is_there = soci::i_null;
      sql << "SELECT COUNT(*), MIN(created_us) FROM outbox", into(records),
          into(oldest, oldest_is_there);
      figures.records = records;
      if (oldest_is_there == soci::i_ok) {
        figures.oldest = absl::FromUnixMicros(oldest);
      }
      return absl::OkStatus();
    }));
    return figures;
  }

  Status Ping() override { return database_->Ping(); }

 private:
  std::unique_ptr<storage::Database> database_;
  const Clock& clock_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::Open(const std::string& url, const Clock& clock) {
  DEALSTREAM_ASSIGN_OR_RETURN(auto database, storage::Database::Open(url));
  DEALSTREAM_RETURN_IF_ERROR(database->Migrate(Migrations()));
  return std::make_unique<SqlStore>(std::move(database), clock);
}

}  // namespace dealstream::cabinet
