# SPDX-License-Identifier: Apache-2.0
"""The bench of short connections: what it reads of ab's reports, and kernel routers in switches' places."""

from __future__ import annotations

import pytest

from controller.bench.connections import Load, lines, parse_ab, summary, with_routers
from controller.lab.plan import make_plan
from controller.lab.topology import load_topology

REPORT = """\
Complete requests:      2000
Failed requests:        3
   (Connect: 0, Receive: 0, Length: 2, Exceptions: 1)
Non-2xx responses:      1
Requests per second:    780.86 [#/sec] (mean)
"""
GIVEN_UP = "apr_pollset_poll: The timeout specified has expired (70007)\nTotal of 1500 requests completed\n"


def test_reports_of_ab() -> None:
    table = "Percentage served,Time in ms\n0,1.5\n50,76.25\n99,199.0\n100,253.5\n"
    load = parse_ab(REPORT, table, 2000, 3.0)
    assert load == Load(failed=4, per_s=780.86, ms={50: 76.25, 99: 199.0, 100: 253.5})
    assert parse_ab(GIVEN_UP, "", 2000, 3.0) == Load(failed=500, per_s=500.0, ms={})


def test_medians_and_sums() -> None:
    counted = [{"retransmitted": n, "paws": 0} for n in (1, 2)]
    loads = [
        Load(1, 100.0, {50: 10.0, 99: 20.0, 100: 30.0}, counted[0], {"controller": 500.0}),
        Load(2, 200.0, {}, counted[1], {"controller": 700.0}),
    ]
    figures = summary(loads)
    assert figures == {
        "per_s": 150.0,
        "failed": 3,
        "ms": {"50": 10.0, "99": 20.0, "100": 30.0},
        "retransmitted": 3,
        "paws": 0,
        "cpu_us": {"controller": 600.0},
    }
    assert list(lines({"own": figures})) == [
        "own: 150 connections/s; median/99 %/slowest 10/20/30 ms; 3 failed, 3 retransmitted, 0 PAWS drops"
        "; µs of CPU each controller 600"
    ]


@pytest.mark.parametrize("name", ["single", "two-pop", "three-pop"])
def test_kernel_routers_in_the_places_of_switches(name: str) -> None:
    topology = load_topology(name)
    plan = make_plan(with_routers(topology))
    assert not plan.switches
    assert set(plan.hosts) == {*topology.hosts, *topology.switches}
    for switch, config in topology.switches.items():
        host = plan.topology.hosts[switch]
        assert host.router
        assert [route.via for route in host.routes] == [route.via for route in config.routes]
