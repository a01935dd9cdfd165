# SPDX-License-Identifier: Apache-2.0
"""What the controller relies on by name, and p4c's opinion of the program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format

from controller.lab.targets import P4C, find_tool
from softswitch.compiler import compile_file

from .conftest import PROGRAM

TUPLE = {"client": 32, "server": 32, "client_port": 16, "server_port": 16}
SERVICE_KEY = {"server": 32, "server_port": 16}
KEYS_V4 = {
    "services_v4": SERVICE_KEY,
    "service_sources_v4": SERVICE_KEY,
    "protected_v4": {"address": 32},
    "protected_sources_v4": {"address": 32},
    "sessions_v4": TUPLE,
    "routes_v4": {"destination": 32},
    "neighbours_v4": {"next_hop": 32},
    "local_addresses_v4": {"port": 9, "address": 32},
}


def with_v6_addresses(key: dict[str, int]) -> dict[str, int]:
    """A key's IPv6 twin."""
    return {name: 128 if bits == 32 else bits for name, bits in key.items()}


KEYS = {
    **KEYS_V4,
    **{name.replace("_v4", "_v6"): with_v6_addresses(key) for name, key in KEYS_V4.items()},
    "cookie_keys": {"parity": 1},
    "cookie_epoch": {},
    "ports": {"port": 9},
}
ACTIONS = {
    "protect": {
        "service_id": 16,
        "mss": 16,
        "window_scale": 8,
        "sack": 1,
        "timestamps": 1,
        "window": 16,
        "reset_unknown": 1,
        "mode": 8,
        "lenient": 1,
    },
    "served": {"service_id": 16, "mode": 8, "lenient": 1},
    "protected": {},
    "protected_source": {},
    "translate": {
        "delta": 32,
        "tau": 32,
        "to_client_shift": 8,
        "to_server_shift": 8,
        "phase": 8,
        "version": 32,
        "isn": 32,
        "cookie": 32,
    },
    "set_key": {"k0": 32, "k1": 32, "epoch": 32},
    "set_epoch": {"parity": 1},
    "no_epoch": {},
    "via": {"port": 9, "next_hop": 32},
    "via_v6": {"port": 9, "next_hop": 128},
    "direct": {"port": 9},
    "set_destination_mac": {"mac": 48},
    "set_source_mac": {"mac": 48},
    "answer_arp": {"mac": 48},
    "answer_nd": {"mac": 48},
}
PACKET_OUT = {"mode": 8, "port": 16, "release": 16}
PACKET_IN = {
    "ingress_port": 16,
    "reason": 8,
    "service_id": 16,
    "isn": 32,
    "mss": 16,
    "window_scale": 8,
    "sack": 8,
    "number": 16,
}


@pytest.fixture(scope="module")
def info() -> p4i.P4Info:
    """The P4Info of our compiler."""
    return compile_file(PROGRAM).p4info


def test_tables(info: p4i.P4Info) -> None:
    found = {t.preamble.alias: {f.name: f.bitwidth for f in t.match_fields} for t in info.tables}
    assert found == KEYS


def test_matches(info: p4i.P4Info) -> None:
    for table in info.tables:
        routes = table.preamble.alias in ("routes_v4", "routes_v6")
        wanted = p4i.MatchField.LPM if routes else p4i.MatchField.EXACT
        assert all(field.match_type == wanted for field in table.match_fields)


def test_actions(info: p4i.P4Info) -> None:
    found = {a.preamble.alias: {p.name: p.bitwidth for p in a.params} for a in info.actions}
    assert {name: found[name] for name in ACTIONS} == ACTIONS


def test_controller_headers(info: p4i.P4Info) -> None:
    found = {
        header.preamble.name: {m.name: m.bitwidth for m in header.metadata}
        for header in info.controller_packet_metadata
    }
    assert found == {"packet_in": PACKET_IN, "packet_out": PACKET_OUT}


def test_only_sessions_grow_old(info: p4i.P4Info) -> None:
    timed = [t.preamble.alias for t in info.tables if t.idle_timeout_behavior]
    assert timed == ["sessions_v4", "sessions_v6"]


def test_counters_meters_digests(info: p4i.P4Info) -> None:
    assert {c.preamble.alias for c in info.counters} == {"drops", "events", "service_syns"}
    tables = {t.preamble.id: t.preamble.alias for t in info.tables}
    assert {tables[c.direct_table_id] for c in info.direct_counters} == {
        *("services_v4", "sessions_v4", "routes_v4"),
        *("services_v6", "sessions_v6", "routes_v6"),
    }
    assert {m.preamble.alias: m.size for m in info.meters} == {"syn_meter": 1024, "punt_meter": 8192}
    names = ("session_event_t", "session_event_v6_t")
    assert sorted(digest.preamble.name for digest in info.digests) == sorted(names)
    for name, address_bits in zip(names, (32, 128), strict=True):
        members = info.type_info.structs[name].members
        assert [m.name for m in members] == [*TUPLE, "event", "version"]
        widths = [m.type_spec.bitstring.bit.bitwidth for m in members]
        assert widths == [address_bits, address_bits, 16, 16, 8, 32]


@pytest.mark.p4c
def test_p4c_takes_it_and_gives_the_same_p4info(info: p4i.P4Info, tmp_path: Path) -> None:
    text = tmp_path / "syncline.p4info.txtpb"
    command = [
        find_tool(P4C),
        "-o",
        str(tmp_path / "syncline.json"),
        "--p4runtime-files",
        str(text),
        str(PROGRAM),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert text_format.Parse(text.read_text(), p4i.P4Info()) == info
