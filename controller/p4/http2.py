# SPDX-License-Identifier: Apache-2.0
"""The client's half of HTTP/2 (RFC 9113), as gRPC needs it: bytes in, calls of a handler and bytes out.

No sockets and no clock here. Header blocks are decoded without a dynamic table (our SETTINGS forbid it), so
that blocks that repeat, as those of RPCs do, are decoded once.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from hpack import Decoder, HPACKError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
CANCEL: Final = 8  # error code

_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE = 1, 2, 4
_SETTING = struct.Struct("!HI")
_U32 = struct.Struct("!I")
_HEAD: Final = 9  # bytes of a frame's header
_LARGEST: Final = 16_384  # of a frame's payload; what every peer takes (section 4.2)
_DEFAULT_WINDOW: Final = 65_535
_OUR_WINDOW: Final = 1 << 30
_TOP_UP: Final = 1 << 22  # bytes received after which the peer's window is filled up again
_MASK31: Final = 0x7FFFFFFF
_CACHED: Final = 256  # header blocks

Fields = Sequence[tuple[bytes, bytes]]


class Http2Error(Exception):
    """The peer broke the protocol, or ends the connection; the text is for an operator."""


class Handler(Protocol):
    """What becomes of the frames of streams. `ended`: the peer's half of the stream is closed."""

    def on_headers(self, stream: int, fields: Fields, ended: bool) -> None: ...
    def on_data(self, stream: int, data: bytes, ended: bool) -> None: ...
    def on_reset(self, stream: int, code: int) -> None: ...


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame (section 4.1)."""
    return (len(payload) << 48 | kind << 40 | flags << 32 | stream).to_bytes(_HEAD) + payload


class _Outgoing:
    """What a stream has still to send, and how much the peer takes of it."""

    __slots__ = ("end", "queue", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.queue: deque[bytes] = deque()
        self.end = False


class Http2:
    """One connection. `take` gives the bytes to send, beginning with the preface."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._incoming = b""
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW_SIZE, _OUR_WINDOW))
        self._out: list[bytes] = [
            PREFACE,
            frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings)),
            frame(WINDOW_UPDATE, 0, 0, _U32.pack(_OUR_WINDOW - _DEFAULT_WINDOW)),
        ]
        self._decoder = Decoder()
        self._decoder.header_table_size = self._decoder.max_allowed_table_size = 0
        self._blocks: dict[bytes, Fields] = {}
        self._block: tuple[int, int, bytes] | None = None  # stream, flags and bytes of one not yet complete
        self._streams: dict[int, _Outgoing] = {}
        self._next_stream = 1
        self._going_away = False
        self._window = _DEFAULT_WINDOW
        self._peer_initial = _DEFAULT_WINDOW
        self._received: dict[int, int] = {0: 0}  # bytes since the window was filled up; 0 = the connection's

    # --- sending ----------------------------------------------------------------------------------

    def take(self) -> bytes:
        """What is to be sent now."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def open(self, block: bytes) -> int:
        """Open a stream with an encoded block of header fields; its identifier.

        Raises:
            Http2Error: the peer takes no more, or no identifiers are left.
        """
        stream = self._next_stream
        if self._going_away or stream > _MASK31:
            raise Http2Error("the connection takes no more calls")
        self._next_stream += 2
        self._streams[stream] = _Outgoing(self._peer_initial)
        self._received[stream] = 0
        self._out.append(frame(HEADERS, END_HEADERS, stream, block))
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send data on an open stream, as soon as the peer's windows let it; `end`: nothing follows it."""
        outgoing = self._streams.get(stream)
        if outgoing is None:
            return
        length = len(data)
        if not outgoing.queue and length <= min(_LARGEST, self._window, outgoing.window):
            self._window -= length
            outgoing.window -= length
            self._out.append(frame(DATA, END_STREAM if end else 0, stream, data))
            return
        outgoing.end = end
        for start in range(0, length, _LARGEST):
            outgoing.queue.append(data[start : start + _LARGEST])
        self._pump(stream, outgoing)

    def reset(self, stream: int) -> None:
        """Give a stream up."""
        if self._forget(stream):
            self._out.append(frame(RST_STREAM, 0, stream, _U32.pack(CANCEL)))

    def backlog(self, stream: int) -> int:
        """Frames of a stream that wait for the peer's windows."""
        outgoing = self._streams.get(stream)
        return len(outgoing.queue) if outgoing else 0

    def _pump(self, stream: int, outgoing: _Outgoing) -> None:
        queue = outgoing.queue
        while queue and (room := min(self._window, outgoing.window)) > 0:
            data = queue.popleft()
            if len(data) > room:
                queue.appendleft(data[room:])
                data = data[:room]
            self._window -= len(data)
            outgoing.window -= len(data)
            flags = END_STREAM if outgoing.end and not queue else 0
            self._out.append(frame(DATA, flags, stream, data))

    def _forget(self, stream: int) -> bool:
        self._received.pop(stream, None)
        return self._streams.pop(stream, None) is not None

    # --- receiving --------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer.

        Raises:
            Http2Error: the connection is of no use any more.
        """
        data = self._incoming + data if self._incoming else data
        at, end = 0, len(data)
        while end - at >= _HEAD:
            head = int.from_bytes(data[at : at + _HEAD])
            length = head >> 48
            if length > _LARGEST:
                raise Http2Error(f"a frame of {length} bytes, more than agreed")
            if end - at - _HEAD < length:
                break
            payload = data[at + _HEAD : at + _HEAD + length]
            at += _HEAD + length
            self._on_frame(head >> 40 & 0xFF, head >> 32 & 0xFF, head & _MASK31, payload)
        self._incoming = data[at:]

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._block is not None and kind != CONTINUATION:
            raise Http2Error("a block of header fields was interrupted")
        if kind == DATA:
            self._on_data(flags, stream, payload)
        elif kind == HEADERS:
            payload = _unpadded(flags, payload)
            self._on_block(stream, flags, payload[5:] if flags & PRIORITY else payload)
        elif kind == CONTINUATION:
            if self._block is None or self._block[0] != stream:
                raise Http2Error("a block of header fields goes on that did not begin")
            before, self._block = self._block, None
            self._on_block(stream, before[1] | flags & END_HEADERS, before[2] + payload)
        elif kind == WINDOW_UPDATE:
            self._on_window_update(stream, _number(payload) & _MASK31)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == PING and not flags & ACK:
            self._out.append(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM:
            if self._forget(stream):
                self._handler.on_reset(stream, _number(payload))
        elif kind == GOAWAY:
            self._on_goaway(payload)

    def _on_goaway(self, payload: bytes) -> None:
        """The peer takes no more streams; without an error it still finishes those that are open."""
        code = _number(payload[4:])
        if code != 0:
            text = payload[8:].decode(errors="replace")
            raise Http2Error(f"the switch ends the connection (code {code}) {text}".rstrip())
        self._going_away = True

    def _on_data(self, flags: int, stream: int, payload: bytes) -> None:
        for number in (0, stream):
            if number in self._received:
                self._received[number] += len(payload)
                if self._received[number] >= _TOP_UP:
                    self._out.append(frame(WINDOW_UPDATE, 0, number, _U32.pack(self._received[number])))
                    self._received[number] = 0
        if stream not in self._streams:
            return  # given up before
        ended = bool(flags & END_STREAM)
        if ended:
            self._forget(stream)
        self._handler.on_data(stream, _unpadded(flags, payload), ended)

    def _on_block(self, stream: int, flags: int, block: bytes) -> None:
        if not flags & END_HEADERS:
            if len(block) > 1 << 24:
                raise Http2Error("a block of header fields that never ends")
            self._block = (stream, flags, block)
            return
        fields = self._blocks.get(block)
        if fields is None:
            try:
                decoded = self._decoder.decode(block, raw=True)
            except HPACKError as error:
                raise Http2Error(f"header fields that cannot be read: {error}") from None
            fields = [(bytes(name), bytes(value)) for name, value in decoded]
            if len(self._blocks) < _CACHED:
                self._blocks[block] = fields
        if stream not in self._streams:
            return
        ended = bool(flags & END_STREAM)
        if ended:
            self._forget(stream)
        self._handler.on_headers(stream, fields, ended)

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % _SETTING.size:
            raise Http2Error("SETTINGS of a wrong length")
        for identifier, value in _SETTING.iter_unpack(payload):
            if identifier == _INITIAL_WINDOW_SIZE:
                for outgoing in self._streams.values():
                    outgoing.window += value - self._peer_initial
                self._peer_initial = value
        self._out.append(frame(SETTINGS, ACK, 0))
        self._pump_all()

    def _on_window_update(self, stream: int, more: int) -> None:
        if stream == 0:
            self._window += more
            self._pump_all()
        elif (outgoing := self._streams.get(stream)) is not None:
            outgoing.window += more
            self._pump(stream, outgoing)

    def _pump_all(self) -> None:
        for stream, outgoing in self._streams.items():
            if outgoing.queue:
                self._pump(stream, outgoing)


def _unpadded(flags: int, payload: bytes) -> bytes:
    """Without its padding (section 6.1)."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error("padding longer than its frame")
    return payload[1 : len(payload) - payload[0]]


def _number(payload: bytes) -> int:
    """The 32-bit number that a frame begins with."""
    if len(payload) < _U32.size:
        raise Http2Error("a frame that is too short")
    number: int = _U32.unpack_from(payload)[0]
    return number
