# SPDX-License-Identifier: Apache-2.0
"""What must hold after every step, whatever the schedule: docs/invariants.md, by number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.dataplane import Phase
from controller.logic.keys import CookieKey
from controller.logic.model import MASK32, Entry, Key
from controller.logic.sessions import newer
from controller.packets import ACK, FIN, RST, SYN

from .control import Job
from .hosts import Connection, Tcp
from .packets import Packet, beyond
from .switch import HOLD_TIME, PENDING_TIME, Switch

if TYPE_CHECKING:
    from .world import World


PATIENCE = 5.0
"""Seconds: within which everything goes well that nothing disturbs."""


class Violation(AssertionError):  # noqa: N818  # an invariant is violated; nothing went wrong in the test
    """`number`: which invariant."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"invariant {number}: {text}")
        self.number = number


@dataclass(slots=True)
class _Queue:
    """What a switch holds back of one connection: where each segment ends, behind the client's ISN."""

    began: float
    reach: int = 0
    ends: list[int] = field(default_factory=list)


class Invariants:
    """Observes switches, writes and hosts of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._queues: dict[tuple[str, Key, int], _Queue] = {}
        self._used: dict[CookieKey, float] = {}  # when a switch in service last made cookies with it

    # --- 1: the barrier ---------------------------------------------------------------------------

    def server_may_speak(self, end: Connection, via: str, *, sent: bool) -> None:
        """The server has the ACK of its SYN/ACK: who must know the session by now?

        `via`: the switch that it left; `sent`: by the controller.
        """
        world = self._world
        control = world.control
        delta = self._delta(end.key, end.peer_isn)
        session = world.control.core.sessions.get(end.key)
        if session is None or not session.open or session.entry.delta != delta:
            return  # it was taken back while the ACK was on its way
        if not sent and via != session.ingress:
            return  # the routes moved within the handshake, to a switch that has the session
        if not sent and world.longest_wait >= PENDING_TIME and control.core.flows.get(end.key) is not None:
            return  # the ingress has forgotten that the client is to wait
        counting = [
            link.switch for name, link in control.links.items() if link.stage == "up" and world.whole(name)
        ]
        having = [s for s in counting if self._knows(s, end.key, delta)]
        sync = world.sync
        if sync == "all" and len(having) < len(counting):
            missing = ", ".join(s.name for s in counting if s not in having)
            raise Violation(1, f"the server may speak, but {missing} has no session")
        if sync == "quorum" and counting and not world.losses and len(having) <= len(counting) // 2:
            raise Violation(1, f"the server may speak, but {len(having)} of {len(counting)} have the session")

    @staticmethod
    def _knows(switch: Switch, key: Key, delta: int | None) -> bool:
        row = switch.table.get(key)
        return row is not None and row.entry.phase != Phase.AWAITED and row.entry.delta == delta

    # --- 2: versions ------------------------------------------------------------------------------

    def before_write(self, switch: Switch, job: Job) -> None:
        if job.key is None:
            return
        row = switch.table.get(job.key)
        if row is not None and newer(row.entry.version, job.version):
            what = "removes" if job.entry is None else "replaces"
            raise Violation(
                2, f"at {switch.name} a write of version {job.version} {what} {row.entry.version}"
            )
        if job.entry is not None and job.entry.phase == Phase.AWAITED and self._is_alive(job.key, job.entry):
            raise Violation(9, f"at {switch.name} the session of port {job.key[2]} makes room for another")

    def _is_alive(self, key: Key, entry: Entry) -> bool:
        """Whether both ends have the connection of this session now."""
        client, server = self._world.clients[key][-1], self._world.servers.get(key)
        return (
            client.state is Tcp.ESTABLISHED
            and server is not None
            and server.state is Tcp.ESTABLISHED
            and server.peer_isn == client.isn
            and self._delta(key, client.isn) == entry.delta
        )

    # --- 4: translation ---------------------------------------------------------------------------

    def translated(self, switch: Switch, packet: Packet, entry: Entry) -> None:
        """A packet of connection i meets the entry of connection j: i = j."""
        if packet.flags & SYN or not packet.flags & ACK:
            return
        mine = self._world.connection_of(packet)
        if mine is None:
            raise Violation(4, f"at {switch.name} nobody's packet is translated: {packet}")
        if packet.to_server and packet.length and entry.phase == Phase.OPEN:
            self._goes_on(switch, packet, mine)
        if entry.delta == self._delta(packet.key, mine.isn):
            return
        if not self._is_anew(mine, packet) and not self._is_unheard_of(mine, packet):
            raise Violation(4, f"at {switch.name} another session's Δ translates {packet}")

    # --- 10: order --------------------------------------------------------------------------------

    def held_back(self, switch: Switch, packet: Packet) -> None:
        """A switch has sent a client's segment to the controller, behind which the next ones have to wait."""
        world = self._world
        mine = world.connection_of(packet)
        end = None if mine is None else beyond(packet.end, mine.isn)
        if mine is None or end is None:
            return
        queue = self._queues.setdefault((switch.name, mine.key, mine.isn), _Queue(world.now))
        if end > queue.reach and (packet.length or packet.flags & FIN):
            queue.reach = end
            queue.ends.append(end)

    def _goes_on(self, switch: Switch, packet: Packet, client: Connection) -> None:
        """No segment that was held back is overtaken by another one that begins behind it.

        For a second, that is; what was shed is lost, and after a change of routes copies may be elsewhere.
        """
        world = self._world
        queue = self._queues.get((switch.name, client.key, client.isn))
        start, end = beyond(packet.seq, client.isn), beyond(packet.end, client.isn)
        if queue is None or start is None or end is None:
            return
        for_long = world.now - queue.began >= HOLD_TIME
        lost = world.trouble == "everything" or world.control.core.flows.shed.total() > 0
        if not (lost or world.has_moved(client) or for_long) and any(held <= start for held in queue.ends):
            raise Violation(10, f"at {switch.name} this overtakes what was held back: {packet}")
        queue.reach = max(queue.reach, end)
        queue.ends = [held for held in queue.ends if held > end]

    # --- 4: translation, of numbers ---------------------------------------------------------------

    def _delta(self, key: Key, isn: int) -> int | None:
        """k - r of the connection with this ISN of the client."""
        for client in self._world.clients[key]:
            if client.isn == isn:
                server = self._world.answers.get((key, isn))
                return None if server is None else (client.peer_isn - server) & MASK32
        return None

    def _is_anew(self, client: Connection, packet: Packet) -> bool:
        """Whether it began while the tuple's last handshake was under way, and the switch could not know:
        it has forgotten that, or has heard nothing of this one but a RST.
        """
        forgotten = self._world.longest_wait >= PATIENCE
        return client.isn in self._world.anew and (forgotten or bool(packet.flags & RST))

    def _is_unheard_of(self, client: Connection, packet: Packet) -> bool:
        """Whether a client takes back what nobody knows that it has begun: its proof has not arrived."""
        return bool(packet.flags & RST) and (client.key, client.isn) not in self._world.answers

    def client_takes(self, end: Connection, packet: Packet) -> None:
        """What reaches a client is in its own space."""
        if end.state is not Tcp.ESTABLISHED or packet.flags & SYN:
            return
        if packet.is_ack and (packet.seq - end.peer_isn - 1) & MASK32 == 1 << 31:
            return  # the controller asks which connection it has (controller/logic/doubts.py)
        of = self._world.connection_of(packet) if packet.flags & ACK else None
        if of is end and beyond(packet.seq, end.peer_isn) is None and not self._is_anew(end, packet):
            raise Violation(4, f"the client is given a number that is not its own: {packet}")

    def server_takes(self, end: Connection, packet: Packet) -> None:
        """What reaches a server is in its own space."""
        if packet.flags & SYN or not packet.flags & ACK or beyond(packet.seq, end.peer_isn) is None:
            return
        of = self._world.connection_of(packet)
        if beyond(packet.ack, end.isn) is None and not (of is not None and self._is_anew(of, packet)):
            raise Violation(4, f"the server is given a number that is not its own: {packet}")

    # --- 5: known everywhere ----------------------------------------------------------------------

    def sessions_are_known(self) -> None:
        """Every open session past its barrier is in every switch that is in service (sync: all)."""
        world = self._world
        core = world.control.core
        if world.sync != "all":
            return
        for session in core.sessions.values():
            if not session.open or core.flows.get(session.key) is not None:
                continue
            for name, link in world.control.links.items():
                if link.stage != "up" or not world.whole(name):
                    continue
                if not self._knows(link.switch, session.key, session.entry.delta):
                    raise Violation(5, f"{name} is in service and lacks a session of port {session.key[2]}")

    # --- 6: bounds --------------------------------------------------------------------------------

    def state_is_bounded(self) -> None:
        core, limits = self._world.control.core, self._world.control.config.limits
        flows = core.flows.values()
        if len(flows) > limits.flows or any(
            len(f.held) > limits.packets_per_flow or f.held_bytes > limits.bytes_per_flow for f in flows
        ):
            raise Violation(6, "more is held than the limits allow")
        if core.flows.held_bytes != sum(f.held_bytes for f in flows):
            raise Violation(6, "held bytes are not counted right")
        if core.flows.held_bytes > limits.bytes_total:
            raise Violation(6, "more bytes are held than the limits allow")

    # --- 7: keys ----------------------------------------------------------------------------------

    def cookies_count(self) -> None:
        """What a switch in service makes cookies with, or did within an epoch, all of them honour."""
        world = self._world
        serving = [
            link.switch
            for name, link in world.control.links.items()
            if link.stage == "up" and world.whole(name)
        ]
        for maker in serving:
            parity = maker.parity
            key = None if parity is None else maker.keys.get(parity)
            if key is None:
                raise Violation(7, f"{maker.name} is in service and has no key")
            self._used[key] = world.now
        due = world.now - world.control.config.timers.epoch
        for key, last in list(self._used.items()):
            if last <= due:
                del self._used[key]
            elif any(switch.keys.get(key.epoch & 1) is not key for switch in serving):
                raise Violation(
                    7, f"not all honour cookies of epoch {key.epoch}, {world.now - last:.1f} s old"
                )

    def cookie_refused(self, switch: Switch, packet: Packet) -> None:
        """An honest client's first ACK is refused: only when its cookie has outlived an epoch."""
        made, world = packet.made, self._world
        client = world.clients[packet.key][-1]
        first = packet.ack == (client.peer_isn + 1) & MASK32 and packet.seq == (client.isn + 1) & MASK32
        if made is None or not first or not made.served or not world.whole(switch.name):
            return
        if world.control.links[switch.name].stage != "up":
            return
        age = world.now - made.at
        if age < world.control.config.timers.epoch:
            raise Violation(7, f"{switch.name} refuses a cookie of {made.switch}, {age:.1f} s old")

    # --- 3: the end -------------------------------------------------------------------------------

    def nothing_is_left(self) -> None:
        world = self._world
        core = world.control.core
        left = {s.name: len(s.table) for s in world.switches.values() if s.table}
        left |= {"sessions": len(core.sessions)} if len(core.sessions) else {}
        left |= {"flows": len(core.flows)} if len(core.flows) else {}
        left |= {"writes": len(core.spread)} if len(core.spread) else {}
        held = core.flows.held_bytes + core.returns.held_bytes
        left |= {"bytes": held} if held else {}
        for service in core.services.values():
            if service.sessions or service.pending:
                left |= {"counted sessions": service.sessions, "counted handshakes": service.pending}
        if left:
            raise Violation(3, f"left behind: {left}")

    # --- 8: it works ------------------------------------------------------------------------------

    def everybody_got_through(self, *, quiet: bool) -> None:
        """Once all is delivered: no connection hangs, and where nothing was lost or late none was reset."""
        for key, ends in self._world.clients.items():
            if not ends:
                continue
            end = ends[-1]
            server = self._world.servers.get(key)
            if end.state is Tcp.SYN_SENT:
                raise Violation(8, f"port {key[2]} gets no answer to its SYN")
            gone = server is None or server.state is Tcp.CLOSED  # it cannot tell the client so any more
            if end.state is Tcp.ESTABLISHED and not end.complete and not gone:
                raise Violation(8, f"port {key[2]} hangs: {(end.nxt - end.una) & MASK32} bytes under way")
            if (
                end.state is Tcp.ESTABLISHED
                and server is not None
                and server.peer_isn == end.isn
                and (server.state is Tcp.ESTABLISHED and not server.complete)
            ):
                raise Violation(8, f"the server of port {key[2]} hangs")
            if quiet and end.was_reset and not end.aborted and not (server is not None and server.aborted):
                raise Violation(8, f"port {key[2]} was reset though nothing failed")
