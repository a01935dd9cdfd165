# SPDX-License-Identifier: Apache-2.0
"""What the controller that leads knows of a connection that failed: where it got stuck."""

from __future__ import annotations

from typing import Any, Final

from controller.api.client import ApiUnreachableError
from controller.chaos.traffic import Outcome
from controller.lab.lab import Lab

_YOUNGEST: Final = 5000
_STEPS: Final = ("syn_sent", "synack", "released")


def known(lab: Lab, outcome: Outcome) -> str:
    """The connection's ends, and its session with the steps of its handshake, in one line."""
    (client, client_port), (server, server_port) = outcome.client, outcome.server
    ends = f"{client} {client_port} > {server} {server_port}"
    try:
        answer = lab.api(f"/api/sessions?limit={_YOUNGEST}")
    except ApiUnreachableError as error:
        return f"{ends}: {error}"
    for session in answer["sessions"]:
        if (session["client_port"], session["server_port"]) == (client_port, server_port) and (
            session["client"],
            session["server"],
        ) == (client, server):
            return f"{ends}: {_told(session)}"
    return f"{ends}: no session"


def _told(session: dict[str, Any]) -> str:
    text = f"session {session['phase']}, version {session['version']}, since {session['age_s']:.1f} s"
    timeline = session["timeline"]
    if timeline is None:
        return f"{text}, read back from a switch"
    steps = [
        f"{step} {timeline[step] - timeline['proven']:.3f}" for step in _STEPS if timeline[step] is not None
    ]
    return f"{text}, proven at {session['ingress']}, then {', '.join(steps)} s later"
