# SPDX-License-Identifier: Apache-2.0
"""Clients, a server, three switches and a controller under a schedule.

`choose(n)` gives the schedule's next decision, a number below n: from a seed, or from hypothesis, which then
finds a shorter schedule that fails as well. One decision is one step; invariants are checked after each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

from controller.config import ControllerConfig
from controller.dataplane import End, Phase, PuntHeader
from controller.logic.coordinator import Coordinator
from controller.logic.keys import KeyRing
from controller.logic.model import MASK32, Key
from controller.packets import SYN

from . import hosts
from .control import Control
from .hosts import Connection, Tcp
from .invariants import PATIENCE, Invariants
from .packets import Packet, beyond
from .switch import Switch

Choose = Callable[[int], int]
Move = Callable[[], None]
MODES: Final = ("all", "quorum", "local")
TROUBLE: Final = ("none", "network", "everything")
LIFETIME: Final = 20.0  # seconds: no segment lives longer
_CLIENT, _SERVER, _PORT = 0xC6336401, 0xCB00710A, 80
_NAMES = ("a", "b", "c")
_CONNECTIONS, _WRITES, _WIRE = 3, 2, 32
_WAITS = (*(0.005,) * 8, *(0.02,) * 6, *(0.1,) * 6, *(0.25,) * 4, 0.5, 1.0, 1.0, 2.0, 6.0, 20.0, 70.0, 400.0)


def _make_config(sync: str) -> ControllerConfig:
    port = {"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}
    return ControllerConfig.model_validate(
        {
            "program": {"p4": "program.p4"},
            "switches": [{"name": n, "address": f"unix:/{n}", "ports": [port]} for n in _NAMES],
            "services": [{"name": "web", "address": "203.0.113.10", "port": _PORT, "sync": sync}],
            "limits": {"flows": 3, "packets_per_flow": 3, "bytes_per_flow": 1514, "bytes_total": 2000},
        }
    )


_CONFIGS = {sync: _make_config(sync) for sync in MODES}


class Parts(NamedTuple):
    """What is put to the test. Tests put wrong ones in its place."""

    coordinator: Callable[[ControllerConfig], Coordinator] = Coordinator
    ring: Callable[[float, Callable[[], tuple[int, int]]], KeyRing] = KeyRing


class World:
    """`log` is told what happens, a line for each step."""

    def __init__(
        self,
        choose: Choose,
        *,
        sync: str | None = None,
        trouble: str | None = None,
        parts: Parts = Parts(),  # noqa: B008  # immutable
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.choose = choose
        self.sync = sync or MODES[choose(3)]
        self.trouble = trouble or TROUBLE[choose(3)]
        self.now = 100.0
        self.losses = 0
        self.longest_wait = 0.0
        self._began: dict[int, float] = {}  # when clients did, by their ISNs
        self._closed: dict[int, float] = {}  # and when they had closed
        self._shifted = float("-inf")  # when routes changed last
        self._still = 0.0  # until when they may not
        self.anew: set[int] = set()  # ISNs of clients that did not await what became of their last handshake
        self.clients: dict[Key, list[Connection]] = {}
        self.servers: dict[Key, Connection] = {}
        self.answers: dict[tuple[Key, int], int] = {}  # the server's ISN by the client's
        self.checks = Invariants(self)
        self._log = log
        self._parts = parts
        self._numbers = count(1)
        self._keys: list[Key] = [(_CLIENT, _SERVER, port, _PORT) for port in (40000, 40001)]
        self.clients = {key: [] for key in self._keys}
        self._to_switch: list[Packet] = []
        self._to_host: list[tuple[Packet, str, bool]] = []  # by which switch, and whether from the controller
        self._astray: list[Packet] = []  # copies that come late: when their tuple is used again
        self._sending = False
        self._entry, self._exit = "a", "b"
        self._speaks_first = False
        self._broken: set[str] = set()
        self.switches = {
            name: Switch(name, self.checks, self._leaves, self._punted, self._ended) for name in _NAMES
        }
        self.control = self._new_control()
        for name in _NAMES:
            self.control.connect(name)
        while not self.control.quiet():
            for move in self._control_moves():
                move()

    def _new_control(self) -> Control:
        return Control(
            _CONFIGS[self.sync],
            self.switches,
            self.checks,
            lambda: self.now,
            lambda: (next(self._numbers), 0),
            self._parts.coordinator,
            self._parts.ring,
        )

    def _isn(self) -> int:
        """ISNs far apart from one another."""
        return (next(self._numbers) * 0x9E3779B1) & MASK32

    def whole(self, name: str) -> bool:
        """Whether a switch is what the controller believes: not restarted behind its back."""
        return name not in self._broken

    def has_moved(self, client: Connection) -> bool:
        """Whether routes have changed since this client began."""
        return self._shifted >= self._began[client.isn]

    def connection_of(self, packet: Packet) -> Connection | None:
        """The client's end of a packet's connection, by the number that is never translated."""
        number = packet.seq if packet.to_server else packet.ack
        for end in reversed(self.clients[packet.key]):
            if beyond(number, end.isn) is not None:
                return end
        return None

    # --- packets ----------------------------------------------------------------------------------

    def _leaves(self, name: str, packet: Packet) -> None:
        self._to_host.append((packet, name, self._sending))

    def _send(self, packet: Packet) -> None:
        self._to_switch.append(packet)

    def _punted(self, name: str, header: PuntHeader, packet: Packet) -> None:
        self.control.punt(name, header, packet)

    def _ended(self, name: str, key: Key, end: End, version: int) -> None:
        self.control.digest(name, key, end, version)

    def _at_switch(self, index: int) -> None:
        packet = self._to_switch.pop(index)
        if self.trouble != "none" and not self.choose(3):
            self._astray.append(packet)
        name = self._entry if packet.to_server else self._exit
        self._tell(name, "gets", packet)
        self.switches[name].arrive(packet, self.now)

    def _at_host(self, index: int) -> None:
        packet, via, sent = self._to_host.pop(index)
        self._tell("a host gets", packet, "by", "the controller and" if sent else "", via)
        if packet.to_server:
            self._server_takes(packet, via, sent)
        else:
            self._client_takes(packet)

    def _client_takes(self, packet: Packet) -> None:
        end = self.clients[packet.key][-1]
        self.checks.client_takes(end, packet)
        hosts.client_takes(end, packet)

    def _server_takes(self, packet: Packet, via: str, sent: bool) -> None:
        end = self.servers.get(packet.key)
        if packet.flags & SYN:
            self._server_takes_syn(end, packet)
            return
        if end is not None and end.state is not Tcp.CLOSED:
            self.checks.server_takes(end, packet)
        before = None if end is None else end.state
        told = hosts.server_takes(end, packet, self._send)
        if end is not None and before is Tcp.SYN_RCVD and end.state is Tcp.ESTABLISHED:
            self.checks.server_may_speak(end, via, sent=sent)
            if self._speaks_first:
                end.write()
        if told and end is not None and end.writable and len(end.sent) < _WRITES:
            end.write()

    def _server_takes_syn(self, end: Connection | None, packet: Packet) -> None:
        known = (packet.key, packet.seq) in self.answers
        if end is not None and end.state is not Tcp.CLOSED:
            if end.state is Tcp.SYN_RCVD and end.peer_isn == packet.seq:
                end.repeat()
            else:
                end.acknowledge()  # a challenge ACK (RFC 5961 section 4)
        elif not known:  # an old duplicate is none of a new connection: it is within the segment lifetime
            isn = self.answers[packet.key, packet.seq] = self._isn()
            self.servers[packet.key] = hosts.server(packet, isn, self._send)

    # --- the schedule -----------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """So many steps of the schedule, then all comes to rest."""
        for _ in range(steps):
            moves = self._moves()
            moves[self.choose(len(moves))]()
            self._check()
        self._settle()

    def _tell(self, *what: object) -> None:
        if self._log is not None:
            self._log(f"{self.now:9.3f} {' '.join(str(part) for part in what)}")

    def _check(self) -> None:
        self.checks.sessions_are_known()
        self.checks.state_is_bounded()
        self.checks.cookies_count()

    def _moves(self) -> list[Move]:
        moves: list[Move] = [self._wait]
        moves += self._host_moves()
        moves += 2 * self._control_moves()
        moves += 4 * self._wire_moves()
        if self.trouble != "none":
            moves.append(self._disturb_wire)
            if self.now >= self._still:
                moves.append(self._shift)
        moves += [partial(self._comes_late, p) for p in self._astray if self._is_late(p)]
        if self.trouble == "everything":
            moves.append(self._fault)
        return moves

    def _wire_moves(self) -> list[Move]:
        """Any of the oldest packets may be the next to arrive."""
        moves: list[Move] = [partial(self._at_switch, i) for i in range(min(2, len(self._to_switch)))]
        return moves + [partial(self._at_host, i) for i in range(min(2, len(self._to_host)))]

    def _control_moves(self) -> list[Move]:
        moves: list[Move] = []
        for name, link in self.control.links.items():
            if link.writes:
                moves.append(partial(self._carry_out, name))
            if link.outcomes:
                moves.append(partial(self._hear, name))
            if link.packets_out:
                moves.append(partial(self._packets_out, name))
            if link.said:
                moves.append(partial(self._listen, name))
            if self.control.may_read(name):
                moves.append(partial(self.control.read_back, name))
            if link.stage == "down":
                moves.append(partial(self._connect, name))
        return moves

    def _carry_out(self, name: str) -> None:
        self._tell(name, "writes", self.control.links[name].writes[0])
        self.control.carry_out(name)

    def _hear(self, name: str) -> None:
        self._tell(name, "confirms", self.control.links[name].outcomes[0][0])
        self.control.hear_outcome(name)

    def _packets_out(self, name: str) -> None:
        self._tell(name, "gets packet-outs")
        self._sending = True
        self.control.send_packets(name)
        self._sending = False

    def _listen(self, name: str) -> None:
        self._tell(name, "is heard")
        self.control.links[name].said.popleft()()

    def _connect(self, name: str) -> None:
        self._tell(name, "is connected")
        self._broken.discard(name)
        self.control.connect(name)

    def _wait(self) -> None:
        self._pass_time(_WAITS[self.choose(len(_WAITS))])

    def _pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.longest_wait = max(self.longest_wait, seconds)
        self._tell(seconds, "s pass")
        if seconds >= LIFETIME:
            self._to_switch.clear()
            self._to_host.clear()
            self._astray.clear()
        for name, switch in self.switches.items():
            if keys := switch.idle_rows(self.now):
                self.control.idle(name, keys)
        self.control.tick()

    # --- hosts ------------------------------------------------------------------------------------

    def _host_moves(self) -> list[Move]:
        if len(self._to_switch) + len(self._to_host) > _WIRE:
            return []
        moves: list[Move] = []
        for key in self._keys:
            ends = self.clients[key]
            if (not ends or self._is_over(ends[-1])) and len(ends) < _CONNECTIONS:
                moves += [partial(self._open, key)] * 2
            for end in (ends[-1] if ends else None, self.servers.get(key)):
                if end is None or end.state is Tcp.CLOSED:
                    continue
                moves.append(end.repeat)
                if end.writable and len(end.sent) < _WRITES:
                    moves.append(end.write)
                if end.writable:
                    moves.append(partial(self._leave, end))
        return moves

    def _is_over(self, end: Connection) -> bool:
        """Whether the tuple may be used again: while its handshake is under way, if routes do not move and
        nothing fails; else when no switch takes it for open (docs/invariants.md, "Assumptions").
        """
        key, core = end.key, self.control.core
        if end.state is not Tcp.CLOSED:
            return False
        closed = self._closed.setdefault(end.isn, self.now)
        fails = self.trouble == "everything" or self.has_moved(end)
        if fails and not self._came_about(end) and self.now - closed < LIFETIME:
            return False
        if (flow := core.flows.get(key)) is not None:
            return self.trouble == "none" and flow.isn == end.isn
        session = core.sessions.get(key)
        removed = session is None and self.trouble == "none"  # a slow switch may still hold it
        switches = [self.switches[self._entry]] if removed else list(self.switches.values())
        rows = [switch.table.get(key) for switch in switches]
        if any(row is not None and row.entry.phase == Phase.OPEN for row in rows):
            return False
        if session is not None:
            return not session.open and session.entry.isn == end.isn
        links = self.control.links
        unheard = any(link.said or (link.writes and not removed) for link in links.values())
        unheard = unheard or bool(links[self._entry].writes)
        return not unheard and all(packet.key != key for packet in self._to_switch)

    def _open(self, key: Key) -> None:
        self._tell(f"port {key[2]} connects")
        self._speaks_first = bool(self.choose(2))
        isn = self._isn()
        self._began[isn] = self.now
        if self.clients[key] and not self._came_about(self.clients[key][-1]):
            self._still = self.now + LIFETIME
        if self.control.core.flows.get(key) is not None:
            self.anew.add(isn)
        self.clients[key].append(hosts.client(key, isn, self._send))

    def _came_about(self, client: Connection) -> bool:
        """Whether the server has, or had, the client's connection: its handshake is over."""
        server = self.servers.get(client.key)
        return server is not None and server.peer_isn == client.isn and server.state is not Tcp.SYN_RCVD

    def _leave(self, end: Connection) -> None:
        if self.choose(4):
            end.close()
        else:
            end.abort()

    # --- trouble ----------------------------------------------------------------------------------

    def _shift(self) -> None:
        """The Internet's routes change."""
        name = _NAMES[self.choose(3)]
        if self.choose(2):
            self._entry = name
        else:
            self._exit = name
        self._shifted = self.now
        self._tell(f"entry {self._entry}, exit {self._exit}")

    def _disturb_wire(self) -> None:
        wire: list[Any] = self._to_switch if self.choose(2) else self._to_host
        if wire:
            index = self.choose(len(wire))
            if self.choose(3):
                self._tell("lost:", wire.pop(index))
            else:
                wire.append(wire[index])

    def _is_late(self, packet: Packet) -> bool:
        return self.connection_of(packet) is not self.clients[packet.key][-1]

    def _comes_late(self, packet: Packet) -> None:
        self._astray.remove(packet)
        self._to_switch.insert(0, packet)

    def _fault(self) -> None:
        if self.choose(4):
            return  # faults are rarer than steps
        name = _NAMES[self.choose(3)]
        kind = self.choose(5)
        link = self.control.links[name]
        if kind == 0 and link.writes:
            reason = ("full", "wrong")[self.choose(2)]
            self._tell(f"{name} refuses {link.writes[0]}: {reason}")
            self.control.carry_out(name, reason)
            self.losses += 1
        elif kind == 1:
            self._tell(f"{name} restarts")
            self.switches[name].restart()
            self._broken.add(name)
            self._lose_later(name)
        elif kind == 2:
            self._tell(f"{name} is cut off")
            self._carry_out_some(name)
            self.losses += 1
            self.control.lose(name)
        elif kind == 3 and self.choose(2):
            self._restart_controller()
        elif kind == 4:
            self._entry = self._exit = name

    def _lose_later(self, name: str) -> None:
        """The controller learns of a restart when the stream breaks; what it writes until then is lost."""
        link = self.control.links[name]
        for queue in (link.writes, link.outcomes, link.packets_out, link.said):
            queue.clear()
        self.losses += 1
        self.control.lose(name)

    def _carry_out_some(self, name: str) -> None:
        """Of what is under way to a switch some is carried out, though nobody hears of it any more."""
        link = self.control.links[name]
        for _ in range(self.choose(len(link.writes) + 1)):
            self.control.carry_out(name)

    def _restart_controller(self) -> None:
        self._tell("the controller restarts")
        for name, link in self.control.links.items():
            if link.stage != "down":
                self._carry_out_some(name)
        for switch in self.switches.values():
            switch.in_service = False
        self.losses += 1
        self.control = self._new_control()

    # --- the end ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """No more trouble: everything is delivered, everybody ends, and time passes."""
        self._tell("--- to rest")
        self._astray.clear()
        results = self.control.core.results
        for _ in range(40):
            self._deliver_all()
            if not self._unfinished():
                break
            for end in self._ends():
                if not end.complete or end.state is not Tcp.ESTABLISHED:
                    end.repeat()
            self._deliver_all()
            self._pass_time(0.5)
        if not self.losses and self.longest_wait < PATIENCE and not results["barrier_timeout"]:
            self.checks.everybody_got_through(quiet=self.trouble == "none" and not results["server_silent"])
        for end in self._ends():
            if end.writable:
                end.close()
        for seconds in (*(0.5,) * 4, *(20.0,) * 8, *(65.0,) * 12):
            self._deliver_all()
            if seconds < 1:
                for end in self._ends():
                    end.repeat()
            self._pass_time(seconds)
        self._deliver_all()
        self.checks.nothing_is_left()

    def _ends(self) -> list[Connection]:
        ends = [ends[-1] for ends in self.clients.values() if ends] + list(self.servers.values())
        return [end for end in ends if end.state is not Tcp.CLOSED]

    def _unfinished(self) -> bool:
        return any(not end.complete or end.state is not Tcp.ESTABLISHED for end in self._ends())

    def _deliver_all(self) -> None:
        for _ in range(2000):
            moves = self._control_moves() + self._wire_moves()
            if not moves:
                return
            moves[0]()
            self._check()
        raise AssertionError("packets go round and round")
