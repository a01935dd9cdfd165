# SPDX-License-Identifier: Apache-2.0
"""The link to one switch: connect, become primary, synchronise, serve; when it breaks, begin again."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, Final, Protocol

from controller.config import ControllerConfig, SwitchConfig
from controller.dataplane import End, PuntHeader
from controller.logic.arbitration import Arbitration, Standing
from controller.logic.keys import KeySet
from controller.logic.liveness import Liveness, SwitchState
from controller.logic.model import Entry, Key, PacketOut, Service
from controller.p4.connection import Connection
from controller.p4.errors import OK, DeposedError, IdInUseError, Outcome, SwitchError
from controller.p4.program import Program
from controller.p4.proto import p4r
from controller.p4.resync import Resync, Sessions, read_sessions
from controller.p4.schema import Row, Schema
from controller.p4.static import (
    FORWARDING_TABLES,
    PROXY_TABLES,
    changes,
    forwarding_rows,
    lacks_sessions,
    meter_cells,
)
from controller.p4.sync import (
    Held,
    enable_digests,
    ensure_program,
    read_counters,
    read_held,
    settle_keys,
    settle_meters,
    settle_rows,
    write_beat,
)
from controller.p4.writer import DELETE, INSERT, NOTHING_THERE, Job, Writer

log = logging.getLogger(__name__)

_BEATS_PER_LEASE: Final = 3
_ANSWER_LEASES: Final = 2  # in which a switch in service must answer, or in this share of the barrier's time
_ANSWER_SHARE: Final = 0.8
_SYNC_ANSWER_TIME: Final = 10.0  # seconds: while it is filled it may be slow
_NEXT_BID: Final = 0.05  # when a dead stream of ours still uses our election id
_EARLY: Final = 4096  # messages of a switch that is being synchronised; the oldest give way
_ENDS: Final = frozenset(int(end) for end in End)


class Hub(Sessions, Protocol):
    """What a link needs of the controller."""

    config: ControllerConfig
    election_id: int

    async def program(self) -> Program: ...
    async def first_seen(self, switch: str, held: Held) -> None: ...
    def adopt(self, switch: str, sessions: Sequence[tuple[Key, Entry]]) -> None: ...
    async def all_adopted(self, switch: str) -> None: ...
    def joined(self, switch: str) -> None: ...
    async def went_live(self, switch: str) -> None: ...
    def filled(self, switch: str) -> None: ...
    def lost(self, switch: str) -> None: ...
    def keys_to_hold(self) -> tuple[KeySet, int]: ...
    def proxy_rows(self, switch: str) -> list[Row]: ...
    def services(self) -> Collection[Service]: ...
    def on_punt(self, switch: str, header: PuntHeader, frame: bytes) -> None: ...
    def on_end(self, key: Key, event: int, version: int) -> None: ...
    def on_idle(self, switch: str, keys: list[Key]) -> None: ...
    def on_written(self, switch: str, job: Job, outcome: Outcome) -> None: ...


class Switch(Protocol):
    """What the hub uses of a switch, whoever is connected to it."""

    name: str
    config: SwitchConfig
    life: Liveness
    sessions: int
    dropped_out: int
    filling: bool

    @property
    def in_service(self) -> bool: ...
    def send_packets(self, packets: Sequence[PacketOut]) -> None: ...
    def put(self, job: Job) -> None: ...
    def fail(self, reason: str) -> None: ...
    async def elapsed(self, keys: Sequence[Key]) -> dict[Key, float]: ...
    async def counters(self) -> tuple[dict[int, int], dict[int, int]]: ...
    async def service_syns(self) -> dict[int, int]: ...
    async def flush(self) -> None: ...


class SwitchLink:
    """One configured switch. `sessions`: how many entries it holds; `dropped_out`: packet-outs lost;
    `filling`: it came back without sessions, and only answers SYNs until it has them.
    """

    def __init__(self, config: SwitchConfig, hub: Hub) -> None:
        self.config = config
        self.name = config.name
        self.life = Liveness(hub.config.timers)
        self.sessions = 0
        self.dropped_out = 0
        self.filling = False
        self.connection: Connection | None = None
        self._hub = hub
        self._arbitration = Arbitration()
        self._schema: Schema | None = None
        self._writer: Writer | None = None
        self._seen = False
        self._failure: asyncio.Future[None] | None = None
        self._early: deque[p4r.StreamMessageResponse] | None = None

    # --- used by the hub --------------------------------------------------------------------------

    def send_packets(self, packets: Sequence[PacketOut]) -> None:
        """Send frames through the switch, in order. What its connection cannot take is lost, and counted."""
        connection, schema = self.connection, self._schema
        for packet in packets:
            if connection is None or schema is None or not connection.send(schema.packet_out(packet)):
                self.dropped_out += 1

    def stands_by(self, reason: str, *, away: bool) -> None:
        """Before this controller leads: why the switch is not in service here; `away`: it does not answer."""
        if not self.life.waiting(reason):
            return
        if away:
            log.warning("switch %s is down: %s", self.name, reason)
        else:
            log.info("switch %s: %s", self.name, reason)

    def put(self, job: Job) -> None:
        if self._writer is not None:
            self._writer.put(job)

    def fail(self, reason: str) -> None:
        """End the connection: the switch is out of service until it is synchronised again."""
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(SwitchError(reason))

    def configure(self, config: SwitchConfig, schema: Schema | None) -> None:
        """Go on with another configuration of the switch: what it routes is written, and it is connected to
        anew if it is reached in another way now.
        """
        before, self.config = self.config, config
        if self.life.state is SwitchState.SYNCING:
            self.fail("the configuration was changed while it was synchronised")
        elif _reached(before) != _reached(config):
            self.fail("it is reached in another way now")
        elif self.in_service and schema is not None:
            for job in changes(schema, forwarding_rows(before), forwarding_rows(config)):
                self.put(job)

    async def elapsed(self, keys: Sequence[Key]) -> dict[Key, float]:
        """Seconds since the last packet of each session that the switch holds.

        Raises:
            SwitchError: it cannot be read.
        """
        if self.connection is None or self._schema is None:
            raise SwitchError("not connected")
        request: list[p4r.Entity] = []
        for key in keys:
            entity = p4r.Entity.FromString(self._schema.session_bytes(key))
            entity.table_entry.time_since_last_hit.SetInParent()
            request.append(entity)
        found: dict[Key, float] = {}
        async for entity in self.connection.read(request):
            row = entity.table_entry
            found[self._schema.session_key(row)] = row.time_since_last_hit.elapsed_ns / 1e9
        return found

    async def counters(self) -> tuple[dict[int, int], dict[int, int]]:
        """Packets by index of the counters `drops` and `events`."""
        if self.connection is None or self._schema is None:
            raise SwitchError("not connected")
        drops, events = self._schema.drops, self._schema.events
        found = await read_counters(self.connection, (drops, events))
        return found[drops], found[events]

    async def service_syns(self) -> dict[int, int]:
        """SYNs that have come, by service id.

        Raises:
            SwitchError: it cannot be read.
        """
        if self.connection is None or self._schema is None:
            raise SwitchError("not connected")
        counter_id = self._schema.service_syns
        return (await read_counters(self.connection, (counter_id,)))[counter_id]

    async def flush(self) -> None:
        """Wait until the switch has answered every write."""
        if self._writer is not None:
            await self._writer.flush()

    # --- life -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the switch in service, until cancelled.

        Raises:
            DeposedError: another controller leads.
        """
        program = await self._hub.program()
        self._schema = program.schema
        self._arbitration = Arbitration(self._hub.election_id)
        while True:
            try:
                await self._connect_and_serve(program)
            except IdInUseError:
                self._arbitration.on_stream_end(id_in_use=True)
                await asyncio.sleep(_NEXT_BID)
            except DeposedError:
                raise
            except SwitchError as err:
                await self._wait_again(str(err))
            except Exception as err:
                log.exception("switch %s: unexpected", self.name)
                await self._wait_again(f"unexpected {type(err).__name__}: {err}")

    async def _wait_again(self, reason: str) -> None:
        self._arbitration.on_stream_end(id_in_use=False)
        wait, news = self.life.lost(reason)
        if news:
            log.warning("switch %s is down: %s", self.name, reason)
        await asyncio.sleep(wait)

    async def _connect_and_serve(self, program: Program) -> None:
        address, device_id = self.config.address, self.config.device_id
        tls = self._hub.config.tls_of(self.config)
        connection = Connection(address, device_id, self._arbitration, self._on_message, tls)
        try:
            if await connection.open() is Standing.BACKUP:
                raise DeposedError(connection.backup_reason())
            self.life.connected()
            self.connection = connection
            self._writer = Writer(connection, self._on_written)
            self._failure = asyncio.get_running_loop().create_future()
            self._early = deque(maxlen=_EARLY)
            loaded = asyncio.Event()
            await _first_failure(
                connection.receive(),
                connection.transmit(),
                self._writer.run(),
                self._keep(connection, self._writer, program, loaded),
                self._beat(connection, program.schema, loaded),
                _wait(self._failure),
            )
        finally:
            self.connection = None
            self._writer = None
            self._failure = None
            self._early = None
            self._hub.lost(self.name)
            await connection.close()

    async def _keep(
        self, connection: Connection, writer: Writer, program: Program, loaded: asyncio.Event
    ) -> None:
        fresh = await ensure_program(connection, program)
        log.info("switch %s: connected, program %s", self.name, "loaded" if fresh else "is there already")
        loaded.set()
        await self._synchronise(connection, writer, program.schema, fresh)
        self.life.in_service()
        log.info("switch %s is in service: %d sessions", self.name, self.sessions)
        await asyncio.Event().wait()

    async def _beat(self, connection: Connection, schema: Schema, loaded: asyncio.Event) -> None:
        """Count heartbeats in the switch: who stands by knows that this controller lives, and it that the
        switch does."""
        await loaded.wait()
        for count in itertools.count(1):
            timers = self._hub.config.timers
            lease = timers.lease
            limit = max(_ANSWER_LEASES * lease, _ANSWER_SHARE * timers.barrier)
            limit = limit if self.in_service else _SYNC_ANSWER_TIME
            try:
                async with asyncio.timeout(limit):
                    await write_beat(connection, schema, count)
            except TimeoutError:
                raise SwitchError(f"no answer within {limit:g} s") from None
            await asyncio.sleep(lease / _BEATS_PER_LEASE)

    async def _synchronise(
        self, connection: Connection, writer: Writer, schema: Schema, loaded: bool
    ) -> None:
        hub = self._hub
        held = await read_held(connection, schema)
        if not self._seen:
            await hub.first_seen(self.name, held)
            async for portion in read_sessions(connection, schema):
                hub.adopt(self.name, portion)
            await hub.all_adopted(self.name)
            self._seen = True
        self.filling = lacks_sessions(held.rows)
        await settle_rows(connection, schema, PROXY_TABLES, hub.proxy_rows(self.name))
        await settle_meters(connection, meter_cells(schema, hub.services()), fresh=loaded)
        await enable_digests(connection, schema)
        generation = await self._settle_keys(connection, schema, held.keys)
        hub.joined(self.name)
        if self.filling:
            while generation != hub.keys_to_hold()[1]:
                generation = await self._settle_keys(connection, schema, None)
            # From here on it answers SYNs, and routes what is of no service.
            await settle_rows(connection, schema, FORWARDING_TABLES, forwarding_rows(self.config))
        early, self._early = self._early, None
        for message in early or ():
            self._on_message(message)
        await self._settle_sessions(connection, writer, schema)
        while generation != hub.keys_to_hold()[1]:
            generation = await self._settle_keys(connection, schema, None)
        # Barriers wait for it before any traffic can flow through it.
        await hub.went_live(self.name)
        self.filling = False
        # Nothing of what it was told while it was filled must come behind what it is told now.
        await writer.flush()
        rows: list[Row] = []
        while rows != hub.proxy_rows(self.name):
            rows = hub.proxy_rows(self.name)
            await settle_rows(connection, schema, PROXY_TABLES, rows)
        await settle_rows(connection, schema, FORWARDING_TABLES, forwarding_rows(self.config))
        hub.filled(self.name)

    async def _settle_keys(self, connection: Connection, schema: Schema, held: KeySet | None) -> int:
        """Have it hold the keys of now; `held`: what it holds, if that is known. Their generation."""
        if held is None:
            held = (await read_held(connection, schema)).keys
        keys, generation = self._hub.keys_to_hold()
        await settle_keys(connection, schema, keys, held)
        return generation

    async def _settle_sessions(self, connection: Connection, writer: Writer, schema: Schema) -> None:
        self.sessions = 0
        resync = Resync(self.name, self._hub, connection, writer, schema, lambda: self.sessions)
        await resync.run()
        self.sessions = resync.held

    # --- what the switch says ---------------------------------------------------------------------

    def _on_written(self, job: Job, outcome: Outcome) -> None:
        if outcome.code == OK and job.kind == INSERT:
            self.sessions += 1
        elif outcome.code == OK and job.kind == DELETE and outcome is not NOTHING_THERE:
            self.sessions = max(0, self.sessions - 1)
        self._hub.on_written(self.name, job, outcome)

    def _on_message(self, message: p4r.StreamMessageResponse) -> None:
        if self._early is not None:  # nothing can be judged before the switch's sessions are known
            self._early.append(message)
            return
        try:
            self._dispatch(message)
        except Exception:  # one message that cannot be processed must not end the connection
            log.exception("switch %s: a message could not be processed", self.name)

    def _dispatch(self, message: p4r.StreamMessageResponse) -> None:
        if self._schema is None or self.connection is None:
            return
        kind = message.WhichOneof("update")
        if kind == "packet":
            header = self._schema.punt_header(message.packet.metadata)
            self._hub.on_punt(self.name, header, message.packet.payload)
        elif kind == "digest":
            self._on_digest(message.digest)
        elif kind == "idle_timeout_notification":
            entries = message.idle_timeout_notification.table_entry
            keys = [self._schema.session_key(e) for e in entries if e.table_id in self._schema.sessions_ids]
            self._hub.on_idle(self.name, keys)
        elif kind == "error":
            log.warning("switch %s: stream error: %s", self.name, message.error.message)

    def _on_digest(self, digest: p4r.DigestList) -> None:
        if self.connection is None or self._schema is None or digest.digest_id not in self._schema.digests:
            return
        ack = p4r.StreamMessageRequest()
        ack.digest_ack.digest_id, ack.digest_ack.list_id = digest.digest_id, digest.list_id
        self.connection.send(ack.SerializeToString())
        for data in digest.data:
            client, server, client_port, server_port, event, version = (
                int.from_bytes(member.bitstring, "big") for member in data.struct.members
            )
            if event in _ENDS:
                self._hub.on_end((client, server, client_port, server_port), event, version)

    @property
    def in_service(self) -> bool:
        return self.life.state is SwitchState.IN_SERVICE


def _reached(config: SwitchConfig) -> tuple[object, ...]:
    return config.address, config.device_id, config.tls, config.server_name


async def _wait(future: asyncio.Future[None]) -> None:
    await future


async def _first_failure(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them together; when the first one ends, end the others and raise what ended it."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        await task
