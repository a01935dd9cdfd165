# SPDX-License-Identifier: Apache-2.0
"""The controller's own work for one connection: `python -m tests.controller.hot_path [CONNECTIONS]`.

Two proven packets, the SYN/ACK, the session's entry encoded for two switches, both confirmations, the release
and the packet-outs, then the end (two FINs, removal): everything but gRPC.
"""

from __future__ import annotations

import sys
import time

from controller.dataplane import End, PuntHeader
from controller.logic.model import Effects, PacketOut, Put, Remove
from controller.p4.proto import update
from controller.p4.schema import Schema
from controller.p4.writer import DELETE, INSERT

from .fake_switch import make_p4info
from .world import SERVER, SPORT, World, X


def measure(connections: int) -> dict[str, float]:
    """Microseconds per connection, by part."""
    world = World(limits={"flows_per_source": 1_000_000, "flows": 1_000_000})
    core, schema = world.core, Schema(make_p4info())
    frames = [
        (
            (0x0A000000 + n, SERVER, 40000, SPORT),
            world.client_frame(client=0x0A000000 + n, cport=40000),
            world.client_frame(client=0x0A000000 + n, cport=40000, payload=bytes(100)),
            world.server_frame(client=0x0A000000 + n, cport=40000),
        )
        for n in range(connections)
    ]
    header = PuntHeader(1, 1, 0, X, 1460, 7, 1)
    spent = {"proven": 0.0, "syn-ack": 0.0, "encode": 0.0, "confirm": 0.0, "end": 0.0}

    def send(effects: Effects) -> None:
        packets = [effect for effect in effects if isinstance(effect, PacketOut)]
        for packet in packets:
            schema.packet_out(packet)

    def encode(effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Put):
                entity = schema.session_bytes(effect.key, effect.entry)
                for _ in effect.switches:
                    update(INSERT, entity)
            elif isinstance(effect, Remove):
                entity = schema.session_bytes(effect.key)
                for _ in effect.switches:
                    update(DELETE, entity)

    clock = time.perf_counter
    for key, ack, data, synack in frames:
        start = clock()
        send(core.punt_proven("a", header, ack, 1.0, 1.0))
        send(core.punt_proven("a", header, data, 1.0, 1.0))
        proven = clock()
        effects = core.punt_synack("b", 2, synack, 1.0, 1.0)
        shared = clock()
        encode(effects)
        encoded = clock()
        encode(core.written("b", key, 1, False, 1.0, 1.0))
        send(core.written("a", key, 1, False, 1.0, 1.0))
        confirmed = clock()
        for name, begin, end in (
            ("proven", start, proven),
            ("syn-ack", proven, shared),
            ("encode", shared, encoded),
            ("confirm", encoded, confirmed),
        ):
            spent[name] += end - begin
    if len(core.sessions) != connections:
        raise AssertionError(f"{len(core.sessions)} sessions of {connections}: {core.results}")
    start = clock()
    for key, *_ in frames:
        encode(core.end_seen(key, End.FIN_FROM_CLIENT, 1.0, 1.0))
        encode(core.end_seen(key, End.FIN_FROM_SERVER, 1.0, 1.0))
        encode(core.idle_checked({key: {"a": 60.0, "b": 60.0}}, 62.0, 62.0))
    spent["end"] = clock() - start
    return {name: seconds / connections * 1e6 for name, seconds in spent.items()}


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    result = measure(count)
    for part, microseconds in result.items():
        print(f"{part:8} {microseconds:7.1f} us")
    total = sum(result.values())
    print(f"{'total':8} {total:7.1f} us per connection: {1e6 / total:.0f}/s on one core, without gRPC")
