# SPDX-License-Identifier: Apache-2.0
"""Topology files: the ones that come with Syncline, and what is said of wrong ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.config_errors import ConfigError
from controller.lab.topology import (
    SCHEMA,
    TOPOLOGY_DIR,
    find_topology,
    load_topology,
    read_topology,
    schema_text,
    topology_text,
)

SMALL: dict[str, Any] = {
    "name": "small",
    "hosts": {
        "client": {"addresses": ["198.51.100.10/32"], "routes": [{"to": "default", "via": "198.18.1.1"}]},
        "server": {},
    },
    "switches": {"a": {"routes": [{"to": "198.51.100.0/24", "via": "198.18.1.2"}]}},
    "links": [
        {"ends": {"client:eth0": "198.18.1.2/24", "a:1": "198.18.1.1/24"}},
        {"ends": {"a:2": "203.0.113.1/24", "server:eth0": "203.0.113.10/24"}},
    ],
    "services": [{"name": "web", "host": "server", "address": "203.0.113.10", "port": 80}],
}


def changed(**paths: Any) -> dict[str, Any]:
    """SMALL with values set at paths such as hosts__client__routes__0__via."""
    document = copy.deepcopy(SMALL)
    for path, value in paths.items():
        *way, last = [int(part) if part.isdecimal() else part for part in path.split("__")]
        place: Any = document
        for key in way:
            place = place[key]
        if isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return document


def problems(tmp_path: Path, document: Any) -> list[str]:
    """What is said of a document, without the file's name before each line."""
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(ConfigError) as caught:
        load_topology(path)
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("name", ["single", "two-pop", "three-pop"])
def test_the_files_that_come_with_syncline(name: str) -> None:
    topology = load_topology(name)
    assert topology.name == name
    web = topology.services[0]
    assert (web.name, str(web.address), web.port, web.host) == ("web", "203.0.113.10", 80, "server")


def test_a_path_and_a_bare_name_find_the_same_file() -> None:
    assert find_topology("two-pop") == find_topology(TOPOLOGY_DIR / "two-pop.yaml")


def test_small_is_right(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    assert load_topology(path).name == "small"


def test_a_topology_survives_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "copy.yaml"
    for name in ("single", "two-pop", "three-pop"):
        topology = load_topology(name)
        path.write_text(topology_text(topology))
        assert read_topology(path) == topology


def test_the_schema_file_is_current() -> None:
    assert SCHEMA.read_text() == schema_text(), "run: syncline lab schema"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"name": "Small"},
            "name: 'Small' is not a name; use up to 32 lower-case letters, digits, '-', a letter first",
        ),
        ({"hosts__client__rutes": []}, "hosts.client.rutes: unknown key; did you mean routes?"),
        (
            {"hosts__client__routes__0__to": "203.0.113.0/33"},
            "hosts.client.routes[0].to: '33' is not a valid netmask; "
            "give a prefix such as 203.0.113.0/24 or 2001:db8::/64",
        ),
        (
            {"links__0__mtu": "big"},
            "links[0].mtu: 'big': input should be a valid integer; "
            "give bytes of the largest IP packet, 576 to 65535",
        ),
        (
            {"links__0__ends": {"client": "198.18.1.2/24", "a:1": "198.18.1.1/24"}},
            "links[0].ends.client: 'client' is not the end of a link; "
            "give HOST:INTERFACE or SWITCH:PORT, such as a:1",
        ),
        (
            {"links__2": {"ends": {"a:3": "192.0.2.1/24", "sever:eth0": "192.0.2.2/24"}}},
            "links[2].ends.sever:eth0: there is no host or switch sever; hosts: client, server; switches: a",
        ),
        (
            {"links__1__ends": {"a:1": "203.0.113.1/24", "server:eth0": "203.0.113.10/24"}},
            "links[1].ends.a:1: a:1 is an end of links[0] already; a cable has two ends of its own",
        ),
        (
            {"links__1__ends": {"a:510": "203.0.113.1/24", "server:eth0": "203.0.113.10/24"}},
            "links[1].ends.a:510: 510 is not a port number; give 1 to 509, such as a:1",
        ),
        (
            {"links__1__ends": {"a:02": "203.0.113.1/24", "server:eth0": "203.0.113.10/24"}},
            "links[1].ends.a:02: 02 is not a port number; give 1 to 509, such as a:1",
        ),
        (
            {"links__1__ends": {"a:2": "203.0.113.1/24", "server:lo": "203.0.113.10/24"}},
            "links[1].ends.server:lo: lo is the loopback interface; use another name such as eth0",
        ),
        (
            {"links__2": {"ends": {"a:3": "192.0.2.1/24", "a:4": "192.0.2.2/24"}}},
            "links[2].ends: both ends are at a; link two different nodes",
        ),
        (
            {"links__1__ends": {"a:2": "203.0.112.1/24", "server:eth0": "203.0.113.10/24"}},
            "links[1].ends: a:2 203.0.112.1/24 and server:eth0 203.0.113.10/24 are not in one network; "
            "give both the same prefix",
        ),
        (
            {"links__2": {"ends": {"a:3": "198.18.1.129/25", "server:eth1": "198.18.1.130/25"}}},
            "links[2].ends.a:3: 198.18.1.128/25 overlaps 198.18.1.0/24 of links[0]; "
            "give each link of a its own",
        ),
        (
            {"hosts__server__addresses": ["198.51.100.10/32"]},
            "hosts.server.addresses[0]: 198.51.100.10 is used at hosts.client.addresses[0] already; "
            "each address may be used once",
        ),
        (
            {"hosts__client__routes__0__via": "198.18.9.1"},
            "hosts.client.routes[0].via: no link of client reaches 198.18.9.1; "
            "give an address in one of its networks: 198.18.1.0/24",
        ),
        (
            {"switches__a__routes__1": {"to": "198.51.100.0/24", "via": "203.0.113.10"}},
            "switches.a.routes[1].to: a has a route to 198.51.100.0/24 already; give one",
        ),
        (
            {"hosts__client__routes__0__source": "203.0.113.10"},
            "hosts.client.routes[0].source: 203.0.113.10 is no address of client; "
            "its addresses: 198.51.100.10, 198.18.1.2",
        ),
        ({"services__0__host": "a"}, "services[0].host: there is no host a; hosts: client, server"),
        (
            {"services__0__address": "203.0.113.11"},
            "services[0].address: 203.0.113.11 is no address of server; its addresses: 203.0.113.10",
        ),
        (
            {"services__1": {"name": "alt", "host": "server", "address": "203.0.113.10", "port": 80}},
            "services[1].port: 203.0.113.10:80 is services[0] already; each must be different",
        ),
        (
            {"services__0__run": "sh -c 'true"},
            """services[0].run: "sh -c 'true": no closing quotation; """
            "give a command and its arguments as in a shell",
        ),
        (
            {"services__0__run": ""},
            "services[0].run: empty; give a command and its arguments, or leave the key out",
        ),
        (
            {"hosts__client__sysctls": {"kernel.hostname": "x"}},
            "hosts.client.sysctls.kernel.hostname: not a setting of a network namespace; "
            "give one whose name begins with net.",
        ),
        (
            {"switches__a__routes__0__via": "2001:db8:1::1"},
            "switches.a.routes[0]: via 2001:db8:1::1 is IPv6 and to 198.51.100.0/24 is IPv4; "
            "give both of the same version",
        ),
        (
            {"links__2": {"ends": {"a:3": "2001:db8::1/64", "server:eth1": "2001:db8:1::2/64"}}},
            "links[2].ends: a:3 2001:db8::1/64 and server:eth1 2001:db8:1::2/64 are not in one network; "
            "give both the same prefix",
        ),
        (
            {"links__2": {"ends": {"a:3": "2001:db8::1/64", "server:eth1": "2001:db8::2/64"}, "mtu": 1279}},
            "links[2].mtu: 1279 is too small for IPv6; give at least 1280, or no IPv6 address",
        ),
        (
            {"switches__client": {}},
            "switches.client: a host is also named client; each name may be used once",
        ),
        ({"hosts__controller": {}}, "hosts.controller: controller is a reserved name; use another"),
        (
            {"controller": {"timers": {"epoch": 0}}},
            "controller.timers.epoch: 0: input should be greater than 0; "
            "give life of a cookie key, seconds (a cookie lives one to two of them)",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    assert problems(tmp_path, changed(**change)) == [expected]


def test_a_switch_whose_interfaces_would_have_too_long_names(tmp_path: Path) -> None:
    document = copy.deepcopy(SMALL)
    document["switches"] = {"edge-router": {}}
    document["links"] = [
        {"ends": {"client:eth0": "198.18.1.2/24", "edge-router:1": "198.18.1.1/24"}},
        {"ends": {"edge-router:2": "203.0.113.1/24", "server:eth0": "203.0.113.10/24"}},
    ]
    assert problems(tmp_path, document) == [
        f"links[{index}].ends.edge-router:{index + 1}: interface edge-router-eth{index + 1} has more than "
        "15 characters; give the switch a shorter name"
        for index in range(2)
    ]


def test_all_problems_at_once(tmp_path: Path) -> None:
    document = changed(services__0__host="nobody", hosts__client__routes__0__via="192.0.2.1")
    assert [line.split(":")[0] for line in problems(tmp_path, document)] == [
        "hosts.client.routes[0].via",
        "services[0].host",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: [\n", ":2:1: YAML: expected the node content, but found '<stream end>'"),
        ("name: a\nhosts: {client: {}\n", ":3:1: YAML: expected ',' or '}', but got '<stream end>'"),
        ("name: a\nname: b\n", ":2:1: YAML: key 'name' is given twice"),
        ("", ": empty; a mapping of keys was expected"),
    ],
)
def test_yaml_that_is_none(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_topology(path)
    assert str(caught.value) == f"{path}{line}"


def test_a_topology_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^nowhere: no such topology; give .* single, three-pop, .*, two-pop$",
    ):
        load_topology("nowhere")
    with pytest.raises(ConfigError, match="No such file or directory; give the path of a readable YAML file"):
        load_topology(tmp_path / "nowhere.yaml")
