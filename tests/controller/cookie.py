# SPDX-License-Identifier: Apache-2.0
"""The cookie in Python: HalfSipHash-2-4 with a 32-bit result (github.com/veorq/SipHash), and its layout."""

from __future__ import annotations

from collections.abc import Sequence

from controller.logic.keys import CookieKey
from controller.logic.model import Key

_MASK = 0xFFFFFFFF


def _left(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _MASK


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & _MASK
        v[1] = _left(v[1], 5) ^ v[0]
        v[0] = _left(v[0], 16)
        v[2] = (v[2] + v[3]) & _MASK
        v[3] = _left(v[3], 8) ^ v[2]
        v[0] = (v[0] + v[3]) & _MASK
        v[3] = _left(v[3], 7) ^ v[0]
        v[2] = (v[2] + v[1]) & _MASK
        v[1] = _left(v[1], 13) ^ v[2]
        v[2] = _left(v[2], 16)


def half_sip_hash(k0: int, k1: int, words: Sequence[int]) -> int:
    """Of whole 32-bit words; the last block carries the length in bytes in its top byte."""
    v = [k0, k1, 0x6C796765 ^ k0, 0x74656462 ^ k1]
    for word in (*words, len(words) * 4 << 24):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[1] ^ v[3]


def make_cookie(key: CookieKey, flow: Key, isn: int, mss_index: int, window_scale: int, sack: int) -> int:
    """k, as a switch makes it for this SYN in this key's epoch."""
    client, server, client_port, server_port = flow
    bits = mss_index << 5 | window_scale << 1 | sack
    words = (client, server, client_port << 16 | server_port, isn, key.epoch, bits)
    mac = half_sip_hash(key.k0, key.k1, words) & 0x7FFFFF
    return key.parity << 31 | mss_index << 28 | window_scale << 24 | sack << 23 | mac
