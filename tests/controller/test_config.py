# SPDX-License-Identifier: Apache-2.0
"""The configuration: what is accepted, and that every problem names its key and what would be right."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from controller.config import load_config
from controller.config_errors import ConfigError
from controller.config_values import Model

from .world import make_config


def document() -> dict[str, Any]:
    return {
        "program": {"p4": "main.p4"},
        "switches": [
            {
                "name": "a",
                "address": "unix:run/a.sock",
                "ports": [{"port": 1, "mac": "02:00:00:00:00:01", "addresses": ["198.18.1.1/24"]}],
                "routes": [{"prefix": "0.0.0.0/0", "port": 1, "via": "198.18.1.2"}],
                "neighbours": [{"address": "198.18.1.2", "mac": "02:00:00:00:00:02"}],
            }
        ],
        "services": [{"name": "web", "address": "203.0.113.10", "port": 80}],
    }


def write(folder: Path, content: dict[str, Any] | str) -> Path:
    (folder / "main.p4").write_text("")
    path = folder / "controller.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def problems(folder: Path, content: dict[str, Any] | str) -> list[str]:
    path = write(folder, content)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:").strip() for line in lines]


def test_a_small_file_and_its_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, document()))
    assert config.api.listen == "127.0.0.1:8080"
    assert config.program.target == "softswitch"
    service = config.services[0]
    assert (service.mss, service.window_scale, service.sack, service.timestamps) == (1460, 7, True, True)
    assert service.window == 4 * 1460
    assert config.timers.syn_retry == [1, 2, 4]
    assert config.limits.sessions == 1_000_000


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, document()))
    assert config.program.p4 == tmp_path / "main.p4"
    assert config.switches[0].address == f"unix:{tmp_path}/run/a.sock"


def test_the_window_follows_the_mss() -> None:
    service = {"name": "web", "address": "203.0.113.10", "port": 80}
    config = make_config([{**service, "mss": 536}])
    assert config.services[0].window == 2144
    assert make_config([{**service, "mss": 65535}]).services[0].window == 65535
    assert make_config([{**service, "window": 0}]).services[0].window == 0


def test_connected_prefixes_are_routed_unless_a_route_names_them(tmp_path: Path) -> None:
    content = document()
    content["switches"][0]["ports"][0]["addresses"].append("192.0.2.1/32")
    routes = load_config(write(tmp_path, content)).switches[0].connected_routes()
    assert [(r.prefix, r.port, r.via is None) for r in routes][1:] == [
        (IPv4Network("198.18.1.0/24"), 1, True)
    ]
    content["switches"][0]["routes"].append({"prefix": "198.18.1.0/24", "port": 1, "via": "198.18.1.9"})
    assert len(load_config(write(tmp_path, content)).switches[0].connected_routes()) == 2


def test_configuration_is_immutable() -> None:
    with pytest.raises(ValidationError):
        make_config().name = "other"


CASES: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("timer",), {}, "timer: unknown key; did you mean timers?"),
    (("colour",), 1, "colour: unknown key; known here: api, federation, limits, log"),
    (("switches",), [], "switches: []: list should have at least 1 item"),
    (("switches",), 5, "switches: 5: input should be a valid list; give a list of switches"),
    (("switches", 0, "name"), "a b", "switches[0].name: 'a b' is not a name; use letters"),
    (
        ("switches", 0, "address"),
        "here",
        "switches[0].address: 'here' is not an address; give unix:PATH or HOST:PORT",
    ),
    (("switches", 0, "address"), "unix:", "switches[0].address: 'unix:' names no file"),
    (("switches", 0, "device_id"), "1", "switches[0].device_id: '1': input should be a valid integer"),
    (("switches", 0, "ports", 0, "port"), 510, "switches[0].ports[0].port: 510: input should be less than"),
    (
        ("switches", 0, "ports", 0, "mac"),
        "1:2",
        "switches[0].ports[0].mac: '1:2' is not a MAC address; give six",
    ),
    (
        ("switches", 0, "ports", 0, "mac"),
        "01:00:00:00:00:01",
        "switches[0].ports[0].mac: '01:00:00:00:00:01' is a group",
    ),
    (("switches", 0, "ports", 0, "addresses"), ["x"], "switches[0].ports[0].addresses[0]: "),
    (
        ("switches", 0, "routes", 0, "prefix"),
        "10.0.0.1/8",
        "switches[0].routes[0].prefix: 10.0.0.1/8 has host bits set",
    ),
    (
        ("switches", 0, "routes", 0, "port"),
        3,
        "switches[0].routes[0].port: port 3 is not a port of switch a; its ports are 1",
    ),
    (("services", 0, "port"), 0, "services[0].port: 0: input should be greater than or equal to 1; give"),
    (
        ("services", 0, "window_scale"),
        15,
        "services[0].window_scale: 15: input should be less than or equal to 14",
    ),
    (
        ("services", 0, "sack"),
        "yes",
        "services[0].sack: 'yes': input should be a valid boolean; give true or false",
    ),
    (
        ("services", 0, "unknown"),
        "ignore",
        "services[0].unknown: 'ignore': input should be 'drop' or 'reset'",
    ),
    (("services", 0, "sync"), "most", "services[0].sync: 'most': input should be 'all', 'quorum' or 'local'"),
    (("services", 0, "mss"), "big", "services[0].mss: 'big': input should be a valid integer"),
    (("services", 0, "address"), 5, "services[0].address: 5 is not text; give an address"),
    (
        ("services", 0, "address"),
        "::198.51.100.10",
        "services[0].address: ::c633:640a holds an IPv4 address; give that address itself",
    ),
    (
        ("services", 0, "address"),
        "ff02::1",
        "services[0].address: ff02::1 is no server's address in a network",
    ),
    (("services", 0, "address"), "fe80::1%eth0", "services[0].address: 'fe80::1%eth0' has a zone; give an"),
    (("services", 0, "address"), "2001:db8::12345", "services[0].address: At most 4 characters permitted"),
    (
        ("switches", 0, "routes", 0, "via"),
        "2001:db8:1::2",
        "switches[0].routes[0]: via 2001:db8:1::2 is IPv6 and prefix 0.0.0.0/0 is IPv4; give both of",
    ),
    (
        ("switches", 0, "routes", 0, "prefix"),
        "2001:db8::1/64",
        "switches[0].routes[0].prefix: 2001:db8::1/64 has host bits set",
    ),
    (("timers",), {"idle": 0}, "timers.idle: 0: input should be greater than 0"),
    (("timers",), {"syn_retry": [1, "x"]}, "timers.syn_retry[1]: 'x': input should be a valid number"),
    (("timers",), {"reconnect_max": 0.1}, "timers.reconnect_max: smaller than reconnect_min"),
    (("limits",), {"flows": True}, "limits.flows: True: input should be a valid integer"),
    (("program",), {}, "program: give either p4 (a source) or both"),
    (("program",), {"p4": "main.p4", "p4info": "x"}, "program: give either p4 (a source) or both"),
    (("program",), {"p4": "gone.p4"}, "program.p4: there is no file"),
    (
        ("program",),
        {"p4": "main.p4", "target": "tofino"},
        "program.target: 'tofino': input should be 'softswitch'",
    ),
    (("api",), {"listen": "8080"}, "api.listen: '8080' is not an address"),
    (("api",), None, "api: None is not a mapping of keys; give the HTTP endpoint"),
]


@pytest.mark.parametrize(("path", "value", "expected"), CASES, ids=lambda case: str(case)[:40])
def test_each_problem_is_one_line(
    tmp_path: Path, path: tuple[str | int, ...], value: Any, expected: str
) -> None:
    content = document()
    target: Any = content
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    [line] = problems(tmp_path, content)
    assert line.startswith(expected)


def test_sync_modes_need_a_guarded_service(tmp_path: Path) -> None:
    content = document()
    content["services"][0].update({"sync": "local", "mode": "bypass"})
    [line] = problems(tmp_path, content)
    assert line.startswith("services[0]: sync local needs mode always")


def test_all_problems_at_once(tmp_path: Path) -> None:
    content = document()
    content["colour"] = 1
    del content["services"][0]["port"]
    content["services"].append("x")
    lines = problems(tmp_path, content)
    assert [line.split(":")[0] for line in lines] == ["services[0].port", "services[1]", "colour"]


def test_duplicates(tmp_path: Path) -> None:
    content = document()
    content["switches"].append({**content["switches"][0], "name": "b"})
    content["services"].append(dict(content["services"][0]))
    assert problems(tmp_path, content) == [
        "switches[1].address: the same as switches[0]; each must be different",
        "services[1].name: the same as services[0]; each must be different",
        "services[1].address: the same as services[0]; each must be different",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2\n", "2:2: YAML: expected ',' or ']', but got ':'"),
        ("program: {p4: x}\nprogram: {p4: y}\n", "2:1: YAML: key 'program' is given twice"),
        ("", "empty; a mapping of keys was expected"),
        ("- 1\n", "(top): [1] is not a mapping of keys"),
    ],
)
def test_yaml_that_is_none(tmp_path: Path, text: str, expected: str) -> None:
    [line] = problems(tmp_path, text)
    assert line.startswith(expected)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml")


def test_no_description_is_missing() -> None:
    """The texts that say what would be right come from here."""
    models = [model for model in Model.__subclasses__() if model.__module__ == "controller.config"]
    assert len(models) == 13
    for model in models:
        assert all(field.description for field in model.model_fields.values()), model.__name__


def test_ipv6_is_taken_everywhere(tmp_path: Path) -> None:
    content = document()
    switch = content["switches"][0]
    switch["ports"][0]["addresses"].append("2001:DB8:1:0::1/64")
    switch["routes"].append({"prefix": "::/0", "port": 1, "via": "2001:db8:1::2"})
    switch["neighbours"].append({"address": "2001:db8:1::2", "mac": "02:00:00:00:00:02"})
    content["services"].append({"name": "web-v6", "address": "2001:db8:203:0:0::10", "port": 80})
    config = load_config(write(tmp_path, content))
    a = config.switches[0]
    assert [str(route.prefix) for route in a.connected_routes()] == [
        *("0.0.0.0/0", "::/0", "198.18.1.0/24", "2001:db8:1::/64"),
    ]
    assert str(config.services[1].address) == "2001:db8:203::10"
    assert [(s.mss, s.window) for s in config.services] == [(1460, 5840), (1440, 5760)]
