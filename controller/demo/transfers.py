# SPDX-License-Identifier: Apache-2.0
"""Section 1: unmodified programs talk through the two PoPs."""

from __future__ import annotations

from controller.demo.context import SHORT_CONNECTIONS, Demo
from controller.demo.web import FILE, PAGE, Curl, ShortConnections, short_connections

_OVER_S = 5.0


def run(demo: Demo) -> ShortConnections:
    """curl and short connections; returns the latter's times, to set beside those under the flood."""
    report = demo.report
    report.section("1. A real HTTP server, reached through a, answering through b")
    for name, title in ((PAGE, "curl fetches a small page"), (FILE, "curl fetches a file of 50 MiB")):
        with Curl(demo.lab, demo.server.url(name), demo.folder / name) as curl:
            result = curl.wait()
        size = curl.received
        report.check(
            f"{title}, checksums equal",
            result.code == 0 and result.sha256 == demo.server.sha256(name),
            bytes=size,
            seconds=round(result.seconds, 3),
            **({"mib_per_s": round(size / result.seconds / (1 << 20), 1)} if name == FILE else {}),
            sha256=result.sha256[:16],
            **({"error": result.error} if result.error else {}),
        )
    quiet = short_connections(demo.lab, demo.server, SHORT_CONNECTIONS, over_s=_OVER_S)
    report.check(f"{SHORT_CONNECTIONS} short connections, none failed", not quiet.failures, **quiet.figures())
    return quiet
