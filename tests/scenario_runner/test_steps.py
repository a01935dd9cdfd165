# SPDX-License-Identifier: Apache-2.0
"""Steps and runner against a lab that is only an object: no root, no network."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

import pytest

from controller.config import SwitchTls
from controller.lab.plan import Plan, make_plan
from controller.lab.processes import ProcessId
from controller.lab.state import LabState
from controller.lab.topology import load_topology
from controller.scenario.clients import many, percentile
from controller.scenario.model import parse_step
from controller.scenario.netns import InterfaceCounters, parse_net_dev
from controller.scenario.runner import StepOutcome, run_steps
from controller.scenario.steps.security import NewCertificate, Reload
from controller.scenario.world import Background, UnmetError, World, poll


class FakeNats:
    """Notes what is done to the NATS servers."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.names = ["nats", "nats-2", "nats-3"]
        self._calls = calls

    def start(self) -> None:
        self._calls.append(("start_nats",))

    def stop(self, number: int, name: str | None = None) -> None:
        self._calls.append(("stop_nats", number, name))

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", 1


class FakeLab:
    """Notes what it is told to do; its API answers with `documents`, the last one for ever."""

    def __init__(self, topology: str = "three-pop", documents: list[dict[str, Any]] | None = None) -> None:
        self.plan: Plan = make_plan(load_topology(topology))
        self.state = LabState("test", "three-pop", "softswitch", False, [])
        self.calls: list[tuple[Any, ...]] = []
        self.nats = FakeNats(self.calls)
        self.nats_leader: str | None = None
        self.documents = documents or [status()]
        self.exit_code = 0

    def netns(self, node: str) -> str:
        return f"no-such-namespace-{node}"

    def api(self, path: str) -> Any:
        assert path in ("/api/status", "/api/status?fresh")
        return self.documents.pop(0) if len(self.documents) > 1 else self.documents[0]

    def run(self, host: str, argv: Any, timeout: float) -> subprocess.CompletedProcess[str]:
        self.calls.append(("run", host, *argv))
        return subprocess.CompletedProcess(argv, self.exit_code, "out\n", "it said no\n")

    def popen(self, host: str, argv: Any, **options: Any) -> subprocess.Popen[Any]:
        raise AssertionError("no process is wanted")

    controllers: ClassVar[list[str]] = ["controller"]
    leader = "controller"

    def role(self, controller: str) -> str | None:
        return "leading"

    def kill_controller(self, number: int, name: str | None = None) -> None:
        self.calls.append(("kill_controller", number, name))

    def signal_controller(self, number: int, name: str) -> None:
        self.calls.append(("signal_controller", number, name))

    def start_controller(self, name: str | None = None) -> None:
        self.calls.append(("start_controller", name))

    def stop_switch(self, switch: str, number: int) -> None:
        self.calls.append(("stop_switch", switch, number))

    def start_switch(self, switch: str) -> None:
        self.calls.append(("start_switch", switch))

    def wait_ready(self, timeout: float) -> None:
        self.calls.append(("wait_ready", timeout))

    def grpc_address(self, switch: str) -> str:
        return f"unix:/nowhere/{switch}.sock"

    def controller_config(self) -> dict[str, Any]:
        return {"services": [{"name": "web"}]}

    def reload(self, change: Callable[[dict[str, Any]], None]) -> list[str]:
        config: dict[str, Any] = {}
        change(config)
        self.calls.append(("reload", config))
        return ["service web removed"]

    def tls(self, switch: str) -> SwitchTls | None:
        return None

    def issue_certificate(
        self, switch: str | None, dates: tuple[datetime, datetime] | None, *, trusted: bool
    ) -> None:
        self.calls.append(("issue_certificate", (switch, dates is None, trusted)))

    def reach_nats_at(self, controller: str, url: str) -> None:
        self.calls.append(("reach_nats_at", controller, url.rpartition(":")[0]))

    def relay_address(self, switch: str) -> str:
        return f"unix:/nowhere/{switch}-relay.sock"

    def reach_switch_at(self, switch: str, address: str) -> None:
        self.calls.append(("reach_switch_at", switch, address))


def status(*, open_: int = 0, closing: int = 0, held: int = 0, bad_cookie: int = 0) -> dict[str, Any]:
    return {
        "sessions": {"open": open_, "closing": closing},
        "pending": 0,
        "switches": [{"name": "a", "sessions": held}, {"name": "b", "sessions": 0}],
        "drops": {"a": {"BAD_COOKIE": bad_cookie}},
        "events": {},
    }


def run(lab: FakeLab, *items: Any) -> list[Any]:
    steps = []
    for item in items:
        step, problems = parse_step(item, "step", lab.plan.topology)
        assert not problems
        assert step is not None
        steps.append(step)
    return run_steps(tuple(steps), lab)


def test_the_run_ends_at_the_first_failure() -> None:
    reported: list[StepOutcome] = []
    lab = FakeLab()
    step, _ = parse_step({"wait_for": "nobody"}, "", lab.plan.topology)
    later, _ = parse_step("kill_controller", "", lab.plan.topology)
    assert step is not None
    assert later is not None
    outcomes = run_steps((step, later), lab, reported.append)
    assert outcomes == reported
    assert [(outcome.ok, outcome.keyword) for outcome in outcomes] == [(False, "wait_for")]
    assert str(outcomes[0]) == "✗  1 wait_for         nothing runs in the background as nobody"
    assert lab.calls == []


def test_a_fault_of_the_machine_is_a_failed_step_too() -> None:
    (outcome,) = run(FakeLab(), {"capture": "server"})
    assert not outcome.ok
    assert "no-such-namespace-server" in outcome.text


def test_failures_and_restarts_reach_the_lab() -> None:
    lab = FakeLab()
    outcomes = run(
        lab,
        {"kill_controller": "TERM"},
        {"start_controller": {"within": 7}},
        {"stop_switch": "b"},
        {"stop_switch": {"switch": "b", "by": "KILL"}},
        {"start_switch": "b"},
    )
    assert all(outcome.ok for outcome in outcomes)
    assert lab.calls == [
        ("kill_controller", 15, "controller"),
        ("start_controller", None),
        ("wait_ready", 7.0),
        ("stop_switch", "b", 15),
        ("stop_switch", "b", 9),
        ("start_switch", "b"),
        ("wait_ready", 30.0),
    ]


def test_a_switch_is_paused_and_resumed() -> None:
    lab = FakeLab()
    with subprocess.Popen(["sleep", "30"]) as process:
        identity = ProcessId.of(process.pid)
        assert identity is not None
        lab.state.processes["b"] = identity
        try:
            assert run(lab, {"pause_switch": "b"})[0].ok
            _, how = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(how)
            assert run(lab, {"resume_switch": "b"})[0].ok
            _, how = os.waitpid(process.pid, os.WCONTINUED)
            assert os.WIFCONTINUED(how)
        finally:
            process.kill()


def test_an_anycast_shift_is_a_route_of_the_host() -> None:
    lab = FakeLab()
    assert run(lab, {"enter": {"host": "client", "switch": "c"}})[0].ok
    routes = (
        "ip route replace 0.0.0.0/0 via 198.18.5.1 src 198.51.100.10",
        "ip route replace ::/0 via 2001:db8:5::1 src 2001:db8:51::10",
    )
    assert lab.calls == [("run", "client", *route.split()) for route in routes]
    lab.exit_code = 2
    assert "it said no" in run(lab, {"enter": {"host": "client", "switch": "c"}})[0].text


def test_an_anycast_shift_needs_a_link() -> None:
    _, problems = parse_step(
        {"enter": {"host": "server", "switch": "c"}}, "steps[0]", FakeLab().plan.topology
    )
    assert [problem.path for problem in problems] == ["steps[0].enter.switch"]


def test_sessions_are_awaited() -> None:
    lab = FakeLab(documents=[status(), status(open_=1), status(closing=1, held=1)])
    (outcome,) = run(lab, {"sessions": {"open": 0, "closing": 1}})
    assert outcome.ok
    assert outcome.text == "open 0, closing 1, pending 0; held by a 1, b 0"


def test_sessions_held_by_one_switch_only() -> None:
    (outcome,) = run(FakeLab(documents=[status(held=1)]), {"sessions": {"on_every_switch": 0, "within": 0.1}})
    assert not outcome.ok
    assert outcome.text == "held by switch a: 1 instead of exactly 0"


def test_counters_count_from_the_last_mark() -> None:
    def check(bound: int) -> dict[str, Any]:
        return {"counters": {"switch": "a", "drops": {"BAD_COOKIE": bound}, "within": 0.1}}

    lab = FakeLab(documents=[status(bad_cookie=5), status(bad_cookie=7)])
    assert run(lab, check(2))[0].ok
    lab = FakeLab(documents=[status(bad_cookie=5), status(bad_cookie=7)])
    assert [outcome.ok for outcome in run(lab, "mark", check(0))] == [True, True]
    lab = FakeLab(documents=[status(bad_cookie=5)])
    (outcome,) = run(lab, check(1))
    assert outcome.text == "drops BAD_COOKIE at switch a: 0 instead of exactly 1"


def test_names_are_set_and_missed() -> None:
    lab = FakeLab()
    (outcome,) = run(lab, {"let": {"x": 4294967295, "y": "x+2"}})
    assert outcome.text == "x = 4294967295, y = 1"
    (outcome,) = run(lab, {"let": {"y": "z+2"}})
    assert outcome.text == "the name z in 'z+2' is not set by any step before"
    (outcome,) = run(lab, {"send": {"endpoint": "e", "seq": 1}})
    assert outcome.text == "no endpoint e; make it with an endpoint step"


def test_background_work_is_collected() -> None:
    gate = threading.Event()

    def work(asked_for: threading.Event) -> str:
        gate.wait(10)
        assert asked_for.is_set()
        return "done"

    background = Background("work", work)
    assert background.running
    with pytest.raises(UnmetError, match="not finished within"):
        background.wait(0.01)
    gate.set()
    assert background.wait(5) == "done"

    def fail(_: threading.Event) -> str:
        raise UnmetError("broken")

    with pytest.raises(UnmetError, match="broken"):
        Background("work", fail).wait(5)


def test_polling_ends_with_the_last_answer() -> None:
    answers = iter(["one", "two", None])
    poll(5, lambda: next(answers), every_s=0)
    with pytest.raises(UnmetError, match="still"):
        poll(0.01, lambda: "still", every_s=0.001)


def test_many_keeps_results_and_errors_in_order() -> None:
    def work(n: int) -> int:
        if n == 1:
            raise ConnectionResetError("gone")
        return n

    results = many(3, 2, work)
    assert (results[0], results[2]) == (0, 2)
    assert isinstance(results[1], ConnectionResetError)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)])
def test_percentiles(share: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_percentile_of_one() -> None:
    assert percentile([7.0], 0.5) == 7.0


def test_interface_counters_are_read() -> None:
    text = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop …\n"
        "  eth0: 100 2 0 3 0 0 0 0 400 5 0 6 0 0 0 0\n"
    )
    counters = parse_net_dev(text)
    assert counters == {"eth0": InterfaceCounters(100, 2, 3, 400, 5, 6)}
    assert counters["eth0"] - InterfaceCounters(rx_bytes=40) == InterfaceCounters(60, 2, 3, 400, 5, 6)


def test_a_reload_without_a_service() -> None:
    lab = FakeLab()
    assert Reload(without_service="web").run(World(lab)) == "service web removed"
    assert lab.calls == [("reload", {"services": []})]
    with pytest.raises(UnmetError, match="it took a configuration with a mistake in it"):
        Reload(broken=True).run(World(lab))


def test_a_new_certificate() -> None:
    lab = FakeLab()
    assert NewCertificate(of="a", kind="expired").run(World(lab)) == "expired"
    assert NewCertificate(of="controller", kind="unknown_ca").run(World(lab)) == "unknown_ca"
    assert lab.calls == [
        ("issue_certificate", ("a", False, True)),
        ("issue_certificate", (None, True, False)),
    ]


def test_nats_servers_are_killed_and_started() -> None:
    lab = FakeLab("three-pop-federated")
    assert run(lab, "stop_nats", {"nats_cable": {"controller": "controller-b"}})[-1].ok
    assert ("stop_nats", signal.SIGKILL, None) in lab.calls
    _, [problem] = parse_step({"stop_nats": {"server": "leader"}}, "step", lab.plan.topology)
    assert problem.path == "step.stop_nats.server"
    assert problem.text.startswith("there is but one; give the scenario `federation: ")
    federation = lab.plan.topology.controller.federation
    assert federation is not None
    three = federation.model_copy(update={"servers": 3})
    settings = lab.plan.topology.controller.model_copy(update={"federation": three})
    step, problems = parse_step(
        {"stop_nats": {"server": "leader"}},
        "step",
        lab.plan.topology.model_copy(update={"controller": settings}),
    )
    assert not problems
    assert step is not None
    [outcome] = run_steps((step,), lab)
    assert "no NATS server leads the store" in outcome.text
    lab.nats_leader = "nats-2"
    assert run_steps((step,), lab)[-1].ok
    assert lab.calls[-1] == ("stop_nats", signal.SIGKILL, "nats-2")
