#include "libs/crm/api/settings.h"

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include <fmt/format.h>

#include "dealstream/settings/v1/options.pb.h"
#include "libs/base/strings.h"
#include "libs/crm/api/bad_value.h"
#include "libs/domain/money.h"

namespace dealstream::crm {
namespace {

using google::protobuf::Any;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const settings::v1::SettingOptions& OptionsOf(const FieldDescriptor& field) {
  return field.options().GetExtension(settings::v1::setting);
}

std::vector<const FieldDescriptor*> FieldsOf(const Message& settings) {
  std::vector<const FieldDescriptor*> fields;
  fields.reserve(static_cast<size_t>(settings.GetDescriptor()->field_count()));
  for (int i = 0; i < settings.GetDescriptor()->field_count(); ++i) {
    fields.push_back(settings.GetDescriptor()->field(i));
  }
  return fields;
}

// "BRANCH_SOURCE_SALES_CHANNEL" of enum BranchSource as "sales_channel".
std::string ShortName(const EnumValueDescriptor& value) {
  std::string prefix;
  for (char c : value.type()->name()) {
    if (absl::ascii_isupper(static_cast<unsigned char>(c)) && !prefix.empty()) {
      prefix += '_';
    }
    prefix += absl::ascii_toupper(static_cast<unsigned char>(c));
  }
  prefix += '_';
  std::string name = value.name();
  if (name.rfind(prefix, 0) == 0) {
    name.erase(0, prefix.size());
  }
  return absl::AsciiStrToLower(name);
}

// The value 0 is "unspecified" and can't be chosen.
const EnumValueDescriptor* FindEnum(const EnumDescriptor& type, std::string_view text) {
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0 && ShortName(*type.value(i)) == text) {
      return type.value(i);
    }
  }
  return nullptr;
}

std::string EnumNames(const EnumDescriptor& type, std::string_view separator) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) {
      names.push_back(ShortName(*type.value(i)));
    }
  }
  return fmt::format("{}", fmt::join(names, separator));
}

template <typename T>
void Put(Message& settings, const FieldDescriptor& field, T value) {
  const Reflection& reflection = *settings.GetReflection();
  const bool add = field.is_repeated();
  if constexpr (std::is_same_v<T, bool>) {
    add ? reflection.AddBool(&settings, &field, value)
        : reflection.SetBool(&settings, &field, value);
  } else if constexpr (std::is_same_v<T, int32_t>) {
    add ? reflection.AddInt32(&settings, &field, value)
        : reflection.SetInt32(&settings, &field, value);
  } else if constexpr (std::is_same_v<T, int64_t>) {
    add ? reflection.AddInt64(&settings, &field, value)
        : reflection.SetInt64(&settings, &field, value);
  } else if constexpr (std::is_same_v<T, double>) {
    add ? reflection.AddDouble(&settings, &field, value)
        : reflection.SetDouble(&settings, &field, value);
  } else if constexpr (std::is_same_v<T, const EnumValueDescriptor*>) {
    add ? reflection.AddEnum(&settings, &field, value)
        : reflection.SetEnum(&settings, &field, value);
  } else {
    add ? reflection.AddString(&settings, &field, std::move(value))
        : reflection.SetString(&settings, &field, std::move(value));
  }
}

// One value, or one element of a list.
Status PutText(Message& settings, const FieldDescriptor& field, std::string_view text) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") {
        return BadSetting(field.name(), text, "true or false");
      }
      Put(settings, field, text == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t value = 0;
      if (!absl::SimpleAtoi(ToAbsl(text), &value)) {
        return BadSetting(field.name(), text, "a whole number");
      }
      Put(settings, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t value = 0;
      if (!absl::SimpleAtoi(ToAbsl(text), &value)) {
        return BadSetting(field.name(), text, "a whole number");
      }
      Put(settings, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      // Not even a setting may be "nan".
      if (!absl::SimpleAtod(ToAbsl(text), &value) || !(value > -1e15 && value < 1e15)) {
        return BadSetting(field.name(), text, "a number");
      }
      Put(settings, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const EnumValueDescriptor* value = FindEnum(*field.enum_type(), text);
      if (value == nullptr) {
        return BadSetting(field.name(), text, "one of " + EnumNames(*field.enum_type(), ", "));
      }
      Put(settings, field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING:
      Put(settings, field, std::string(text));
      return absl::OkStatus();
    default:
      return absl::UnimplementedError(fmt::format(
          "setting {}: its type {} has no form as text", field.name(), field.type_name()));
  }
}

Status SetText(Message& settings, const FieldDescriptor& field, std::string_view text) {
  settings.GetReflection()->ClearField(&settings, &field);
  if (!field.is_repeated()) {
    return PutText(settings, field, text);
  }
  for (absl::string_view element : absl::StrSplit(ToAbsl(text), ',', absl::SkipWhitespace())) {
    DEALSTREAM_RETURN_IF_ERROR(
        PutText(settings, field, ToStd(absl::StripAsciiWhitespace(element))));
  }
  return absl::OkStatus();
}

// `index` < 0: the field is not a list.
std::string TextOf(const Message& settings, const FieldDescriptor& field, int index) {
  const Reflection& get = *settings.GetReflection();
  const bool list = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return (list ? get.GetRepeatedBool(settings, &field, index) : get.GetBool(settings, &field))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return fmt::format(
          "{}",
          list ? get.GetRepeatedInt32(settings, &field, index) : get.GetInt32(settings, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return fmt::format(
          "{}",
          list ? get.GetRepeatedInt64(settings, &field, index) : get.GetInt64(settings, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return fmt::format(
          "{:g}",
          list ? get.GetRepeatedDouble(settings, &field, index) : get.GetDouble(settings, &field));
    case FieldDescriptor::CPPTYPE_ENUM: {
      const EnumValueDescriptor* value =
          list ? get.GetRepeatedEnum(settings, &field, index) : get.GetEnum(settings, &field);
      return value->number() == 0 ? "" : ShortName(*value);
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return list ? get.GetRepeatedString(settings, &field, index)
                  : get.GetString(settings, &field);
    default:
      return "";
  }
}

std::string TextOf(const Message& settings, const FieldDescriptor& field) {
  if (!field.is_repeated()) {
    return TextOf(settings, field, -1);
  }
  const int size = settings.GetReflection()->FieldSize(settings, &field);
  std::vector<std::string> elements;
  elements.reserve(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) {
    elements.push_back(TextOf(settings, field, i));
  }
  return fmt::format("{}", fmt::join(elements, ","));
}

bool IsSet(const Message& settings, const FieldDescriptor& field) {
  return field.is_repeated() ? settings.GetReflection()->FieldSize(settings, &field) > 0
                             : settings.GetReflection()->HasField(settings, &field);
}

std::string KeysFor(const Message& settings, Purpose purpose) {
  std::vector<std::string> keys;
  for (const FieldDescriptor* field : FieldsOf(settings)) {
    if (SettingApplies(*field, purpose)) {
      keys.push_back(field->name());
    }
  }
  return keys.empty() ? "none" : fmt::format("{}", fmt::join(keys, ", "));
}

bool IsUpperCase(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isupper(static_cast<unsigned char>(c));
  });
}

// "Europe/Moscow", "Etc/GMT+3", "UTC". Files beside the zones ("localtime", "posix/...") begin in
// lower case.
bool IsZoneName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && IsUpperCase(name.substr(0, 1)) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '_' ||
                  c == '-' || c == '+';
         });
}

Result<std::unique_ptr<Message>> Unpack(const Adapter& adapter, const Any& packed) {
  std::unique_ptr<Message> settings(adapter.SettingsPrototype().New());
  DEALSTREAM_RETURN_IF_ERROR(UnpackSettings(packed, *settings));
  return settings;
}

}  // namespace

bool SettingApplies(const FieldDescriptor& field, Purpose purpose) {
  const auto& purposes = OptionsOf(field).purposes();
  return purposes.empty() || std::find(purposes.begin(), purposes.end(), purpose) != purposes.end();
}

Status UnpackSettings(const Any& packed, Message& settings) {
  settings.Clear();
  // An empty Any is an integration that nobody ever set up: all defaults.
  if (!packed.type_url().empty() && !packed.UnpackTo(&settings)) {
    return absl::InvalidArgumentError(fmt::format("settings: got {} of {} bytes, want a {}",
                                                  packed.type_url(),
                                                  packed.value().size(),
                                                  settings.GetDescriptor()->full_name()));
  }
  for (const FieldDescriptor* field : FieldsOf(settings)) {
    const std::string& text = OptionsOf(*field).default_value();
    if (!text.empty() && !IsSet(settings, *field)) {
      DEALSTREAM_RETURN_IF_ERROR(SetText(settings, *field, text));
    }
  }
  return absl::OkStatus();
}

Result<Any> SettingsFromText(const Adapter& adapter,
                             Purpose purpose,
                             const Any* base,
                             const std::vector<std::pair<std::string, std::string>>& values) {
  DEALSTREAM_ASSIGN_OR_RETURN(std::unique_ptr<Message> settings,
                              Unpack(adapter, base != nullptr ? *base : Any()));
  for (const auto& [key, text] : values) {
    const FieldDescriptor* field = settings->GetDescriptor()->FindFieldByName(key);
    if (field == nullptr || !SettingApplies(*field, purpose)) {
      return absl::InvalidArgumentError(
          fmt::format("setting {}: {} has no such key for this purpose, want one of: {}",
                      key,
                      adapter.id(),
                      KeysFor(*settings, purpose)));
    }
    DEALSTREAM_RETURN_IF_ERROR(SetText(*settings, *field, text));
    const std::string& otherwise = OptionsOf(*field).default_value();
    if (field->is_repeated() && !otherwise.empty() && !IsSet(*settings, *field)) {
      return BadSetting(
          key,
          text,
          fmt::format("at least one value: without one its default holds, {}", otherwise));
    }
  }
  Any packed;
  packed.PackFrom(*settings);
  DEALSTREAM_RETURN_IF_ERROR(adapter.CheckSettings(packed, purpose));
  return packed;
}

Result<std::vector<std::pair<std::string, std::string>>> SettingsToText(const Adapter& adapter,
                                                                        Purpose purpose,
                                                                        const Any& settings) {
  DEALSTREAM_ASSIGN_OR_RETURN(std::unique_ptr<Message> unpacked, Unpack(adapter, settings));
  std::vector<std::pair<std::string, std::string>> values;
  for (const FieldDescriptor* field : FieldsOf(*unpacked)) {
    if (SettingApplies(*field, purpose)) {
      values.emplace_back(field->name(), TextOf(*unpacked, *field));
    }
  }
  return values;
}

Status BadSetting(std::string_view key, std::string_view got, std::string_view want) {
  return BadValue(fmt::format("setting {}", key), got, want);
}

Status CheckRange(std::string_view key, int64_t value, int64_t lowest, int64_t highest) {
  if (value < lowest || value > highest) {
    return absl::InvalidArgumentError(
        fmt::format("setting {}: got {}, want {} to {}", key, value, lowest, highest));
  }
  return absl::OkStatus();
}

Status CheckChoice(std::string_view key, const EnumDescriptor& type, int value) {
  if (value == 0 || type.FindValueByNumber(value) == nullptr) {
    return absl::InvalidArgumentError(
        fmt::format("setting {}: got {}, want {}", key, value, EnumNames(type, " or ")));
  }
  return absl::OkStatus();
}

Status CheckRegion(std::string_view key, std::string_view region) {
  return region.size() == 2 && IsUpperCase(region)
             ? absl::OkStatus()
             : BadSetting(key, region, "two upper-case letters such as RU");
}

Status CheckCurrency(std::string_view key, std::string_view code) {
  return !code.empty() && domain::CurrencyCode(code) == code
             ? absl::OkStatus()
             : BadSetting(key, code, "an ISO 4217 code such as RUB");
}

Result<absl::TimeZone> LoadZone(std::string_view key, std::string_view name) {
  constexpr std::string_view kMoscow = "Europe/Moscow";
  absl::TimeZone zone;
  if (IsZoneName(name) && absl::LoadTimeZone(ToAbsl(name), &zone)) {
    return zone;
  }
  if (name == kMoscow) {
    // A machine without zone data gets today's offset.
    return absl::FixedTimeZone(3 * 3600);
  }
  return BadSetting(key, name, fmt::format("a name of the IANA database such as {}", kMoscow));
}

}  // namespace dealstream::crm
