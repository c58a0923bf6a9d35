#include "libs/domain/change.h"

#include <fmt/format.h>

namespace dealstream::domain {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool SameMessage(const Message& a, const Message& b);

bool SameSingular(const Message& a, const Message& b, const FieldDescriptor& field) {
  const Reflection& x = *a.GetReflection();
  const Reflection& y = *b.GetReflection();
  if (field.has_presence() && x.HasField(a, &field) != y.HasField(b, &field)) {
    return false;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return x.GetInt32(a, &field) == y.GetInt32(b, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return x.GetInt64(a, &field) == y.GetInt64(b, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return x.GetUInt32(a, &field) == y.GetUInt32(b, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return x.GetUInt64(a, &field) == y.GetUInt64(b, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return x.GetDouble(a, &field) == y.GetDouble(b, &field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return x.GetFloat(a, &field) == y.GetFloat(b, &field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return x.GetBool(a, &field) == y.GetBool(b, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return x.GetEnumValue(a, &field) == y.GetEnumValue(b, &field);
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch_a;
      std::string scratch_b;
      return x.GetStringReference(a, &field, &scratch_a) ==
             y.GetStringReference(b, &field, &scratch_b);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return !x.HasField(a, &field) ||
             SameMessage(x.GetMessage(a, &field), y.GetMessage(b, &field));
  }
  return false;
}

bool SameElement(const Message& a, const Message& b, const FieldDescriptor& field, int i) {
  const Reflection& x = *a.GetReflection();
  const Reflection& y = *b.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return x.GetRepeatedInt32(a, &field, i) == y.GetRepeatedInt32(b, &field, i);
    case FieldDescriptor::CPPTYPE_INT64:
      return x.GetRepeatedInt64(a, &field, i) == y.GetRepeatedInt64(b, &field, i);
    case FieldDescriptor::CPPTYPE_UINT32:
      return x.GetRepeatedUInt32(a, &field, i) == y.GetRepeatedUInt32(b, &field, i);
    case FieldDescriptor::CPPTYPE_UINT64:
      return x.GetRepeatedUInt64(a, &field, i) == y.GetRepeatedUInt64(b, &field, i);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return x.GetRepeatedDouble(a, &field, i) == y.GetRepeatedDouble(b, &field, i);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return x.GetRepeatedFloat(a, &field, i) == y.GetRepeatedFloat(b, &field, i);
    case FieldDescriptor::CPPTYPE_BOOL:
      return x.GetRepeatedBool(a, &field, i) == y.GetRepeatedBool(b, &field, i);
    case FieldDescriptor::CPPTYPE_ENUM:
      return x.GetRepeatedEnumValue(a, &field, i) == y.GetRepeatedEnumValue(b, &field, i);
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch_a;
      std::string scratch_b;
      return x.GetRepeatedStringReference(a, &field, i, &scratch_a) ==
             y.GetRepeatedStringReference(b, &field, i, &scratch_b);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return SameMessage(x.GetRepeatedMessage(a, &field, i), y.GetRepeatedMessage(b, &field, i));
  }
  return false;
}

bool SameField(const Message& a, const Message& b, const FieldDescriptor& field) {
  if (!field.is_repeated()) {
    return SameSingular(a, b, field);
  }
  const int size = a.GetReflection()->FieldSize(a, &field);
  if (size != b.GetReflection()->FieldSize(b, &field)) {
    return false;
  }
  for (int i = 0; i < size; ++i) {
    if (!SameElement(a, b, field, i)) {
      return false;
    }
  }
  return true;
}

bool SameMessage(const Message& a, const Message& b) {
  const auto& type = *a.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (!SameField(a, b, *type.field(i))) {
      return false;
    }
  }
  return true;
}

bool IsFilled(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                             : reflection.HasField(message, &field);
}

}  // namespace

std::string EntityId(std::string_view integration_id, std::string_view external_id) {
  return fmt::format("{}:{}", integration_id, external_id);
}

std::vector<std::string> ChangedFields(const Message* before, const Message& after) {
  std::vector<std::string> names;
  const auto& type = *after.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const bool changed =
        before == nullptr ? IsFilled(after, field) : !SameField(*before, after, field);
    if (changed) {
      names.push_back(field.name());
    }
  }
  return names;
}

}  // namespace dealstream::domain
