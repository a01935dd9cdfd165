# SPDX-License-Identifier: Apache-2.0
"""Section 3: a flood of spoofed SYNs and random ACKs, with honest clients in between."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

from controller.bench.flood import SPOOFED_SOURCES, Flood, FloodPlan
from controller.demo.context import SHORT_CONNECTIONS, TO_CLIENT, A, Demo
from controller.demo.web import CLIENT, SERVER, ShortConnections, short_connections
from controller.scenario.netns import interface_counters
from controller.scenario.rawport import Capture

_HONEST_SHARE = 0.6
"""The honest connections are spread over this share of the flood's time, so that it outlasts them."""

_COUNTERS_S = 1.1
"""The controller reads the switches' counters at most once a second."""

_GUESSES = 2
"""A cookie has 23 bits of MAC, and an ACK without payload is checked for two ISNs: of 100,000 random ACKs one
is right in 2.4 % of all runs, three in 0.0002 %. Its sender is proven then, and gets its connection."""


def run(demo: Demo, quiet: ShortConnections) -> None:
    """Floods a, with honest connections meanwhile; `quiet`: the same connections without a flood."""
    report, lab = demo.report, demo.lab
    report.section("3. A flood of spoofed packets, and honest clients in between")
    duration = (demo.syns + demo.acks) / demo.rate
    report.note(
        f"{demo.syns:,} SYNs and {demo.acks:,} ACKs at {demo.rate:,} a second: about {duration:.0f} s"
    )
    plan = FloodPlan(demo.server.address, demo.server.port, demo.syns, demo.acks, rate=demo.rate)
    before = _counted(demo)
    capture = Capture(lab.netns(SERVER), pcap=demo.folder / "server-during-flood.pcap")
    try:
        with Flood(lab, CLIENT, lab.netns(CLIENT), plan) as flood:
            honest = short_connections(lab, demo.server, SHORT_CONNECTIONS, over_s=duration * _HONEST_SHARE)
            still_flooding = flood.running
            sent = flood.wait()
    finally:
        capture.stop()
    time.sleep(_COUNTERS_S)
    after = _counted(demo)
    counted = {key: after[key] - before[key] for key in after}
    report.check(
        f"a flood of {demo.syns:,} spoofed SYNs and {demo.acks:,} random ACKs has reached a",
        (sent.syns, sent.acks) == (demo.syns, demo.acks) and counted["arrived_at_a"] >= demo.syns + demo.acks,
        syns_sent=sent.syns,
        acks_sent=sent.acks,
        per_second=round(sent.rate),
        **counted,
    )
    _at_the_server(demo, capture)
    report.check(
        f"{SHORT_CONNECTIONS} honest connections during the flood all succeed",
        not honest.failures and still_flooding,
        **honest.figures(),
        flood_went_on_to_their_end=still_flooding,
        without_flood_median_ms=quiet.figures().get("median_ms"),
        without_flood_p99_ms=quiet.figures().get("p99_ms"),
    )


def _counted(demo: Demo) -> dict[str, int]:
    """Packets into a's port towards the client, and what a has made of them by the controller's counters."""
    status: dict[str, Any] = demo.lab.api("/api/status")
    drops = status["drops"].get(A, {})
    arrived = interface_counters(demo.lab.netns(A))[demo.interface(A, TO_CLIENT)].rx_packets
    return {
        "arrived_at_a": arrived,
        "answered_with_a_cookie": int(status["events"].get(A, {}).get("SYN_ANSWERED", 0)),
        "dropped_without_a_right_cookie": sum(
            int(drops.get(reason, 0)) for reason in ("BAD_COOKIE", "NO_KEY")
        ),
    }


def _at_the_server(demo: Demo, capture: Capture) -> None:
    honest = {ipaddress.ip_address(a) for a in demo.lab.plan.nodes[CLIENT].addresses}
    spoofed = ipaddress.ip_network(SPOOFED_SOURCES)
    sources = [ipaddress.ip_address(captured.segment.source) for captured in capture.segments()]
    strangers = [
        captured.segment
        for captured, source in zip(capture.segments(), sources, strict=True)
        if source in spoofed or source not in honest
    ]
    guessed = {stranger.flow for stranger in strangers}
    name = "not one packet of the flood reaches the server"
    if guessed:
        name += f", but for {len(guessed)} whose random ACK guessed a 23-bit cookie"
    demo.report.check(
        name,
        len(guessed) <= _GUESSES and capture.lost == 0 and len(sources) > 0,
        captured_at_server=len(sources),
        of_the_flood=len(strangers),
        guessed_cookies=len(guessed),
        lost_by_the_capture=capture.lost,
    )
