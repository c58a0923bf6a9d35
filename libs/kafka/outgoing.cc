#include "libs/kafka/outgoing.h"

#include <array>

namespace dealstream::kafka::internal {
namespace {

rd_kafka_headers_t* MakeHeaders(const Headers& headers) {
  if (headers.empty()) {
    return nullptr;
  }
  rd_kafka_headers_t* made = rd_kafka_headers_new(headers.size());
  for (const auto& [name, value] : headers) {
    rd_kafka_header_add(made,
                        name.data(),
                        static_cast<ssize_t>(name.size()),
                        value.data(),
                        static_cast<ssize_t>(value.size()));
  }
  return made;
}

}  // namespace

rd_kafka_resp_err_t Produce(rd_kafka_t* handle,
                            rd_kafka_topic_t* topic,
                            const OutRecord& record,
                            void* opaque) {
  std::array<rd_kafka_vu_t, 7> args{};
  args[0].vtype = RD_KAFKA_VTYPE_RKT;
  args[0].u.rkt = topic;
  args[1].vtype = RD_KAFKA_VTYPE_PARTITION;
  args[1].u.i32 = record.partition;
  args[2].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  args[2].u.i = RD_KAFKA_MSG_F_COPY;
  args[3].vtype = RD_KAFKA_VTYPE_KEY;
  args[3].u.mem = {const_cast<char*>(record.key.data()), record.key.size()};  // NOLINT
  args[4].vtype = RD_KAFKA_VTYPE_VALUE;
  if (record.value.has_value()) {
    args[4].u.mem = {const_cast<char*>(record.value->data()), record.value->size()};  // NOLINT
  } else {
    args[4].u.mem = {nullptr, 0};
  }
  args[5].vtype = RD_KAFKA_VTYPE_OPAQUE;
  args[5].u.ptr = opaque;
  size_t count = 6;
  rd_kafka_headers_t* headers = MakeHeaders(record.headers);
  if (headers != nullptr) {
    args[6].vtype = RD_KAFKA_VTYPE_HEADERS;
    args[6].u.headers = headers;
    count = 7;
  }
  rd_kafka_error_t* error = rd_kafka_produceva(handle, args.data(), count);
  if (error == nullptr) {
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  // Refused: the headers are still ours.
  if (headers != nullptr) {
    rd_kafka_headers_destroy(headers);
  }
  return code;
}

}  // namespace dealstream::kafka::internal
