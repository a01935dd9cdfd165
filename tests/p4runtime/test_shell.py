# SPDX-License-Identifier: Apache-2.0
"""p4runtime-shell as a client that knows nothing of this project (an older protobuf, other habits)."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from . import fakes
from .conftest import TEXT, Rig

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-shell/bin/python"

pytestmark = [
    pytest.mark.shell,
    pytest.mark.skipif(not PYTHON.exists(), reason="p4runtime-shell's environment .venv-shell is not there"),
]


def test_an_operators_session(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "p.txtpb").write_text(fakes.P4INFO)
    (tmp_path / "p.p4i").write_bytes(TEXT)
    script = Path(__file__).with_name("shell_session.py")
    done = subprocess.run(
        [PYTHON, script, rig.address, tmp_path / "p.txtpb", tmp_path / "p.p4i"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("duplicate").split() == [
        "Error(s)",
        "during",
        "Write:",
        "*",
        "At",
        "index",
        "0:",
        "ALREADY_EXISTS,",
        "'sessions:",
        "entry",
        "already",
        "exists'",
    ]
    assert found == {
        "api": "1.5.0",
        "sessions": [["0a000001", "0103"]],
        "routes": [8],
        "routes left": 0,
        "acl": [[9, "01bb"]],
        "drops": [[0, 0, 0], [1, 5, 300], [2, 0, 0]],
        "group": [[1, 1], [2, 1]],
    }
    [engine] = rig.engines
    assert engine.groups == {7: [(1, 1), (2, 1)]}
    assert engine.sessions == {5: ([(3, 1)], 0)}
    deadline = time.monotonic() + 5
    while not engine.sent and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.sent == [b"\x01\x00\x07payload"]
