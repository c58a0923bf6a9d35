#include "services/credential-vault/envelope.h"

#include <array>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sodium.h>

#include "libs/base/secret.h"

namespace dealstream::vault {
namespace {

constexpr char kFormat = 1;
constexpr size_t kKeyBytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES;
constexpr size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr size_t kHeadBytes = 1 + kNonceBytes;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

template <typename T>
void AppendNumber(std::string& out, T number) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out += static_cast<char>((number >> (8 * i)) & 0xff);
  }
}

std::string AssociatedData(std::string_view purpose,
                           const Binding& binding,
                           int64_t root_key_version) {
  std::string data;
  for (const std::string_view part : {purpose,
                                      std::string_view(binding.credential_id),
                                      std::string_view(binding.account_id),
                                      std::string_view(binding.crm),
                                      std::string_view(binding.crm_account_id),
                                      std::string_view(binding.name),
                                      std::string_view(binding.plain_fields)}) {
    AppendNumber(data, static_cast<uint64_t>(part.size()));
    data += part;
  }
  AppendNumber(data, static_cast<uint64_t>(binding.version));
  AppendNumber(data, static_cast<uint64_t>(root_key_version));
  return data;
}

std::string DataOfFields(const Binding& binding) { return AssociatedData("fields", binding, 0); }

std::string DataOfLogin(const Binding& binding) { return AssociatedData("login", binding, 0); }

std::string DataOfKey(const Binding& binding, int64_t root_key_version) {
  return AssociatedData("key", binding, root_key_version);
}

std::string Box(const Secret& plain, const std::string& associated, const Secret& key) {
  const std::string_view message = plain.Reveal(RevealToken());
  std::string box(kHeadBytes + message.size() + kTagBytes, '\0');
  auto* out = reinterpret_cast<unsigned char*>(box.data());
  out[0] = kFormat;
  randombytes_buf(out + 1, kNonceBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(out + kHeadBytes,
                                             nullptr,
                                             Bytes(message),
                                             message.size(),
                                             Bytes(associated),
                                             associated.size(),
                                             nullptr,
                                             out + 1,
                                             Bytes(key.Reveal(RevealToken())));
  return box;
}

Result<Secret> Unbox(std::string_view box, const std::string& associated, const Secret& key) {
  if (box.size() < kHeadBytes + kTagBytes || box[0] != kFormat) {
    return absl::DataLossError("it is no box of this format");
  }
  std::string plain(box.size() - kHeadBytes - kTagBytes, '\0');
  const int opened =
      crypto_aead_xchacha20poly1305_ietf_decrypt(reinterpret_cast<unsigned char*>(plain.data()),
                                                 nullptr,
                                                 nullptr,
                                                 Bytes(box) + kHeadBytes,
                                                 box.size() - kHeadBytes,
                                                 Bytes(associated),
                                                 associated.size(),
                                                 Bytes(box) + 1,
                                                 Bytes(key.Reveal(RevealToken())));
  Secret secret(plain);
  WipeString(plain);
  if (opened != 0) {
    return absl::DataLossError("it doesn't open: its row was changed, or the key is another");
  }
  return secret;
}

Secret Pack(const crm::CredentialFields& fields) {
  size_t size = 4;
  for (const auto& [name, value] : fields) {
    size += 8 + name.size() + value.size();
  }
  std::string packed;
  packed.reserve(size);  // Never moved, so that one wipe gets all of it.
  AppendNumber(packed, static_cast<uint32_t>(fields.size()));
  for (const auto& [name, value] : fields) {
    AppendNumber(packed, static_cast<uint32_t>(name.size()));
    packed += name;
    AppendNumber(packed, static_cast<uint32_t>(value.size()));
    packed += value.Reveal(RevealToken());
  }
  Secret secret(packed);
  WipeString(packed);
  return secret;
}

// Takes numbers and texts off the front.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  uint32_t Number() {
    if (rest_.size() < 4) {
      bad_ = true;
      return 0;
    }
    uint32_t number = 0;
    for (size_t i = 4; i-- > 0;) {
      number = (number << 8) | static_cast<unsigned char>(rest_[i]);
    }
    rest_.remove_prefix(4);
    return number;
  }
  std::string_view Text() {
    const uint32_t size = Number();
    if (rest_.size() < size) {
      bad_ = true;
      return "";
    }
    const std::string_view text = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return text;
  }
  bool bad() const { return bad_; }
  bool AtEnd() const { return !bad_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool bad_ = false;
};

Result<crm::CredentialFields> Unpack(const Secret& packed) {
  Reader reader(packed.Reveal(RevealToken()));
  crm::CredentialFields fields;
  const uint32_t count = reader.Number();
  for (uint32_t i = 0; i < count && !reader.bad(); ++i) {
    const std::string_view name = reader.Text();
    fields.emplace_back(name, Secret(reader.Text()));
  }
  if (!reader.AtEnd()) {
    return absl::DataLossError("its fields are packed in a way this program doesn't know");
  }
  return fields;
}

Status About(const Binding& binding, const Status& status) {
  return Annotate(status, fmt::format("credential {}", binding.credential_id));
}

Result<Secret> UnwrapKey(const Sealed& sealed, const Binding& binding, const RootKeys& keys) {
  const Secret* root = keys.Find(sealed.root_key_version);
  if (root == nullptr) {
    return WithReason(
        absl::DataLossError(fmt::format("root key {} isn't in root_key.file (newest there: {})",
                                        sealed.root_key_version,
                                        keys.newest())),
        "root_key_missing");
  }
  auto key = Unbox(sealed.wrapped_key, DataOfKey(binding, sealed.root_key_version), *root);
  if (!key.ok()) {
    return Annotate(key.status(), "data key");
  }
  if (key->size() != kKeyBytes) {
    return absl::DataLossError(
        fmt::format("data key of {} bytes, want {}", key->size(), kKeyBytes));
  }
  return key;
}

}  // namespace

Sealed Seal(const crm::CredentialFields& fields, const Binding& binding, const RootKeys& keys) {
  std::array<char, kKeyBytes> random{};
  randombytes_buf(random.data(), random.size());
  const Secret key(std::string_view(random.data(), random.size()));
  sodium_memzero(random.data(), random.size());
  return {.fields = Box(Pack(fields), DataOfFields(binding), key),
          .wrapped_key = Box(key, DataOfKey(binding, keys.newest()), keys.newest_key()),
          .root_key_version = keys.newest()};
}

Result<crm::CredentialFields> Open(const Sealed& sealed,
                                   const Binding& binding,
                                   const RootKeys& keys) {
  auto key = UnwrapKey(sealed, binding, keys);
  if (!key.ok()) {
    return About(binding, key.status());
  }
  auto packed = Unbox(sealed.fields, DataOfFields(binding), *key);
  if (!packed.ok()) {
    return About(binding, Annotate(packed.status(), "fields"));
  }
  auto fields = Unpack(*packed);
  return fields.ok() ? std::move(fields) : About(binding, fields.status());
}

Result<std::string> SealLogin(const Secret& state,
                              const Sealed& sealed,
                              const Binding& binding,
                              const RootKeys& keys) {
  auto key = UnwrapKey(sealed, binding, keys);
  if (!key.ok()) {
    return About(binding, key.status());
  }
  return Box(state, DataOfLogin(binding), *key);
}

Result<Secret> OpenLogin(std::string_view box,
                         const Sealed& sealed,
                         const Binding& binding,
                         const RootKeys& keys) {
  auto key = UnwrapKey(sealed, binding, keys);
  if (!key.ok()) {
    return About(binding, key.status());
  }
  auto state = Unbox(box, DataOfLogin(binding), *key);
  return state.ok() ? std::move(state)
                    : About(binding, Annotate(state.status(), "state of the login"));
}

Result<Sealed> Rewrap(const Sealed& sealed, const Binding& binding, const RootKeys& keys) {
  auto key = UnwrapKey(sealed, binding, keys);
  if (!key.ok()) {
    return About(binding, key.status());
  }
  return Sealed{.fields = sealed.fields,
                .wrapped_key = Box(*key, DataOfKey(binding, keys.newest()), keys.newest_key()),
                .root_key_version = keys.newest()};
}

}  // namespace dealstream::vault
