# SPDX-License-Identifier: Apache-2.0
"""TCP-MD5 (RFC 2385) of the kernel's own sockets: every segment is signed, and unsigned ones are dropped."""

from __future__ import annotations

import socket
import struct

# linux/tcp.h; Python has no names for them.
_TCP_MD5SIG_EXT = 32
_FLAG_PREFIX = 1
_LONGEST_KEY = 80


def sign(sock: socket.socket, key: bytes, peer: str | None = None) -> None:
    """Sign with this key what goes to the address `peer`, or to everybody.

    The settings are a struct tcp_md5sig (linux/tcp.h).
    """
    if not 0 < len(key) <= _LONGEST_KEY:
        raise ValueError(f"a key of 1 to {_LONGEST_KEY} bytes is wanted, not {len(key)}")
    v6 = sock.family == socket.AF_INET6
    address = socket.inet_pton(sock.family, peer or ("::" if v6 else "0.0.0.0"))
    # sockaddr_in: family, port, address; sockaddr_in6: family, port, flow label, address
    where = struct.pack("=HH4s16s" if v6 else "=HH0s4s", sock.family, 0, b"", address).ljust(128, b"\0")
    bits = 8 * len(address) if peer else 0
    settings = struct.pack("=BBHi80s", _FLAG_PREFIX, bits, len(key), 0, key)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG_EXT, where + settings)
