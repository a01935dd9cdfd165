# SPDX-License-Identifier: Apache-2.0
"""The StreamChannel of one switch, by grpclib on a connection of its own.

Packets come and go here one message at a time. grpclib works in the event loop alone: many messages that
arrive together cost one wake-up, where grpcio hands each one from thread to thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from grpclib.client import Channel, Stream, StreamStreamMethod
from grpclib.config import Configuration
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from h2.exceptions import H2Error

from controller.config import SwitchTls
from controller.p4.errors import SwitchError, status_error
from controller.p4.proto import STREAM_CHANNEL
from controller.p4.tls import context

_AT_ONCE: Final = 64  # messages, until others have their turn
_END_TIME: Final = 0.2  # seconds that a switch has to end a stream


class Serialised(CodecBase):
    """Messages as bytes: they are encoded and decoded where they are used."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        data: bytes = message
        return data

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


@asynccontextmanager
async def _errors(call: Stream[bytes, bytes]) -> AsyncIterator[None]:
    """Whatever ends the stream as a SwitchError."""
    try:
        yield
    except GRPCError as err:
        raise _status_error(err) from None
    except StreamTerminatedError as err:
        task = asyncio.current_task()
        while task is not None and task.cancelling():  # grpclib cancels who waits, even twice
            task.uncancel()
        try:
            with suppress(KeyError):  # another task has left it already
                await call.__aexit__(type(err), err, None)
        except GRPCError as status:  # it said why before
            raise _status_error(status) from None
        raise SwitchError(f"connection lost: {err}") from None
    except (ProtocolError, H2Error) as err:
        raise SwitchError(f"stream: {err}") from None
    except OSError as err:
        raise SwitchError(f"cannot connect: {err.strerror or err}") from None
    except RuntimeError as err:  # uvloop's, of a connection that has just been closed
        raise SwitchError(f"connection lost: {err}") from None


def _status_error(error: GRPCError) -> SwitchError:
    return status_error(error.status.value, error.message or "", "stream")


class MessageStream:
    """Serialised StreamMessageRequests go out, StreamMessageResponses come in; every failure is a
    `SwitchError`.

    To be used in tasks that do nothing else: one that is cancelled in the moment in which the connection
    breaks ends with the `SwitchError`.
    """

    def __init__(self, address: str, tls: SwitchTls | None = None) -> None:
        """`address`: unix:PATH or HOST:PORT."""
        self._channel = _channel(address, tls)
        self._call: Stream[bytes, bytes] | None = None
        self._in_a_row = 0

    async def open(self) -> None:
        """Connect and begin the stream."""
        call: Stream[bytes, bytes] = StreamStreamMethod(self._channel, STREAM_CHANNEL, bytes, bytes).open()
        async with _errors(call):
            await call.__aenter__()
            await call.send_request()
        self._call = call

    async def send(self, data: bytes) -> None:
        call = self._opened()
        async with _errors(call):
            await call.send_message(data)

    async def receive(self) -> bytes:
        """The next message. Now and then others have their turn first, however many have come."""
        call = self._opened()
        self._in_a_row += 1
        if self._in_a_row >= _AT_ONCE:
            self._in_a_row = 0
            await asyncio.sleep(0)
        async with _errors(call):
            data = await call.recv_message()
            if data is None:
                await call.end()
                await call.recv_trailing_metadata()
                raise SwitchError("the switch closed the stream")
            return data

    def _opened(self) -> Stream[bytes, bytes]:
        if self._call is None:
            raise SwitchError("not connected")
        return self._call

    async def close(self) -> None:
        """End the stream in order, so that its election id is free; and the connection in any case."""
        if self._call is not None:
            await asyncio.wait([asyncio.ensure_future(self._end(self._call))], timeout=_END_TIME)
        self._channel.close()

    async def _end(self, call: Stream[bytes, bytes]) -> None:
        with suppress(SwitchError):
            async with _errors(call):
                await call.end()
                await call.recv_trailing_metadata()


def _channel(address: str, tls: SwitchTls | None) -> Channel:
    security = None if tls is None else context(tls)
    settings = Configuration(ssl_target_name_override=None if tls is None else tls.server_name)
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        return Channel(path=path, codec=Serialised(), ssl=security, config=settings)
    host, _, port = address.rpartition(":")
    return Channel(host.strip("[]"), int(port), codec=Serialised(), ssl=security, config=settings)
