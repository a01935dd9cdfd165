# SPDX-License-Identifier: Apache-2.0
"""Scenario files: values, defaults, and what a mistake in one is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from controller.config_errors import ConfigError
from controller.scenario.cli import _load
from controller.scenario.model import Scenario, load_scenario, load_scenarios
from controller.scenario.steps import STEPS
from controller.scenario.steps.connections import Connect, Serve
from controller.scenario.values import Bound, Expression, Size, evaluate

HEAD = "name: test\ntopology: two-pop\n"


def load(tmp_path: Path, text: str) -> Scenario:
    path = tmp_path / "scenario.yaml"
    path.write_text(HEAD + text)
    return load_scenario(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/scenario.yaml: ") for line in str(caught.value).splitlines()]


def test_steps_in_order_with_shorthands(tmp_path: Path) -> None:
    scenario = load(
        tmp_path,
        "steps: [serve: web, connect: {host: client, service: web, upload: 2 MiB}, kill_controller, wait: 1]",
    )
    assert [step.keyword for step in scenario.steps] == ["serve", "connect", "kill_controller", "wait"]
    assert scenario.steps[0] == Serve(service="web")
    assert isinstance(scenario.steps[1], Connect)
    assert scenario.steps[1].upload == 2 << 20


def test_settings_change_a_copy_of_the_topology(tmp_path: Path) -> None:
    scenario = load(
        tmp_path,
        """
timers: {linger: 3}
limits: {flows: 5}
services:
- {name: crafted, host: server, address: 203.0.113.77, port: 7777, unknown: reset}
- {name: web, host: server, address: 203.0.113.10, port: 81}
steps: [{wait: 1}]
""",
    )
    assert scenario.topology.controller.timers.linger == 3
    assert scenario.topology.controller.limits.flows == 5
    services = {service.name: service for service in scenario.topology.services}
    assert str(services["crafted"].address) == "203.0.113.77"
    assert services["web"].port == 81


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps: [{conect: {}}]", "steps[0].conect: no such step; there are "),
        ("steps: [{wait: 1}, {connect: {host: client}}]", "steps[1].connect.service: missing"),
        (
            "steps: [{connect: {host: client, service: web, paralel: 2}}]",
            "steps[0].connect.paralel: unknown key; did you",
        ),
        (
            "steps: [{connect: {host: cleint, service: web}}]",
            "steps[0].connect.host: no host cleint in topology two-pop",
        ),
        (
            "steps: [{connect: {host: client, service: wob}}]",
            "steps[0].connect.service: no service wob in topology",
        ),
        (
            "steps: [{stop_switch: c}]",
            "steps[0].stop_switch.switch: no switch c in topology two-pop; it has a, b",
        ),
        (
            "steps: [{connect: {host: client, service: web, over: 3, lasts: true}}]",
            "steps[0].connect: lasts needs background, over, and not more connections than parallel ones",
        ),
        ("steps: [{wait: soon}]", "steps[0].wait.seconds: "),
        ("steps: [{wait: 1, serve: web}]", "steps[0]: a mapping of exactly one keyword"),
        ("steps: []", "steps: "),
        ("steps: [{send: {endpoint: c, seq: x*2}}]", "steps[0].send.seq: a sum of names and numbers"),
        ("steps: [{send: {endpoint: c, seq: x, flags: Q}}]", "steps[0].send.flags: unknown TCP flag 'Q'"),
        ("steps: [{send: {endpoint: c, seq: x, options: {mss: 70000}}}]", "steps[0].send.options.mss: "),
        (
            "steps: [{send: {endpoint: c, seq: x, options: {layout: [nap]}}}]",
            "steps[0].send.options.layout[0]: 'nap' is none of nop, end",
        ),
        (
            "steps: [{send: {endpoint: c, seq: x, options: {mss: 9, layout: [nop]}}}]",
            "steps[0].send.options: the layout leaves out mss",
        ),
        (
            "steps: [{send: {endpoint: c, seq: x, options: {layout: [sack]}}}]",
            "steps[0].send.options: the layout names sack, which is not given",
        ),
        (
            "steps: [{send: {endpoint: c, seq: x, options: {timestamps: [a, 1], sack: [[b, 1]], layout: "
            "[sack, '253:24', timestamps]}}}]",
            "steps[0].send.options: 44 bytes of options; a header has room for 40",
        ),
        (
            "steps: [{captured: {host: server, segments: 0, sources: nowhere}}]",
            "steps[0].captured.sources: nowhere is not",
        ),
        ("timers: {lingr: 3}\nsteps: [{wait: 1}]", "timers.lingr: unknown key"),
        ("topologie: x\nsteps: [{wait: 1}]", "topologie: unknown key; did you mean topology"),
    ],
)
def test_mistakes_are_named_with_their_path(tmp_path: Path, text: str, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(tmp_path, text)), problems(tmp_path, text)


def test_a_scenario_with_several_controllers_says_why_it_is_nothing_for_a_federation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scenario.yaml"
    text = "name: x\ntopology: two-pop\ncontrollers: 2\nsteps: [{wait: 1}]\n"
    path.write_text(text)
    with pytest.raises(ConfigError, match="not_federated: with controllers, give the reason"):
        load_scenarios(path, federated=True)
    path.write_text(text + "not_federated: two controllers of one switch\n")
    assert load_scenarios(path, federated=True) == []
    assert _load([path], soak=False, federated=True) == []
    assert capsys.readouterr().out == f"{path}: left out: two controllers of one switch\n"
    path.write_text("name: x\ntopology: single\nfederation: {servers: 3}\nsteps: [{wait: 1}]\n")
    assert load_scenarios(path)[0].topology.controller.federation is None
    federation = load_scenarios(path, federated=True)[0].topology.controller.federation
    assert federation is not None
    assert federation.servers == 3


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "steps: [{wait: soon}, {serve: none}, {what: 1}]")) == 3


def test_every_step_explains_itself() -> None:
    for keyword, step in STEPS.items():
        assert step.keyword == keyword
        assert step.__doc__


@pytest.mark.parametrize(("text", "size"), [(5, 5), ("7", 7), ("64 KiB", 65536), ("2MiB", 2 << 20)])
def test_sizes(text: object, size: int) -> None:
    assert TypeAdapter(Size).validate_python(text) == size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", 10),
        ("x+1", 11),
        ("x - 11", 2**32 - 1),
        ("k+x", 9),
        (0xFFFFFFFF, 2**32 - 1),
        (-1, 2**32 - 1),
        ("0x10", 16),
    ],
)
def test_expressions(text: object, value: int) -> None:
    expression = TypeAdapter(Expression).validate_python(text)
    assert evaluate(expression, {"x": 10, "k": 2**32 - 1}) == value


@pytest.mark.parametrize("text", ["", "x**2", "x y", "1 2", None, True])
def test_no_expressions(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Expression).validate_python(text)


def test_bounds() -> None:
    exactly = TypeAdapter(Bound).validate_python(3)
    assert exactly.admits(3)
    assert not exactly.admits(4)
    assert str(exactly) == "exactly 3"
    between = TypeAdapter(Bound).validate_python({"at_least": 1, "at_most": 2})
    assert [between.admits(value) for value in range(4)] == [False, True, True, False]
    assert str(between) == "at least 1 and at most 2"
    with pytest.raises(ValidationError):
        TypeAdapter(Bound).validate_python({})
