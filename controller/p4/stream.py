# SPDX-License-Identifier: Apache-2.0
"""The StreamChannel of one switch, by grpclib on a connection of its own.

grpclib works in the event loop alone: many messages that come or go together cost one wake-up and little
more, where grpcio hands each one from thread to thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from grpclib.client import Channel, Stream, StreamStreamMethod
from grpclib.config import Configuration
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from h2.exceptions import H2Error

from controller.config import SwitchTls
from controller.p4.errors import SwitchError, status_error
from controller.p4.proto import STREAM_CHANNEL
from controller.p4.tls import context
from softswitch import framing

_WINDOW: Final = 1 << 18  # bytes under way: what a busy controller cannot take is to wait in the switch
_END_TIME: Final = 0.2  # seconds that a switch has to end a stream


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
    except (ProtocolError, H2Error, framing.FramingError) as err:
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
        self._receiver: framing.Receiver | None = None

    async def open(self) -> None:
        """Connect and begin the stream."""
        call: Stream[bytes, bytes] = StreamStreamMethod(self._channel, STREAM_CHANNEL, bytes, bytes).open()
        async with _errors(call):
            await call.__aenter__()
            await call.send_request()
        self._call = call
        self._receiver = framing.Receiver(call._stream)

    async def send(self, messages: Sequence[bytes]) -> None:
        """Send messages, in order; waits while the switch lags behind."""
        call, _ = self._opened()
        async with _errors(call):
            with call._wrapper:
                await framing.send(call._stream, messages)

    async def receive(self) -> list[bytes]:
        """The next messages: all that have come."""
        call, receiver = self._opened()
        async with _errors(call):
            if call.initial_metadata is None:
                await call.recv_initial_metadata()
            with call._wrapper:
                messages = await receiver.receive()
            if not messages:
                await call.end()
                await call.recv_trailing_metadata()
                raise SwitchError("the switch closed the stream")
            return messages

    def _opened(self) -> tuple[Stream[bytes, bytes], framing.Receiver]:
        if self._call is None or self._receiver is None:
            raise SwitchError("not connected")
        return self._call, self._receiver

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
    settings = Configuration(
        ssl_target_name_override=None if tls is None else tls.server_name,
        http2_connection_window_size=_WINDOW,
        http2_stream_window_size=_WINDOW,
    )
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        return Channel(path=path, codec=framing.Serialised(), ssl=security, config=settings)
    host, _, port = address.rpartition(":")
    return Channel(host.strip("[]"), int(port), codec=framing.Serialised(), ssl=security, config=settings)
