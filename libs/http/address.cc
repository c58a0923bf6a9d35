#include "libs/http/address.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include <netinet/in.h>
#include <sys/socket.h>

namespace dealstream::http {
namespace {

struct Network4 {
  uint32_t base;
  int bits;
};

constexpr uint32_t Ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

// IANA IPv4 special-purpose registry: what is not globally reachable, and multicast.
constexpr Network4 kForbidden4[] = {
    {Ip(0, 0, 0, 0), 8},        // this network, unspecified
    {Ip(10, 0, 0, 0), 8},       // private
    {Ip(100, 64, 0, 0), 10},    // shared address space (CGNAT)
    {Ip(169, 254, 0, 0), 16},   // link-local, cloud metadata
    {Ip(172, 16, 0, 0), 12},    // private
    {Ip(192, 0, 0, 0), 24},     // protocol assignments
    {Ip(192, 0, 2, 0), 24},     // documentation
    {Ip(192, 88, 99, 0), 24},   // 6to4 relays
    {Ip(192, 168, 0, 0), 16},   // private
    {Ip(198, 18, 0, 0), 15},    // benchmarking
    {Ip(198, 51, 100, 0), 24},  // documentation
    {Ip(203, 0, 113, 0), 24},   // documentation
    {Ip(224, 0, 0, 0), 4},      // multicast
    {Ip(240, 0, 0, 0), 4},      // reserved, broadcast
};

bool Within(uint32_t address, const Network4& network) {
  return (address ^ network.base) >> (32 - network.bits) == 0;
}

AddressKind KindOfV4(uint32_t address) {
  if (Within(address, {Ip(127, 0, 0, 0), 8})) {
    return AddressKind::kLoopback;
  }
  const bool forbidden = std::any_of(std::begin(kForbidden4),
                                     std::end(kForbidden4),
                                     [address](const Network4& n) { return Within(address, n); });
  return forbidden ? AddressKind::kForbidden : AddressKind::kPublic;
}

using Bytes6 = std::array<uint8_t, 16>;

struct Network6 {
  Bytes6 base;
  int bits;
};

bool Within(const Bytes6& address, const Network6& network) {
  for (int bit = 0; bit < network.bits; bit += 8) {
    const auto i = static_cast<size_t>(bit / 8);
    const int rest = std::min(8, network.bits - bit);
    if ((address[i] ^ network.base[i]) >> (8 - rest) != 0) {
      return false;
    }
  }
  return true;
}

uint32_t LastFour(const Bytes6& address) {
  return Ip(address[12], address[13], address[14], address[15]);
}

constexpr Network6 kMapped = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
constexpr Network6 kNat64 = {{0, 0x64, 0xff, 0x9b}, 96};
constexpr Network6 kLoopback6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128};
// Public addresses are inside this one...
constexpr Network6 kGlobalUnicast = {{0x20}, 3};
// ...and outside these.
constexpr Network6 kForbidden6[] = {
    {{0x20, 0x01}, 23},              // protocol assignments, Teredo, ORCHID
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x20, 0x02}, 16},              // 6to4
    {{0x3f, 0xff}, 20},              // documentation
};

AddressKind KindOfV6(const Bytes6& address) {
  if (Within(address, kMapped)) {
    return KindOfV4(LastFour(address));
  }
  if (Within(address, kNat64)) {
    // A loopback address behind a translator is not ours.
    return KindOfV4(LastFour(address)) == AddressKind::kPublic ? AddressKind::kPublic
                                                               : AddressKind::kForbidden;
  }
  if (Within(address, kLoopback6)) {
    return AddressKind::kLoopback;
  }
  const bool forbidden = std::any_of(std::begin(kForbidden6),
                                     std::end(kForbidden6),
                                     [&address](const Network6& n) { return Within(address, n); });
  return Within(address, kGlobalUnicast) && !forbidden ? AddressKind::kPublic
                                                       : AddressKind::kForbidden;
}

}  // namespace

AddressKind KindOfAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4 = {};
    std::memcpy(&v4, &address, sizeof(v4));
    return KindOfV4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6 = {};
    std::memcpy(&v6, &address, sizeof(v6));
    Bytes6 bytes = {};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return KindOfV6(bytes);
  }
  return AddressKind::kForbidden;
}

}  // namespace dealstream::http
