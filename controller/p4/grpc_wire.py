# SPDX-License-Identifier: Apache-2.0
"""gRPC calls over an HTTP/2 connection of our own: for the hot path, where each message counts.

The Python library of gRPC takes some 50 µs of CPU time for a message and 150 µs for a unary call, in either
direction; here a message costs a tenth of it, and all that arrive together are handled at once. Calls end as
there: with `grpc.aio.AioRpcError` unless the status is OK.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import deque
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

import grpc
from hpack import Encoder

from controller.p4.http2 import Fields, Http2, Http2Error

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_LARGEST_MESSAGE: Final = 256 << 20  # bytes
_PREFIX: Final = 5  # bytes before each message: compressed or not, length
OnMessage = Callable[[bytes], None]


def _error(
    code: grpc.StatusCode, details: str, trailers: list[tuple[str, str | bytes]] | None = None
) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(*(trailers or []))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details, details)


class Call:
    """One RPC. `on_message` gets each message; `wait` returns once the peer has ended the call, and `on_end`
    is called then.
    """

    def __init__(
        self, wire: Wire, path: str, on_message: OnMessage, on_end: Callable[[], None] | None = None
    ) -> None:
        self._wire = wire
        self._on_message = on_message
        self._data = b""
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended.add_done_callback(_look_at)
        if on_end is not None:
            self._ended.add_done_callback(lambda _: on_end())
        self._id = wire.open(self, path)

    def send(self, message: bytes, *, last: bool = False) -> None:
        """Send a serialised message."""
        self._wire.send(self._id, len(message).to_bytes(_PREFIX) + message, last)

    @property
    def ended(self) -> bool:
        """Whether the call has ended, however."""
        return self._ended.done()

    def backlog(self) -> int:
        """Frames that the peer does not take yet."""
        return self._wire.backlog(self._id)

    async def wait(self) -> None:
        """Wait for the call's end.

        Raises:
            grpc.aio.AioRpcError: the status is not OK, or the connection is lost.
        """
        await asyncio.shield(self._ended)

    def cancel(self) -> None:
        """Give the call up."""
        self._wire.cancel(self._id)
        if not self._ended.done():
            self._ended.cancel()

    # --- what the wire says -----------------------------------------------------------------------

    def on_data(self, data: bytes, ended: bool) -> None:
        data = self._data + data if self._data else data
        at, end = 0, len(data)
        while end - at >= _PREFIX:
            prefix = int.from_bytes(data[at : at + _PREFIX])  # the first byte is 1 for a compressed one
            if prefix > _LARGEST_MESSAGE:
                raise Http2Error("a message that is compressed, or too long")
            if end - at - _PREFIX < prefix:
                break
            self._on_message(data[at + _PREFIX : at + _PREFIX + prefix])
            at += _PREFIX + prefix
        self._data = data[at:]
        if ended:
            self.fail(_error(grpc.StatusCode.INTERNAL, "the stream ended without a status"))

    def on_headers(self, fields: Fields, ended: bool) -> None:
        if not ended:
            return
        values = dict(fields)
        status = values.get(b"grpc-status", b"")
        code = _CODES.get(int(status), grpc.StatusCode.UNKNOWN) if status.isdigit() else None
        if code is None:
            text = values.get(b":status", b"unknown").decode("ascii", "replace")
            self.fail(_error(grpc.StatusCode.UNKNOWN, f"no gRPC status in the answer (HTTP status {text})"))
            return
        if code is grpc.StatusCode.OK:
            if not self._ended.done():
                self._ended.set_result(None)
            return
        details = unquote(values.get(b"grpc-message", b"").decode("ascii", "replace"))
        trailers: list[tuple[str, str | bytes]] = [
            (name.decode("ascii", "replace"), _binary(value))
            for name, value in fields
            if name.endswith(b"-bin")
        ]
        self.fail(_error(code, details, trailers))

    def fail(self, error: grpc.aio.AioRpcError) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)


def _look_at(future: asyncio.Future[None]) -> None:
    """A call that nobody waits for may fail without a warning."""
    if not future.cancelled():
        future.exception()


def _binary(value: bytes) -> bytes:
    """The value of a `-bin` field: base64, with or without its padding."""
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4))
    except binascii.Error as error:
        raise Http2Error(f"metadata that is no base64: {error}") from None


class Wire(asyncio.Protocol):
    """A connection to `unix:PATH` or HOST:PORT, and its calls."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._http2 = Http2(self)
        self._calls: dict[int, Call] = {}
        self._blocks: dict[str, bytes] = {}
        self._transport: asyncio.Transport
        self._lost: str | None = None
        self._flushing = False
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def connect(cls, address: str) -> Wire:
        """A new connection.

        Raises:
            grpc.aio.AioRpcError: there is none to be had.
        """
        loop = asyncio.get_running_loop()
        try:
            if address.startswith("unix:"):
                path = address.removeprefix("unix:")
                path = path[2:] if path.startswith("//") else path
                _, wire = await loop.create_unix_connection(lambda: cls("localhost"), path)
            else:
                host, _, port = address.rpartition(":")
                _, wire = await loop.create_connection(lambda: cls(address), host.strip("[]"), int(port))
        except OSError as error:
            text = f"failed to connect to {address}, error: {error.strerror or error}"
            raise _error(grpc.StatusCode.UNAVAILABLE, text) from None
        return wire

    async def unary(self, path: str, request: bytes, timeout: float) -> bytes:
        """Call a method with a serialised request; its serialised reply.

        Raises:
            grpc.aio.AioRpcError: it failed, or did not answer within `timeout` seconds.
        """
        replies: deque[bytes] = deque()
        call = Call(self, path, replies.append)
        call.send(request, last=True)
        try:
            async with asyncio.timeout(timeout):
                await call.wait()
        except TimeoutError:
            raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, f"no answer within {timeout:g} s") from None
        finally:
            call.cancel()
        if not replies:
            raise _error(grpc.StatusCode.INTERNAL, "no reply")
        return replies[0]

    def close(self) -> None:
        """End the connection and its calls."""
        self._fail("closed")
        self._transport.abort()

    # --- used by calls ----------------------------------------------------------------------------

    def open(self, call: Call, path: str) -> int:
        if self._lost is not None:
            raise _error(grpc.StatusCode.UNAVAILABLE, self._lost)
        try:
            stream = self._http2.open(self._block(path))
        except Http2Error as error:
            raise _error(grpc.StatusCode.UNAVAILABLE, str(error)) from None
        self._calls[stream] = call
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, last: bool) -> None:
        self._http2.send(stream, data, end=last)
        self._flush()

    def backlog(self, stream: int) -> int:
        return self._http2.backlog(stream)

    def cancel(self, stream: int) -> None:
        if self._calls.pop(stream, None) is not None and self._lost is None:
            self._http2.reset(stream)
            self._flush()

    def _block(self, path: str) -> bytes:
        block = self._blocks.get(path)
        if block is None:
            encoder = Encoder()
            encoder.header_table_size = 0  # the same bytes each time
            block = self._blocks[path] = encoder.encode(
                [
                    (":method", "POST"),
                    (":scheme", "http"),
                    (":path", path),
                    (":authority", self._authority),
                    ("te", "trailers"),
                    ("content-type", "application/grpc"),
                ]
            )
        return block

    def _flush(self) -> None:
        """Write what this turn of the event loop has gathered, at its end."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._flushing = False
        if self._lost is None and (data := self._http2.take()):
            self._transport.write(data)

    def _fail(self, text: str) -> None:
        if self._lost is None:
            self._lost = text
            calls, self._calls = self._calls, {}
            for call in calls.values():
                call.fail(_error(grpc.StatusCode.UNAVAILABLE, text))

    # --- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is wanted")
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._http2.receive(data)
        except Http2Error as error:
            self._fail(str(error))
            self._transport.abort()
        else:
            self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"{exc}" if exc else "the switch closed the connection")

    # --- http2.Handler ----------------------------------------------------------------------------

    def on_headers(self, stream: int, fields: Fields, ended: bool) -> None:
        call = self._of(stream, ended)
        if call is not None:
            call.on_headers(fields, ended)

    def on_data(self, stream: int, data: bytes, ended: bool) -> None:
        call = self._of(stream, ended)
        if call is not None:
            call.on_data(data, ended)

    def on_reset(self, stream: int, code: int) -> None:
        call = self._of(stream, True)
        if call is not None:
            call.fail(_error(grpc.StatusCode.UNAVAILABLE, f"the switch reset the call (code {code})"))

    def _of(self, stream: int, ended: bool) -> Call | None:
        return self._calls.pop(stream, None) if ended else self._calls.get(stream)
