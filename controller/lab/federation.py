# SPDX-License-Identifier: Apache-2.0
"""A federated lab: a controller for each switch, and NATS for them all; its view is what all see together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from controller.api.client import ApiUnreachableError
from controller.config import FederationConfig, TlsConfig
from controller.lab.checks import CONTROLLER
from controller.lab.model import Federated
from controller.lab.state import LabFiles

GetJson = Callable[[str, str], Any]
"""(controller, path) → its JSON answer; raises ApiUnreachableError."""


def switch_of(controller: str) -> str:
    """The switch that a controller of a federation looks after."""
    return controller.removeprefix(f"{CONTROLLER}-")


def settings(
    switch: str, lab: Federated, files: LabFiles, urls: list[str], tls: TlsConfig | None
) -> FederationConfig:
    """What a switch's controller is told of the federation."""
    return FederationConfig(
        member=switch,
        cluster=files.name.replace(".", "-"),
        urls=urls,
        secret=files.run / "federation.secret",
        token_file=files.run / "nats.token",
        replicas=lab.servers,
        lease=lab.lease,
        tls=tls,
    )


# --- what all controllers see together ------------------------------------------------------------


def together(controllers: list[str], get: GetJson, path: str) -> Any:
    """One answer to GET `path` out of those of all controllers that answer.

    Raises ApiUnreachableError when none does.
    """

    def ask(name: str) -> Any:
        try:
            return get(name, path)
        except ApiUnreachableError as error:
            return error

    with ThreadPoolExecutor(len(controllers)) as pool:
        answers = dict(zip(controllers, pool.map(ask, controllers), strict=True))
    found = {name: answer for name, answer in answers.items() if not isinstance(answer, Exception)}
    if not found:
        raise next(iter(answers.values()))
    if path.startswith("/api/sessions"):
        return _sessions(list(found.values()))
    return _status(found, len(found) == len(controllers))


def _sessions(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Each session as the controller tells it that knows the timeline of its handshake."""
    by_key: dict[tuple[Any, ...], dict[str, Any]] = {}
    for answer in answers:
        for session in answer["sessions"]:
            key = tuple(session[part] for part in ("client", "client_port", "server", "server_port"))
            if key not in by_key or session["timeline"] is not None:
                by_key[key] = session
    sessions = sorted(by_key.values(), key=lambda session: session["age_s"])
    return {"total": max(answer["total"] for answer in answers), "sessions": sessions}


def _status(by_controller: Mapping[str, dict[str, Any]], all_answer: bool) -> dict[str, Any]:
    answers = list(by_controller.values())
    own = {switch_of(name): answer for name, answer in by_controller.items()}
    status = dict(answers[0])
    names = sorted({switch["name"] for answer in answers for switch in answer["switches"]})
    whole = all(len(answer["switches"]) == len(names) for answer in answers)
    status["ready"] = all_answer and whole and all(answer["ready"] for answer in answers)
    status["switches"] = [_switch(name, own, answers) for name in names]
    status["services"] = [
        _service(list(same)) for same in zip(*(a["services"] for a in answers), strict=True)
    ]
    status["sessions"] = {
        phase: max(answer["sessions"][phase] for answer in answers) for phase in ("open", "closing")
    }
    for key in ("pending", "held_bytes"):
        status[key] = sum(answer[key] for answer in answers)
    for key in ("shed", "results"):
        status[key] = _sum([answer[key] for answer in answers])
    for key in ("drops", "events"):
        status[key] = {name: own.get(name, answers[0])[key].get(name, {}) for name in names}
    return status


def _switch(name: str, own: Mapping[str, dict[str, Any]], answers: list[dict[str, Any]]) -> dict[str, Any]:
    """As the switch's own controller tells it, else whoever knows it."""
    for answer in (*([own[name]] if name in own else []), *answers):
        for switch in answer["switches"]:
            if switch["name"] == name:
                found: dict[str, Any] = switch
                return found
    raise KeyError(name)


def _service(same: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **same[0],
        "sessions": max(service["sessions"] for service in same),
        "pending": sum(service["pending"] for service in same),
    }


def _sum(parts: list[dict[str, int]]) -> dict[str, int]:
    names = sorted({name for part in parts for name in part})
    return {name: sum(part.get(name, 0) for part in parts) for name in names}
