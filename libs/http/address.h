#pragma once

struct sockaddr;

namespace dealstream::http {

enum class AddressKind {
  // On the public internet.
  kPublic,
  // 127.0.0.0/8, ::1, and the former in its IPv4-mapped form.
  kLoopback,
  // Everything else: private, shared (CGNAT), link-local, unique local, multicast, unspecified,
  // documentation, reserved, tunnels (6to4, Teredo), and families other than IPv4 and IPv6.
  kForbidden,
};

// What an address is, by IANA's special-purpose registries (RFC 6890). Addresses with an IPv4 one
// inside (::ffff:0:0/96, NAT64's 64:ff9b::/96) are judged by that one.
AddressKind KindOfAddress(const sockaddr& address);

}  // namespace dealstream::http
