# SPDX-License-Identifier: Apache-2.0
"""The tools that make and judge traffic, with the plain kernel in the middle: what they say must be true."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from controller.bench import kernel
from controller.bench.absorb import KERNEL_TOPOLOGY
from controller.bench.flood import Flood, FloodError, FloodPlan
from controller.bench.measure import measure
from controller.demo.pcap import read_tcp
from controller.lab import network
from controller.lab.plan import make_plan
from controller.lab.supervisor import in_namespace
from controller.lab.topology import load_topology
from controller.scenario import wire
from controller.scenario.clients import Exchange, ExchangeError, exchange, refused
from controller.scenario.netns import interface_counters
from controller.scenario.nexthop import UnreachableError, next_hop
from controller.scenario.rawport import Capture, Endpoint
from controller.scenario.servers import TcpServer

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: traffic runs in network namespaces"),
]

SERVER = ("203.0.113.10", 80)


class KernelLab:
    """The part of a lab that traffic needs, without any process of its own."""

    def __init__(self, topology: Path = KERNEL_TOPOLOGY) -> None:
        self.plan = make_plan(load_topology(topology), f"traffic-{os.getpid()}-{topology.stem}")

    def netns(self, node: str) -> str:
        return self.plan.nodes[node].netns

    def popen(self, host: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen(in_namespace(self.netns(host), argv), **options)


@pytest.fixture(scope="module")
def lab() -> Iterator[KernelLab]:
    made = KernelLab()
    try:
        network.build(made.plan)
        yield made
    finally:
        network.remove(made.plan.namespaces)


def test_the_flood_is_exact_and_its_checksums_are_right(lab: KernelLab) -> None:
    flood_is_right(lab, "203.0.113.10", "198.19.")


def test_a_flood_over_ipv6(tmp_path: Path) -> None:
    (tmp_path / "v6.yaml").write_text(
        "name: v6\ndescription: One link.\nswitches: {}\n"
        "hosts: {client: {}, server: {routes: [{to: '2001:db8:198::/48', via: '2001:db8:203::2'}]}}\n"
        "links: [ends: {client:eth0: '2001:db8:203::2/64', server:eth0: '2001:db8:203::10/64'}]\n"
    )
    lab = KernelLab(tmp_path / "v6.yaml")
    try:
        network.build(lab.plan)
        flood_is_right(lab, "2001:db8:203::10", "2001:db8:198:")
        bots_complete(lab, ("2001:db8:203::10", 80), "2001:db8:198:4::/64")
    finally:
        network.remove(lab.plan.namespaces)


def flood_is_right(lab: KernelLab, target: str, sources: str) -> None:
    capture = Capture(lab.netns("server"))
    plan = FloodPlan(target, 81, syns=3000, acks=700, rate=20000)
    with Flood(lab, "client", lab.netns("client"), plan) as flood:
        sent = flood.wait()
    capture.stop()
    assert (sent.syns, sent.acks) == (3000, 700)
    assert sent.rate < 1.1 * 20000  # a busy machine may be slower
    assert capture.lost == 0
    segments = [captured.segment for captured in capture.segments()]
    assert sum(segment.flags == wire.SYN for segment in segments) == 3000
    assert sum(segment.flags == wire.ACK for segment in segments) == 700
    assert len({segment.source for segment in segments}) > 2000
    assert all(segment.source.startswith(sources) for segment in segments)
    assert all(wire.parse(frame) for _, frame in capture._frames if wire.parse(frame, verify=False))


def test_leaving_a_flood_ends_it(lab: KernelLab) -> None:
    with Flood(
        lab, "client", lab.netns("client"), FloodPlan("203.0.113.10", 81, 1_000_000, rate=1000)
    ) as flood:
        assert flood.running
    assert not flood.running


def test_a_steady_flood_keeps_its_rate(lab: KernelLab) -> None:
    plan = FloodPlan("203.0.113.10", 81, syns=20_000, rate=20_000, steady=True)
    with Flood(lab, "client", lab.netns("client"), plan) as flood:
        sent = flood.wait()
    assert sent.syns == 20_000
    assert 0.5 * 20_000 < sent.rate < 1.1 * 20_000


def test_a_steady_flood_needs_a_rate(lab: KernelLab) -> None:
    plan = FloodPlan("203.0.113.10", 81, syns=1, steady=True)
    with (
        pytest.raises(FloodError, match="--rate is needed"),
        Flood(lab, "client", lab.netns("client"), plan) as flood,
    ):
        flood.wait()


def test_a_flood_of_addresses_of_the_other_version(lab: KernelLab) -> None:
    plan = FloodPlan("203.0.113.10", 81, 1, sources="2001:db8:198::/48")
    with (
        pytest.raises(FloodError, match="not of the same version of IP"),
        Flood(lab, "client", lab.netns("client"), plan) as flood,
    ):
        flood.wait()


def test_a_flood_that_cannot_be_sent(lab: KernelLab) -> None:
    with (
        pytest.raises(FloodError, match="packets: from 1"),
        Flood(lab, "client", lab.netns("client"), FloodPlan("203.0.113.10", 81, 0)) as flood,
    ):
        flood.wait()


@pytest.mark.parametrize("banner", [b"", b"220 ready\r\n"])
def test_connections_are_compared_byte_for_byte(lab: KernelLab, banner: bytes) -> None:
    server = TcpServer(lab.netns("server"), *SERVER, banner=banner)
    try:
        result = exchange(lab.netns("client"), Exchange(SERVER, upload=300_000, greeting=banner))
        assert result.bytes_each_way == 300_000
        assert server.accepted == 1
        if banner:
            with pytest.raises(ExchangeError, match="instead of b'other'"):
                exchange(lab.netns("client"), Exchange(SERVER, upload=5, greeting=b"other"))
    finally:
        server.close()


def test_a_connection_that_lasts_ends_when_it_is_asked_for(lab: KernelLab) -> None:
    asked_for = threading.Event()
    plan = Exchange(SERVER, upload=3000, over_s=0.1, until=asked_for)
    server = TcpServer(lab.netns("server"), *SERVER)
    try:
        with ThreadPoolExecutor() as pool:
            lasting = pool.submit(exchange, lab.netns("client"), plan)
            time.sleep(0.5)
            assert not lasting.done()
            asked_for.set()
            assert lasting.result(10).bytes_each_way > 6000
    finally:
        server.close()


def test_refusal_is_told_from_service(lab: KernelLab) -> None:
    assert refused(lab.netns("client"), SERVER, 5) < 5
    server = TcpServer(lab.netns("server"), *SERVER, banner=b"x")
    try:
        with pytest.raises(ExchangeError, match="not refused"):
            refused(lab.netns("client"), SERVER, 5)
    finally:
        server.close()


def test_crafted_ends_on_addresses_that_nobody_owns(lab: KernelLab, tmp_path: Path) -> None:
    client_end, server_end = ("198.19.7.1", 40000), ("203.0.113.77", 7777)
    capture = Capture(lab.netns("server"), pcap=tmp_path / "server.pcap")
    client = Endpoint(lab.netns("client"), client_end, server_end)
    server = Endpoint(lab.netns("server"), server_end, client_end)
    try:
        syn = wire.Segment(*_ends(client_end, server_end), wire.SYN, 7, options=wire.Options(mss=1460))
        client.send(syn, pad_to=90)
        arrived = server.receive(5)
        assert arrived is not None
        assert (arrived.flags, arrived.seq, arrived.options, arrived.payload) == (
            wire.SYN,
            7,
            syn.options,
            b"",
        )
        server.send(wire.Segment(*_ends(server_end, client_end), wire.SYN | wire.ACK, 99, 8))
        answer = client.receive(5)
        assert answer is not None
        assert (answer.seq, answer.ack) == (99, 8)
        assert client.receive(0.2) is None
    finally:
        client.close()
        server.close()
        capture.stop()
    assert [packet.flags for packet in read_tcp(tmp_path / "server.pcap")] == [wire.SYN]


def _ends(source: tuple[str, int], destination: tuple[str, int]) -> tuple[str, str, int, int]:
    return source[0], destination[0], source[1], destination[1]


def test_next_hops(lab: KernelLab) -> None:
    hop = next_hop(lab.netns("client"), "203.0.113.10")
    router = next(i for i in lab.plan.nodes["s"].interfaces if i.name == "eth0")
    assert (hop.interface, hop.destination_mac.hex(":")) == ("eth0", router.mac)
    with pytest.raises(UnreachableError, match=r"198\.18\.1\.99 on eth0 does not answer"):
        next_hop(lab.netns("client"), "198.18.1.99")


def test_forwarding_is_measured_where_it_arrives(lab: KernelLab) -> None:
    way = kernel.forwarding(lab)  # type: ignore[arg-type]
    before = interface_counters(lab.netns("server"))["eth0"].rx_packets
    sample = measure(way, seconds=1, seed=1)
    arrived = interface_counters(lab.netns("server"))["eth0"].rx_packets - before
    assert 0 < sample.counted <= sample.sent
    assert sample.counted == pytest.approx(arrived, abs=5)


@pytest.mark.skipif(not kernel.has_nft(), reason="needs nft")
def test_synproxy_answers_instead_of_forwarding(lab: KernelLab) -> None:
    before = interface_counters(lab.netns("server"))["eth0"].rx_packets
    sample = measure(kernel.synproxy(lab), seconds=1, seed=1)  # type: ignore[arg-type]
    kernel.no_rules(lab)  # type: ignore[arg-type]
    assert sample.counted > 0.5 * sample.sent
    assert interface_counters(lab.netns("server"))["eth0"].rx_packets - before < 10


def test_an_answer_after_the_clients_end(lab: KernelLab) -> None:
    server = TcpServer(lab.netns("server"), *SERVER, answer=300_000, over_s=0.5)
    try:
        plan = Exchange(SERVER, upload=1000, answer=300_000)
        done = exchange(lab.netns("client"), plan)
        assert done.total_s >= 0.3
        with pytest.raises(ExchangeError, match="300000 bytes came back of 300001"):
            exchange(lab.netns("client"), Exchange(SERVER, upload=1000, answer=300_001))
    finally:
        server.close()


def test_a_pause_with_keep_alives(lab: KernelLab) -> None:
    server = TcpServer(lab.netns("server"), *SERVER)
    capture = Capture(lab.netns("server"))
    try:
        done = exchange(lab.netns("client"), Exchange(SERVER, upload=1000, pause_s=2.5, keep_alive_s=1))
    finally:
        server.close()
        capture.stop()
    assert done.total_s >= 2.5
    sent = [c.segment for c in capture.segments() if c.segment.destination_port == SERVER[1]]
    first = next(segment.seq for segment in sent if segment.flags == wire.SYN) + 1
    # a probe repeats the last byte's place: half of the upload, less one
    assert sum(segment.seq == first + 499 and not segment.payload for segment in sent) >= 2


def test_bots_complete_their_handshakes(lab: KernelLab) -> None:
    bots_complete(lab, SERVER, "198.19.4.0/24")


def bots_complete(lab: KernelLab, target: tuple[str, int], sources: str) -> None:
    server = TcpServer(lab.netns("server"), *target)
    try:
        plan = FloodPlan(*target, syns=300, rate=2000, sources=sources, complete=True)
        with Flood(lab, "client", lab.netns("client"), plan) as flood:
            sent = flood.wait()
        assert (sent.syns, sent.completed) == (300, 300)
        assert server.accepted == 300
    finally:
        server.close()


@pytest.mark.parametrize("key", [b"", b"wrong"])
def test_signed_connections_are_nobody_elses(lab: KernelLab, key: bytes) -> None:
    server = TcpServer(lab.netns("server"), *SERVER, md5=b"right")
    try:
        assert exchange(lab.netns("client"), Exchange(SERVER, upload=3000, md5=b"right"))
        with pytest.raises(TimeoutError):
            exchange(lab.netns("client"), Exchange(SERVER, upload=1, md5=key, timeout_s=0.5))
    finally:
        server.close()
