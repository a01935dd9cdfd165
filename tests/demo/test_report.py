# SPDX-License-Identifier: Apache-2.0
"""The demo's report: what is printed, what is in report.json, and when it says that all is well."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from controller.demo.report import Report


def make() -> tuple[Report, io.StringIO]:
    output = io.StringIO()
    return Report(Console(file=output, width=80)), output


def test_one_failed_line_fails_the_report(tmp_path: Path) -> None:
    report, output = make()
    report.section("1. Part")
    report.check("first holds", True, bytes=1234567, median_ms=1.234)
    assert report.ok
    report.check("second does not [really]", False, still_there=True)
    assert not report.ok

    report.write(tmp_path / "deep" / "report.json")
    assert json.loads((tmp_path / "deep" / "report.json").read_text()) == {
        "ok": False,
        "checks": [
            {"name": "first holds", "ok": True, "figures": {"bytes": 1234567, "median_ms": 1.234}},
            {"name": "second does not [really]", "ok": False, "figures": {"still_there": True}},
        ],
    }
    text = output.getvalue()
    assert "1. Part" in text
    assert "✓ first holds" in text
    assert "bytes 1,234,567, median ms 1.23" in text
    assert "✗ second does not [really]" in text


def test_no_checks_are_no_success() -> None:
    report, _ = make()
    assert not report.ok
