# SPDX-License-Identifier: Apache-2.0
"""Many gRPC messages at a time on a stream of grpclib, which by itself carries one at a time.

gRPC's messages stand one behind the other in a stream's data, each with a prefix of five bytes ("gRPC over
HTTP2", Length-Prefixed-Message); where HTTP/2 cuts the data into frames means nothing. So messages that are
ready together go as one piece, and of what has come together all are taken at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from grpclib.encoding.base import CodecBase
from grpclib.protocol import Stream

_PREFIX: Final = struct.Struct("!?I")  # is it compressed; its length
LONGEST: Final = 256 << 20  # bytes


class Serialised(CodecBase):
    """Messages as bytes: they are encoded and decoded where they are used."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        data: bytes = message
        return data

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


class FramingError(Exception):
    """What has come is no sequence of messages; the text is one line."""


async def send(stream: Stream, messages: Iterable[bytes]) -> None:
    """Send messages, in order, as one piece; waits while the receiver lags behind. Headers must have gone."""
    await stream.send_data(b"".join([piece for m in messages for piece in (_PREFIX.pack(False, len(m)), m)]))


class Receiver:
    """The messages that come on a stream."""

    def __init__(self, stream: Stream, longest: int = LONGEST) -> None:
        """`longest`: bytes that a message may have."""
        self._stream = stream
        self._longest = longest
        self._taken = 0
        self._rest = bytearray()

    async def receive(self) -> list[bytes]:
        """All messages that have come whole, after waiting for one; none when the sender has ended.

        Raises:
            FramingError: a compressed message, one that is too long, or an end within one.
        """
        while True:
            if not self._waiting():
                first = await self._stream.recv_data(1)
                if not first:
                    if self._rest:
                        raise FramingError("the stream ends within a message")
                    return []
                self._take(first)
            if waiting := self._waiting():
                self._take(await self._stream.recv_data(waiting))
            if messages := self._split():
                return messages

    def _waiting(self) -> int:
        """Bytes that have come and were not taken."""
        return self._stream.data_received - self._taken

    def _take(self, data: bytes) -> None:
        self._taken += len(data)
        self._rest += data

    def _split(self) -> list[bytes]:
        data, at, messages = self._rest, 0, list[bytes]()
        while len(data) - at >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(data, at)
            if compressed or length > self._longest:
                what = "is compressed" if compressed else f"has {length} bytes, more than {self._longest}"
                raise FramingError(f"a message {what}")
            end = at + _PREFIX.size + length
            if end > len(data):
                break
            messages.append(bytes(data[at + _PREFIX.size : end]))
            at = end
        del data[:at]
        return messages
