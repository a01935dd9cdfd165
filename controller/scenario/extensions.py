# SPDX-License-Identifier: Apache-2.0
"""IPv6 extension headers before TCP (RFC 8200 section 4)."""

from __future__ import annotations

_HEADERS = {"hop_by_hop": 0, "routing": 43, "destination": 60}
_NAMES = {number: name for name, number in _HEADERS.items()}
NAMES = tuple(_HEADERS)
"""What a header may be called."""
_BODIES = {
    "hop_by_hop": b"\x01\x04\0\0\0\0",  # PadN
    "routing": b"\xfd\0\0\0\0\0",  # an experimental type (RFC 4727) without segments left: passed over
    "destination": b"\x01\x04\0\0\0\0",
}


def put_before(names: tuple[str, ...], protocol: int, payload: bytes) -> tuple[int, bytes]:
    """The next-header number of the IPv6 header, and the extension headers followed by the payload."""
    numbers = [*(_HEADERS[name] for name in names), protocol]
    headers = b"".join(
        bytes([following, 0]) + _BODIES[name] for name, following in zip(names, numbers[1:], strict=True)
    )
    return numbers[0], headers + payload


def taken_off(following: int, payload: bytes) -> tuple[tuple[str, ...], int, bytes]:
    """The names of the extension headers, the protocol behind them, and what is left."""
    names: tuple[str, ...] = ()
    while following in _NAMES and len(payload) >= 8:
        names = (*names, _NAMES[following])
        following, length = payload[0], 8 * (payload[1] + 1)
        payload = payload[length:]
    return names, following, payload
