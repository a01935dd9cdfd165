# SPDX-License-Identifier: Apache-2.0
"""The gRPC service p4.v1.P4Runtime: requests, statuses and trailers around a `Device`.

Everything runs in the server's event loop but what may wait or take long: that has threads.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from typing import Final, TypeAlias, TypeVar

from finsy.proto import p4r
from google.protobuf.message import DecodeError, Message
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from softswitch import framing
from softswitch.framing import FramingError
from softswitch.p4runtime.device import Device
from softswitch.p4runtime.errors import INTERNAL, UNAVAILABLE, BatchError, P4RuntimeError, invalid
from softswitch.p4runtime.stream import Outbox

API_VERSION = "1.5.0"
MAX_STREAMS = 32
MAX_READS = 8  # at a time: a client that reads slowly keeps its part of the tables
_READ_WAIT: Final = 5.0  # seconds
_THREADS: Final = 24
_AT_ONCE: Final = 64  # messages, until others have their turn
_SHORT_WRITE: Final = 16384  # bytes of a request that is carried out at once, if nothing holds it up

_LOG = logging.getLogger(__name__)
_ENTITIES_PER_RESPONSE = 1000

Result = TypeVar("Result")
Request = TypeVar("Request", bound=Message)
Call: TypeAlias = Stream[bytes, bytes]


class P4RuntimeService:
    """All RPCs of the service, for one device. To be used in one event loop."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._reads = asyncio.Semaphore(MAX_READS)
        self._open: set[Outbox] = set()
        self._under_way: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="p4runtime")

    def __mapping__(self) -> dict[str, Handler]:
        unary, streaming = Cardinality.UNARY_UNARY, Cardinality.UNARY_STREAM
        methods = {
            "Capabilities": (self._capabilities, unary),
            "Write": (self._write, unary),
            "Read": (self._read, streaming),
            "SetForwardingPipelineConfig": (self._set_config, unary),
            "GetForwardingPipelineConfig": (self._get_config, unary),
            "StreamChannel": (self._stream, Cardinality.STREAM_STREAM),
        }
        return {
            f"/p4.v1.P4Runtime/{name}": Handler(partial(self._answer, method), cardinality, bytes, bytes)
            for name, (method, cardinality) in methods.items()
        }

    def close_streams(self) -> None:
        """End all streams, so that the server can stop."""
        for outbox in self._open:
            outbox.close(P4RuntimeError(UNAVAILABLE, "the switch is stopping"))

    async def finished(self, seconds: float) -> None:
        """Wait for requests that are under way, but not longer than that."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _answer(self, method: Callable[[Call], Awaitable[None]], call: Call) -> None:
        """Carry a request out; whatever goes wrong becomes the RPC's status."""
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        try:
            await method(call)
        except P4RuntimeError as error:
            raise GRPCError(Status(error.code), error.message) from None
        except BatchError as error:
            raise _batch_error(error) from None
        except (GRPCError, asyncio.CancelledError):
            raise
        except Exception as error:
            _LOG.exception("a request could not be handled")
            raise GRPCError(Status.INTERNAL, f"{type(error).__name__}: {error}") from None

    async def _apart(self, action: Callable[[], Result]) -> Result:
        """In a thread: what waits for locks, or takes long."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, action)

    # --- plain requests -----------------------------------------------------------------------------------

    async def _capabilities(self, call: Call) -> None:
        request = await _request(call, p4r.CapabilitiesRequest)
        self._device.check_device(request.device_id)
        await _reply(call, p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION))

    async def _write(self, call: Call) -> None:
        request = await _request(call, p4r.WriteRequest)
        if request.ByteSize() > _SHORT_WRITE or not self._device.write(request, wait=False):
            await self._apart(lambda: self._device.write(request))
        await _reply(call, p4r.WriteResponse())

    async def _read(self, call: Call) -> None:
        request = await _request(call, p4r.ReadRequest)
        async with self._reading():
            entities, failure = await self._apart(lambda: self._device.read(request))
            while response := await self._apart(lambda: self._next_response(entities)):
                await call.send_message(response)
        if failure:
            raise failure

    def _next_response(self, entities: Iterator[p4r.Entity]) -> bytes:
        """The next response of a Read, when no packets wait; empty when there is nothing left."""
        self._device.give_way()
        return p4r.ReadResponse(entities=islice(entities, _ENTITIES_PER_RESPONSE)).SerializeToString()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_READ_WAIT):
                await self._reads.acquire()
        except TimeoutError:
            message = f"{MAX_READS} reads are already under way"
            raise GRPCError(Status.RESOURCE_EXHAUSTED, message) from None
        try:
            yield
        finally:
            self._reads.release()

    async def _set_config(self, call: Call) -> None:
        request = await _request(call, p4r.SetForwardingPipelineConfigRequest)
        gone = threading.Event()
        try:
            await self._apart(lambda: self._device.set_config(request, lambda: not gone.is_set()))
        finally:
            gone.set()
        await _reply(call, p4r.SetForwardingPipelineConfigResponse())

    async def _get_config(self, call: Call) -> None:
        request = await _request(call, p4r.GetForwardingPipelineConfigRequest)
        config = self._device.get_config(request)
        await _reply(call, p4r.GetForwardingPipelineConfigResponse(config=config))

    # --- streams ------------------------------------------------------------------------------------------

    async def _stream(self, call: Call) -> None:
        """Carry arbitration, packets and notifications for one client until either side ends."""
        if len(self._open) >= MAX_STREAMS:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"at most {MAX_STREAMS} streams")
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        outbox = Outbox(wake=_waker(loop, news))
        self._open.add(outbox)
        reader = asyncio.ensure_future(self._receive(outbox, call))
        try:
            while (messages := outbox.take()) or not outbox.closed:
                if messages:
                    await _send(call, messages)
                else:
                    await news.wait()
                    news.clear()
        finally:
            reader.cancel()
            self._open.discard(outbox)
            loop.run_in_executor(self._threads, self._device.leave, outbox)
            if outbox.dropped:
                _LOG.warning("a client did not read %d notifications in time: dropped", outbox.dropped)

    async def _receive(self, outbox: Outbox, call: Call) -> None:
        """What the client sends, in order."""
        receiver = framing.Receiver(call._stream)
        count = 0
        try:
            while messages := await receiver.receive():
                for data in messages:
                    message = p4r.StreamMessageRequest.FromString(data)
                    if message.HasField("arbitration"):
                        self._device.received()
                        await self._apart(partial(self._device.receive, outbox, message))
                    else:
                        self._device.receive(outbox, message)
                    count += 1
                    if count % _AT_ONCE == 0:
                        self._device.received()
                        await asyncio.sleep(0)
                self._device.received()
            outbox.close()
        except P4RuntimeError as error:
            outbox.close(error)
        except (DecodeError, FramingError) as error:
            outbox.close(_undecodable(error))
        except Exception as error:
            _LOG.exception("a stream message could not be handled")
            outbox.close(_unexpected(error))
        finally:
            self._device.received()


def _waker(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> Callable[[], None]:
    """Sets the event from any thread; from the loop's own it costs nothing."""
    own = threading.get_ident()

    def wake() -> None:
        if threading.get_ident() == own:
            news.set()
        else:
            loop.call_soon_threadsafe(news.set)

    return wake


async def _send(call: Call, messages: Sequence[bytes]) -> None:
    if not call._send_initial_metadata_done:
        await call.send_initial_metadata()
    await framing.send(call._stream, messages)


async def _request(call: Call, kind: type[Request]) -> Request:
    try:
        messages = await framing.Receiver(call._stream).receive()
        if len(messages) != 1:
            raise GRPCError(Status.INVALID_ARGUMENT, f"the request has {len(messages)} messages, not one")
        return kind.FromString(messages[0])
    except (DecodeError, FramingError) as error:
        raise _undecodable(error) from None


async def _reply(call: Call, message: Message) -> None:
    await call.send_message(message.SerializeToString())


def _batch_error(error: BatchError) -> GRPCError:
    return GRPCError(Status.UNKNOWN, str(error), error.to_status().SerializeToString())


def _undecodable(error: Exception) -> P4RuntimeError:
    return invalid(f"a message that cannot be decoded: {error}")


def _unexpected(error: Exception) -> P4RuntimeError:
    return P4RuntimeError(INTERNAL, f"{type(error).__name__}: {error}")
