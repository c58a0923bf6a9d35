#include "libs/config/config.h"

#include "libs/kafka/kafka.h"

namespace dealstream::kafka {

void AddConfig(config::Schema& schema, ClientConfig* config, bool required) {
  schema.Add("kafka.brokers", &config->brokers, "Brokers as host:port,host:port.", required);
  schema.Add("kafka.client_id",
             &config->client_id,
             "Name of this client at the brokers: service, CRM, pod.");
  schema.Add("kafka.topic_prefix",
             &config->topic_prefix,
             "Put before the name of every topic and consumer group.");
  schema.Add("kafka.embedded_broker",
             &config->embedded_broker,
             "Development: the brokers are the embedded one, whose empty fetch blocks.");
  schema.Add("kafka.security_protocol", &config->security_protocol, "plaintext or ssl.");
  schema.Add("kafka.ca_file", &config->ca_file, "PEM file of the brokers' authority (ssl).");
  schema.Add("kafka.certificate_file",
             &config->certificate_file,
             "PEM file of this client's certificate (ssl).");
  schema.Add("kafka.key_file", &config->key_file, "PEM file of its key (ssl).");
  schema.Add("kafka.address_family", &config->address_family, "any, v4 or v6.");
  schema.Add("kafka.compression",
             &config->compression,
             "Of what is produced: zstd, lz4, snappy, gzip or none.");
  schema.Add("kafka.fetch_queue_mib",
             &config->fetch_queue_mib,
             1,
             2047,
             "MiB a consumer may hold fetched and not yet worked on.");
}

}  // namespace dealstream::kafka
