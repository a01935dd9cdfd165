# SPDX-License-Identifier: Apache-2.0
"""One P4Runtime connection to one switch: channel, stream, and RPCs, each with a time limit of its own.

The channel and the plain requests are those of finsy's `P4Client`. It gives every RPC ten seconds; a cold
compilation in the switch and a table read back whole need more, and Write sends messages that are serialised
already: these go by a `Stub` on the same channel. The stream is a `MessageStream` beside it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

import grpc
from finsy.grpcutil import GRPCStatusCode
from finsy.p4client import P4Client, P4ClientError
from google.protobuf.message import DecodeError

from controller.config import SwitchTls
from controller.logic.arbitration import Arbitration, Standing
from controller.p4.errors import (
    OK,
    DeposedError,
    Outcome,
    SwitchError,
    switch_error,
    write_outcomes,
)
from controller.p4.proto import Stub, p4i, p4r
from controller.p4.stream import MessageStream
from controller.p4.tls import credentials, explain

_CONNECT_TIME: Final = 5.0
_RPC_TIME: Final = 10.0
_PIPELINE_TIME: Final = 60.0  # a switch may compile the program
_READ_TIME: Final = 120.0
_STREAM_QUEUE: Final = 4096  # packet-outs that wait for the stream
_AT_ONCE: Final = 64  # messages


@contextmanager
def _errors(operation: str) -> Iterator[None]:
    """Whatever ends an RPC as a SwitchError; its cancellation too, when the connection was closed."""
    try:
        yield
    except (grpc.RpcError, P4ClientError) as err:
        raise switch_error(err, operation) from None
    except grpc.aio.UsageError:
        raise SwitchError("not connected") from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise SwitchError("connection closed") from None


class Connection:
    """Opened once, used until it breaks, then closed; every failure is a `SwitchError`, one in the files of
    `tls` at once.

    `on_message` gets every StreamMessageResponse but arbitration updates.
    """

    def __init__(
        self,
        address: str,
        device_id: int,
        arbitration: Arbitration,
        on_message: Callable[[p4r.StreamMessageResponse], None],
        tls: SwitchTls | None = None,
    ) -> None:
        self._device_id = device_id
        self._arbitration = arbitration
        self._on_message = on_message
        self._tls = tls
        self._client = P4Client(address, None if tls is None else credentials(tls))
        self._stub: Stub
        self._stream = MessageStream(address, tls)
        self._incoming: deque[bytes] = deque()
        self._outgoing: deque[bytes] = deque()
        self._wakeup = asyncio.Event()
        self._write_header = b""
        self.highest_id = 0
        """The highest election id that the switch has named."""

    # --- the stream -------------------------------------------------------------------------------

    async def open(self) -> Standing:
        """Connect and bid; the standing that the switch answers with.

        Raises:
            SwitchError: no connection, or the switch refused the stream (wrong device id, id in use).
        """
        await self._client.open()
        assert self._client.channel is not None, "finsy opens its channel at once"
        self._stub = Stub(self._client.channel)
        try:
            return await self._first_standing()
        except SwitchError as err:
            if type(err) is not SwitchError:
                raise
            raise SwitchError(explain(str(err), self._tls)) from None

    async def _first_standing(self) -> Standing:
        try:
            async with asyncio.timeout(_CONNECT_TIME):
                await self._reach()
                return await asyncio.ensure_future(self._begin())
        except TimeoutError:
            raise SwitchError(f"no answer within {_CONNECT_TIME:g} s") from None

    async def _begin(self) -> Standing:
        await self._stream.open()
        await self._bid()
        return await self.next_standing()

    async def _reach(self) -> None:
        """Any answer will do: what is wrong with a connection, this channel's library says best."""
        with _errors("connection"):
            try:
                await self._client.request(p4r.CapabilitiesRequest(device_id=self._device_id))
            except P4ClientError as err:
                if err.code == GRPCStatusCode.UNAVAILABLE:
                    raise

    async def _bid(self) -> None:
        request = p4r.StreamMessageRequest()
        request.arbitration.device_id = self._device_id
        if self._arbitration.election_id is not None:
            self._set_id(request.arbitration.election_id)
        await self._stream.send([request.SerializeToString()])

    async def next_standing(self) -> Standing:
        """Wait for the switch's next word on who is primary; bids again where that is what it asks for."""
        while True:
            while not self._incoming:
                self._incoming.extend(await self._stream.receive())
            message = _decode(self._incoming.popleft())
            if message.HasField("arbitration"):
                standing = await self._on_arbitration(message.arbitration)
                if standing is not Standing.BID:
                    return standing

    async def _on_arbitration(self, update: p4r.MasterArbitrationUpdate) -> Standing:
        self.highest_id = update.election_id.high << 64 | update.election_id.low
        try:
            standing = self._arbitration.on_update(update.status.code, self.highest_id)
        except ValueError as err:
            raise SwitchError(str(err)) from None
        if standing is Standing.BID:
            await self._bid()
        return standing

    def _set_id(self, target: p4r.Uint128) -> None:
        election_id = self._arbitration.election_id or 0
        target.high, target.low = election_id >> 64, election_id & 0xFFFFFFFFFFFFFFFF

    async def receive(self) -> None:
        """Hand messages to `on_message` until the stream breaks. Now and then others have their turn.

        Raises:
            DeposedError: another controller leads.
        """
        on_message, incoming = self._on_message, self._incoming
        count = 0
        while True:
            while incoming:
                message = _decode(incoming.popleft())
                if not message.HasField("arbitration"):
                    on_message(message)
                elif await self._on_arbitration(message.arbitration) is Standing.BACKUP:
                    raise DeposedError(self.backup_reason())
                count += 1
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            incoming.extend(await self._stream.receive())

    def backup_reason(self) -> str:
        return f"another controller is primary (election id {self.highest_id})"

    async def transmit(self) -> None:
        """Send what `send` queued, in order, until the stream breaks."""
        while True:
            while self._outgoing:
                messages = list(islice(self._outgoing, _AT_ONCE))
                await self._stream.send(messages)
                for _ in messages:
                    self._outgoing.popleft()
            self._wakeup.clear()
            await self._wakeup.wait()

    def send(self, data: bytes) -> bool:
        """Queue a serialised StreamMessageRequest; False when too many wait already."""
        if len(self._outgoing) >= _STREAM_QUEUE:
            return False
        self._outgoing.append(data)
        self._wakeup.set()
        return True

    # --- RPCs -------------------------------------------------------------------------------------

    async def get_cookie(self) -> int | None:
        """The cookie of the program that the switch runs; None when it runs none."""
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self._device_id,
            response_type=p4r.GetForwardingPipelineConfigRequest.COOKIE_ONLY,
        )
        try:
            reply = await self._client.request(request)
        except P4ClientError as err:
            if err.is_pipeline_missing:
                return None
            raise switch_error(err, "GetForwardingPipelineConfig") from None
        cookie: int = reply.config.cookie.cookie
        return cookie if reply.config.HasField("cookie") else None

    async def set_pipeline(self, info: p4i.P4Info, device_config: bytes, cookie: int) -> None:
        """Load a program; the switch's tables are empty afterwards."""
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=self._device_id,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
        )
        self._set_id(request.election_id)
        request.config.p4info.CopyFrom(info)
        request.config.p4_device_config = device_config
        request.config.cookie.cookie = cookie
        with _errors("the switch refused the program"):
            await self._stub.set_pipeline(request, timeout=_PIPELINE_TIME)

    async def write(self, updates: Sequence[bytes]) -> list[Outcome] | None:
        """Write updates (`proto.update`); None when all succeeded, else each one's outcome."""
        if not self._write_header:
            request = p4r.WriteRequest(device_id=self._device_id)
            self._set_id(request.election_id)
            self._write_header = request.SerializeToString()
        with _errors("Write"):
            try:
                await self._stub.write(self._write_header + b"".join(updates), timeout=_RPC_TIME)
            except grpc.RpcError as err:
                return write_outcomes(err, len(updates))
        return None

    async def write_all(self, updates: Sequence[bytes], batch: int = 256) -> None:
        """Write updates in batches.

        Raises:
            SwitchError: one of them failed.
        """
        for start in range(0, len(updates), batch):
            outcomes = await self.write(updates[start : start + batch])
            for outcome in outcomes or ():
                if outcome.code != OK:
                    raise SwitchError(f"it refused an entry: {outcome}")

    async def read(self, entities: Sequence[p4r.Entity]) -> AsyncIterator[p4r.Entity]:
        """Read entities (wildcards allowed)."""
        async for found in self.read_batches(entities):
            for entity in found:
                yield entity

    async def read_batches(self, entities: Sequence[p4r.Entity]) -> AsyncIterator[Sequence[p4r.Entity]]:
        """The same, in the portions in which the switch sends them."""
        request = p4r.ReadRequest(device_id=self._device_id, entities=entities)
        with _errors("Read"):
            async for reply in self._stub.read(request, timeout=_READ_TIME):
                yield reply.entities

    async def close(self) -> None:
        await asyncio.sleep(0)  # a task that was cancelled just now ends before the stream does
        await self._stream.close()
        await self._client.close()


def _decode(data: bytes) -> p4r.StreamMessageResponse:
    try:
        return p4r.StreamMessageResponse.FromString(data)
    except DecodeError as err:
        raise SwitchError(f"a message on the stream that cannot be read: {err}") from None
