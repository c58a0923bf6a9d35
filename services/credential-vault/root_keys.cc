#include "services/credential-vault/root_keys.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libs/base/strings.h"

namespace dealstream::vault {
namespace {

constexpr size_t kKeyBytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES;
// Far over any sane number of keys.
constexpr size_t kMaxFileBytes = 1 << 20;

struct CloseFd {
  int fd;
  ~CloseFd() {
    if (fd >= 0) {
      close(fd);
    }
  }
};

// The whole file; the caller wipes it.
Result<std::string> ReadPrivateFile(const std::string& path) {
  const CloseFd file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status {};
  if (file.fd < 0 || fstat(file.fd, &status) != 0) {
    return absl::FailedPreconditionError(
        fmt::format("root_key.file: can't read \"{}\": {}; vault-tool new-root-key makes one",
                    path,
                    std::strerror(errno)));
  }
  // Group may read: Kubernetes mounts a secret as root:fsGroup 0440.
  if ((status.st_mode & 0037) != 0) {
    return absl::FailedPreconditionError(fmt::format(
        "root_key.file: {} has mode {:04o}, want 0600 (or 0440)", path, status.st_mode & 07777));
  }
  std::string text(kMaxFileBytes, '\0');
  const ssize_t size = read(file.fd, text.data(), text.size());
  if (size < 0) {
    return absl::FailedPreconditionError(
        fmt::format("root_key.file: can't read \"{}\": {}", path, std::strerror(errno)));
  }
  text.resize(static_cast<size_t>(size));
  return text;
}

Result<std::pair<int64_t, Secret>> ParseLine(std::string_view line) {
  const size_t colon = line.find(':');
  int64_t version = 0;
  if (colon == std::string_view::npos ||
      !absl::SimpleAtoi(ToAbsl(line.substr(0, colon)), &version) || version < 1) {
    return absl::FailedPreconditionError("want version:key, the version a whole number from 1");
  }
  const std::string_view encoded = line.substr(colon + 1);
  std::array<unsigned char, kKeyBytes> key{};
  size_t size = 0;
  const bool good = sodium_base642bin(key.data(),
                                      key.size(),
                                      encoded.data(),
                                      encoded.size(),
                                      nullptr,
                                      &size,
                                      nullptr,
                                      sodium_base64_VARIANT_ORIGINAL) == 0 &&
                    size == key.size();
  Secret secret(std::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
  sodium_memzero(key.data(), key.size());
  if (!good) {
    return absl::FailedPreconditionError(
        fmt::format("version {}: want the base 64 of {} bytes", version, kKeyBytes));
  }
  return std::pair{version, std::move(secret)};
}

Result<std::map<int64_t, Secret>> Parse(std::string_view text) {
  std::map<int64_t, Secret> keys;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') {
      continue;
    }
    auto key = ParseLine(line);
    if (!key.ok()) {
      return Annotate(key.status(), fmt::format("line {}", number));
    }
    const int64_t version = key->first;
    if (!keys.insert(*std::move(key)).second) {
      return absl::FailedPreconditionError(
          fmt::format("line {}: version {} stands there twice", number, version));
    }
  }
  return keys;
}

Status WriteAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(file, text.data(), text.size());
    if (written < 0) {
      return absl::UnavailableError(std::strerror(errno));
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(file) == 0 ? absl::OkStatus() : absl::UnavailableError(std::strerror(errno));
}

// `directory`: where it lies.
Status ReplaceFile(const std::string& path, std::string_view text, int directory) {
  const std::string temporary = path + ".new";
  (void)unlink(temporary.c_str());
  {
    const CloseFd file{
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR)};
    if (file.fd < 0) {
      return absl::UnavailableError(
          fmt::format("can't make {}: {}", temporary, std::strerror(errno)));
    }
    DEALSTREAM_RETURN_IF_ERROR(Annotate(WriteAll(file.fd, text), temporary));
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(fmt::format("can't replace {}: {}", path, std::strerror(errno)));
  }
  // Credentials may be wrapped by the new key at once: a power cut must not bring the old file
  // back.
  if (fsync(directory) != 0) {
    return absl::UnavailableError(
        fmt::format("can't write the folder of {}: {}", path, std::strerror(errno)));
  }
  return absl::OkStatus();
}

std::string NewKeyLine(int64_t version) {
  std::array<unsigned char, kKeyBytes> key{};
  randombytes_buf(key.data(), key.size());
  std::array<char, sodium_base64_ENCODED_LEN(kKeyBytes, sodium_base64_VARIANT_ORIGINAL)> encoded{};
  sodium_bin2base64(
      encoded.data(), encoded.size(), key.data(), key.size(), sodium_base64_VARIANT_ORIGINAL);
  std::string line = fmt::format("{}:{}\n", version, encoded.data());
  sodium_memzero(key.data(), key.size());
  sodium_memzero(encoded.data(), encoded.size());
  return line;
}

}  // namespace

Result<std::shared_ptr<const RootKeys>> RootKeys::Load(const std::string& path) {
  DEALSTREAM_ASSIGN_OR_RETURN(std::string text, ReadPrivateFile(path));
  auto parsed = Parse(text);
  WipeString(text);
  if (!parsed.ok()) {
    return Annotate(parsed.status(), fmt::format("root_key.file: {}", path));
  }
  if (parsed->empty()) {
    return absl::FailedPreconditionError(fmt::format("root_key.file: {} holds no key", path));
  }
  auto keys = std::make_shared<RootKeys>();
  keys->keys_ = *std::move(parsed);
  return std::shared_ptr<const RootKeys>(std::move(keys));
}

const Secret* RootKeys::Find(int64_t version) const {
  const auto found = keys_.find(version);
  return found == keys_.end() ? nullptr : &found->second;
}

Result<int64_t> AddRootKey(const std::string& path) {
  if (sodium_init() < 0) {
    return absl::InternalError("libsodium can't start");
  }
  // Two who add at once would take the same version, and the later file would lose the key of the
  // earlier. The folder is locked, as the file itself is replaced.
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const CloseFd directory{open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.fd < 0 || flock(directory.fd, LOCK_EX) != 0) {
    return absl::UnavailableError(fmt::format("can't lock {}: {}", folder, std::strerror(errno)));
  }
  std::string text;
  int64_t version = 1;
  if (access(path.c_str(), F_OK) == 0) {
    DEALSTREAM_ASSIGN_OR_RETURN(const auto keys, RootKeys::Load(path));
    version = keys->newest() + 1;
    DEALSTREAM_ASSIGN_OR_RETURN(text, ReadPrivateFile(path));
    if (!text.ends_with('\n')) {
      text += '\n';
    }
  }
  std::string line = NewKeyLine(version);
  // One allocation, so that one wipe gets all of it.
  std::string whole;
  whole.reserve(text.size() + line.size());
  whole.append(text).append(line);
  const Status written = ReplaceFile(path, whole, directory.fd);
  WipeString(text);
  WipeString(line);
  WipeString(whole);
  DEALSTREAM_RETURN_IF_ERROR(written);
  return version;
}

Result<std::unique_ptr<RootKeyFile>> RootKeyFile::Open(std::string path) {
  DEALSTREAM_ASSIGN_OR_RETURN(auto keys, RootKeys::Load(path));
  return std::unique_ptr<RootKeyFile>(new RootKeyFile(std::move(path), std::move(keys)));
}

std::shared_ptr<const RootKeys> RootKeyFile::Current() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

Result<bool> RootKeyFile::Reload() {
  DEALSTREAM_ASSIGN_OR_RETURN(auto keys, RootKeys::Load(path_));
  const std::lock_guard lock(mutex_);
  if (*keys == *keys_) {
    return false;
  }
  for (const auto& [version, key] : keys_->keys()) {
    const Secret* now = keys->Find(version);
    if (now != nullptr && !(*now == key)) {
      return absl::FailedPreconditionError(
          fmt::format("root_key.file: {} has another key under version {} than the one in force; "
                      "versions aren't reused: put the old key back, add the new one by "
                      "vault-tool new-root-key",
                      path_,
                      version));
    }
  }
  keys_ = std::move(keys);
  return true;
}

}  // namespace dealstream::vault
