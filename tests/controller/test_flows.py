# SPDX-License-Identifier: Apache-2.0
"""Everything that a client can make the controller hold is bounded."""

from __future__ import annotations

from .world import CLIENT, CPORT, KEY, SERVER, SPORT, World, X, to_client, to_server


def limits(**values: int) -> World:
    return World(limits=values)


def test_flows_in_total() -> None:
    world = limits(flows=3)
    effects = [world.proven(cport=CPORT + n) for n in range(5)]
    assert [len(e) for e in effects] == [1, 1, 1, 0, 0]
    assert world.core.flows.shed == {"flows": 2}


def test_flows_per_source() -> None:
    world = limits(flows_per_source=2)
    effects = [world.proven(cport=CPORT + n) for n in range(3)]
    assert [len(e) for e in effects] == [1, 1, 0]
    assert len(world.proven(client=CLIENT + 1)) == 1
    assert world.core.flows.shed == {"flows_per_source": 1}


def test_flows_per_service() -> None:
    """One under attack leaves room for the others."""
    web = {"name": "web", "address": "203.0.113.10", "port": SPORT}
    other = {"name": "other", "address": "203.0.113.10", "port": 81}
    world = World(limits={"flows_per_service": 2}, services=[web, other])
    effects = [world.proven(client=CLIENT + n) for n in range(3)]
    assert [len(e) for e in effects] == [1, 1, 0]
    assert world.core.flows.shed == {"flows_per_service": 1}
    services = world.core.services
    assert services[SERVER, SPORT].pending == 2
    assert world.core.flows.admits((CLIENT, SERVER, CPORT, 81), services[SERVER, 81], 60)


def test_a_flow_that_ends_makes_room() -> None:
    world = limits(flows_per_source=1)
    world.proven()
    world.server_reset()
    assert len(world.proven(cport=CPORT + 1)) == 1


def test_packets_per_flow() -> None:
    world = limits(packets_per_flow=2)
    for n in range(4):
        world.proven(seq=0xFFFFFFF1 + n, payload=b"x")
    flow = world.core.flows.get(KEY)
    assert flow is not None
    assert len(flow.held) == 2
    assert world.core.flows.shed == {"packets_per_flow": 2}


def test_bytes_per_flow() -> None:
    world = limits(bytes_per_flow=2000)
    world.proven(payload=bytes(1200))
    world.proven(payload=bytes(1201))
    assert world.core.flows.shed == {"bytes_per_flow": 1}
    assert world.core.flows.held_bytes == 1200 + 66


def test_new_flows_are_shed_before_packets_of_flows_under_way() -> None:
    world = limits(bytes_total=4000)
    assert len(world.proven(payload=bytes(1400))) == 1
    assert len(world.proven(payload=bytes(1400), cport=CPORT + 1)) == 1
    # 2932 held: a new flow would go beyond seven eighths, more of an old one fits.
    assert world.proven(payload=bytes(700), cport=CPORT + 2) == []
    assert world.core.flows.shed == {"bytes_total": 1}
    world.proven(seq=X + 1401, payload=bytes(701))
    assert world.core.flows.held_bytes == 2932 + 767
    world.proven(seq=X + 2102, payload=bytes(702))
    assert world.core.flows.shed == {"bytes_total": 2}


def test_a_full_session_table_refuses_new_clients_with_a_reset() -> None:
    world = limits(sessions=1)
    world.open_session()
    effects = world.proven(cport=CPORT + 1)
    assert len(to_client(effects)) == 1
    assert to_server(effects) == []
    assert world.core.flows.shed == {"sessions": 1}
    assert len(world.core.sessions) == 1


def test_held_bytes_return_to_zero() -> None:
    world = World()
    world.proven(payload=bytes(500))
    assert world.core.flows.held_bytes > 500
    flow = world.core.flows.get(KEY)
    assert flow is not None
    world.synack()
    world.confirm("b")
    world.confirm("a")
    assert world.core.flows.held_bytes == 0
    world.sleep(1.2)  # as long as its packets may have to be sent again
    assert flow.held == []


def test_a_flow_comes_due_once_though_two_of_its_deadlines_are_the_same() -> None:
    world = World()
    world.proven()
    flow = world.core.flows.get(KEY)
    assert flow is not None
    world.core.flows.schedule(flow)
    assert world.core.flows.due(flow.deadline) == [flow]
