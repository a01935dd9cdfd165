# SPDX-License-Identifier: Apache-2.0
"""A P4Runtime server that keeps entities in a dictionary, and the P4Info of a program like ours.

It checks what a real server checks (election ids, INSERT of what is there, ...) and can be told to be slow,
to refuse, or to lose its state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc, rpc_code, rpc_status
from google.protobuf.any_pb2 import Any as AnyMessage

from controller.dataplane import DIGESTS, PACKET_OUT_FIELDS, TABLES, PuntHeader

_LPM = {"routes_v4", "routes_v6"}


def make_p4info() -> p4i.P4Info:
    """A P4Info with everything of `controller.dataplane`; ids are made up."""
    info = p4i.P4Info()
    ids = count(1)
    actions: dict[str, int] = {}
    for table_name, shape in TABLES.items():
        table = info.tables.add()
        table.preamble.id = 0x02000000 + next(ids)
        table.preamble.name = f"Ingress.stage.{table_name}"
        table.preamble.alias = table_name
        for number, key in enumerate(shape.keys, 1):
            kind = p4i.MatchField.LPM if table_name in _LPM else p4i.MatchField.EXACT
            table.match_fields.add(id=number, name=key, bitwidth=32, match_type=kind)
        for name, params in shape.actions.items():
            if name not in actions:
                action = info.actions.add()
                actions[name] = action.preamble.id = 0x01000000 + next(ids)
                action.preamble.name = f"Ingress.stage.{name}"
                action.preamble.alias = name
                for number, param in enumerate(params, 1):
                    action.params.add(id=number, name=param, bitwidth=48)
            table.action_refs.add(id=actions[name])
    for alias in ("drops", "events", "service_syns"):
        counter = info.counters.add()
        counter.preamble.id = 0x12000000 + next(ids)
        counter.preamble.name = counter.preamble.alias = alias
    for alias in ("syn_meter", "punt_meter"):
        meter = info.meters.add()
        meter.preamble.id = 0x14000000 + next(ids)
        meter.preamble.name = meter.preamble.alias = alias
    for alias in DIGESTS:
        digest = info.digests.add()
        digest.preamble.id = 0x17000000 + next(ids)
        digest.preamble.name = digest.preamble.alias = alias
    for name, fields in (("packet_in", PuntHeader._fields), ("packet_out", PACKET_OUT_FIELDS)):
        header = info.controller_packet_metadata.add()
        header.preamble.id = 0x04000000 + next(ids)
        header.preamble.name = header.preamble.alias = name
        for number, field in enumerate(fields, 1):
            header.metadata.add(id=number, name=field, bitwidth=32)
    return info


class FakeSwitch(p4r_grpc.P4RuntimeServicer):
    """One device on a unix socket. `entries` is what its tables hold, by the key's bytes."""

    def __init__(self, path: str, device_id: int = 1) -> None:
        self.address = f"unix:{path}"
        self.device_id = device_id
        self.info = make_p4info()
        self.cookie: int | None = None
        self.pushes = 0
        self.entries: dict[bytes, p4r.Entity] = {}
        self.meters: dict[tuple[int, int], p4r.Entity] = {}
        self.log: list[tuple[str, Any]] = []
        self.packets_out: list[tuple[int, int, bytes]] = []
        self.acks: list[int] = []
        self.elapsed_ns = 0
        self.beats = 0
        self.syns = 0  # of the first service; cell 0 of every counter
        self.write_gate = asyncio.Event()
        self.write_gate.set()
        self.refuse: Callable[[p4r.Update], int] = lambda _: rpc_code.OK
        self.read_filter: Callable[[p4r.Entity], bool] = lambda _: True
        self._primary: int | None = None
        self._streams: dict[int, asyncio.Queue[p4r.StreamMessageResponse | None]] = {}
        self._watchers: list[asyncio.Queue[p4r.StreamMessageResponse | None]] = []  # without an id
        self._highest = 0
        self._server: grpc.aio.Server | None = None

    # --- life

    async def start(self) -> None:
        self._server = grpc.aio.server()
        p4r_grpc.add_P4RuntimeServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
        self._streams.clear()
        self._watchers.clear()
        self._primary, self._highest = None, 0

    def lose_state(self) -> None:
        """As after a cold restart."""
        self.entries.clear()
        self.meters.clear()
        self.cookie = None

    # --- what a test does

    def table(self, name: str) -> list[p4r.TableEntry]:
        [table_id] = [t.preamble.id for t in self.info.tables if t.preamble.alias == name]
        return [
            e.table_entry
            for e in self.entries.values()
            if e.HasField("table_entry") and e.table_entry.table_id == table_id
        ]

    def params(self, name: str) -> list[tuple[int, ...]]:
        """The action parameters of a table's entries, in the order of their keys."""
        rows = sorted(self.table(name), key=lambda e: [m.exact.value for m in e.match])
        return [tuple(int.from_bytes(p.value, "big") for p in row.action.action.params) for row in rows]

    def punt(self, header: PuntHeader, frame: bytes) -> None:
        message = p4r.StreamMessageResponse()
        message.packet.payload = frame
        for number, value in enumerate(header, 1):
            message.packet.metadata.add(
                metadata_id=number, value=value.to_bytes(4, "big").lstrip(b"\0") or b"\0"
            )
        self.send(message)

    def digest(self, list_id: int, *members: tuple[int, ...], v6: bool = False) -> None:
        message = p4r.StreamMessageResponse()
        message.digest.digest_id = self.info.digests[int(v6)].preamble.id
        message.digest.list_id = list_id
        for values in members:
            data = message.digest.data.add()
            for value in values:
                data.struct.members.add().bitstring = value.to_bytes(16, "big").lstrip(b"\0") or b"\0"
        self.send(message)

    def idle(self, entry: p4r.TableEntry) -> None:
        message = p4r.StreamMessageResponse()
        message.idle_timeout_notification.table_entry.add().CopyFrom(entry)
        self.send(message)

    def send(self, message: p4r.StreamMessageResponse) -> None:
        assert self._primary is not None, "no controller is connected"
        self._streams[self._primary].put_nowait(message)

    # --- P4Runtime

    async def Capabilities(self, request: Any, context: Any) -> p4r.CapabilitiesResponse:  # noqa: N802
        return p4r.CapabilitiesResponse(p4runtime_api_version="1.4.1")

    async def StreamChannel(  # noqa: N802
        self, requests: AsyncIterator[p4r.StreamMessageRequest], context: Any
    ) -> AsyncIterator[p4r.StreamMessageResponse]:
        queue: asyncio.Queue[p4r.StreamMessageResponse | None] = asyncio.Queue()
        mine: list[int] = []
        reader = asyncio.ensure_future(self._read_stream(requests, queue, mine, context))
        try:
            while (message := await queue.get()) is not None:
                yield message
            await reader
        finally:
            reader.cancel()
            self._watchers = [watcher for watcher in self._watchers if watcher is not queue]
            for election_id in mine:
                self._streams.pop(election_id, None)
                if self._primary == election_id:
                    self._primary = None
                    self._tell_all(rpc_code.NOT_FOUND)

    async def _read_stream(
        self,
        requests: AsyncIterator[p4r.StreamMessageRequest],
        queue: asyncio.Queue[p4r.StreamMessageResponse | None],
        mine: list[int],
        context: Any,
    ) -> None:
        try:
            async for request in requests:
                kind = request.WhichOneof("update")
                if kind == "arbitration":
                    await self._arbitrate(request.arbitration, queue, mine, context)
                elif kind == "packet":
                    mode, port, _ = (int.from_bytes(m.value, "big") for m in request.packet.metadata)
                    frame = request.packet.payload
                    self.packets_out.append((mode, port, frame))
                    self.log.append(("packet", frame))
                elif kind == "digest_ack":
                    self.acks.append(request.digest_ack.list_id)
        finally:
            queue.put_nowait(None)

    async def _arbitrate(
        self,
        bid: p4r.MasterArbitrationUpdate,
        queue: asyncio.Queue[p4r.StreamMessageResponse | None],
        mine: list[int],
        context: Any,
    ) -> None:
        if bid.device_id != self.device_id:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"device {bid.device_id} is not here")
        if not bid.HasField("election_id"):
            self._watchers.append(queue)
            self._tell_all(rpc_code.ALREADY_EXISTS if self._primary else rpc_code.NOT_FOUND)
            return
        election_id = bid.election_id.low
        if election_id in self._streams and election_id not in mine:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "election id is used by another stream")
        for old in mine:
            self._streams.pop(old, None)
        mine[:] = [election_id]
        self._streams[election_id] = queue
        if election_id >= self._highest:
            self._highest = election_id
            self._primary = election_id
        self._tell_all(rpc_code.ALREADY_EXISTS if self._primary else rpc_code.NOT_FOUND)

    def _tell_all(self, backup_code: int) -> None:
        for election_id, queue in [*self._streams.items(), *((None, queue) for queue in self._watchers)]:
            message = p4r.StreamMessageResponse()
            message.arbitration.device_id = self.device_id
            message.arbitration.election_id.low = self._highest
            primary = election_id is not None and election_id == self._primary
            message.arbitration.status.code = rpc_code.OK if primary else backup_code
            queue.put_nowait(message)

    async def GetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        reply = p4r.GetForwardingPipelineConfigResponse()
        if self.cookie is not None:
            reply.config.cookie.cookie = self.cookie
        return reply

    async def SetForwardingPipelineConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._need_primary(request, context)
        self.lose_state()
        self.cookie = request.config.cookie.cookie
        self.pushes += 1
        return p4r.SetForwardingPipelineConfigResponse()

    async def _need_primary(self, request: Any, context: Any) -> None:
        if request.device_id != self.device_id or request.election_id.low != self._primary:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not primary")

    async def Write(self, request: p4r.WriteRequest, context: Any) -> p4r.WriteResponse:  # noqa: N802
        await self.write_gate.wait()
        await self._need_primary(request, context)
        codes = [self._apply(update) for update in request.updates]
        if any(code != rpc_code.OK for code in codes):
            status = rpc_status.Status(code=rpc_code.UNKNOWN, message="some updates failed")
            for code in codes:
                detail = AnyMessage()
                detail.Pack(p4r.Error(canonical_code=code, message=f"code {code}"))
                status.details.append(detail)
            trailer = (("grpc-status-details-bin", status.SerializeToString()),)
            await context.abort(grpc.StatusCode.UNKNOWN, "some updates failed", trailer)
        return p4r.WriteResponse()

    def _apply(self, update: p4r.Update) -> int:
        code = self.refuse(update)
        if code != rpc_code.OK:
            return code
        entity = update.entity
        if entity.HasField("counter_entry"):
            self.beats = entity.counter_entry.data.packet_count
            return int(rpc_code.OK)
        self.log.append(("write", update))
        if entity.HasField("meter_entry"):
            self.meters[entity.meter_entry.meter_id, entity.meter_entry.index.index] = entity
            return int(rpc_code.OK)
        key = _key(entity)
        default = entity.HasField("table_entry") and entity.table_entry.is_default_action
        there = key in self.entries or default
        if update.type == p4r.Update.INSERT and there:
            return int(rpc_code.ALREADY_EXISTS)
        if update.type != p4r.Update.INSERT and not there:
            return int(rpc_code.NOT_FOUND)
        if update.type == p4r.Update.DELETE:
            del self.entries[key]
        else:
            self.entries[key] = entity
        return int(rpc_code.OK)

    async def Read(self, request: p4r.ReadRequest, context: Any) -> AsyncIterator[p4r.ReadResponse]:  # noqa: N802
        for wanted in request.entities:
            reply = p4r.ReadResponse()
            if wanted.HasField("table_entry"):
                for entity in self.entries.values():
                    if not entity.HasField("table_entry") or not self.read_filter(entity):
                        continue
                    if _matches(wanted.table_entry, entity.table_entry):
                        found = reply.entities.add()
                        found.CopyFrom(entity)
                        if wanted.table_entry.HasField("time_since_last_hit"):
                            found.table_entry.time_since_last_hit.elapsed_ns = self.elapsed_ns
            elif wanted.HasField("meter_entry"):
                cell = (wanted.meter_entry.meter_id, wanted.meter_entry.index.index)
                reply.entities.append(self.meters.get(cell, wanted))
            elif wanted.counter_entry.HasField("index"):
                found = reply.entities.add()
                found.CopyFrom(wanted)
                found.counter_entry.data.packet_count = self.beats
            elif wanted.HasField("counter_entry"):
                for index in range(4):
                    found = reply.entities.add()
                    found.counter_entry.counter_id = wanted.counter_entry.counter_id
                    found.counter_entry.index.index = index
                    found.counter_entry.data.packet_count = index * 10 or self.syns
            yield reply


def _key(entity: p4r.Entity) -> bytes:
    if entity.HasField("digest_entry"):
        return b"digest%d" % entity.digest_entry.digest_id
    row = entity.table_entry
    key = p4r.TableEntry(
        table_id=row.table_id, match=row.match, priority=row.priority, is_default_action=row.is_default_action
    )
    return key.SerializeToString(deterministic=True)


def _matches(wanted: p4r.TableEntry, entry: p4r.TableEntry) -> bool:
    if wanted.table_id != entry.table_id or wanted.is_default_action != entry.is_default_action:
        return False
    return not wanted.match or list(wanted.match) == list(entry.match)
