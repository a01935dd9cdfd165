# SPDX-License-Identifier: Apache-2.0
"""Frames larger than the MTU, as kernels hand them to their network cards, through ports on veth pairs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.harness import compile_source
from tests.runtime import large_frames
from tests.runtime.large_programs import LARGE

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.root
@pytest.mark.parametrize("check", [check.__name__ for check in large_frames.CHECKS])
def test_large_frames(check: str, tmp_path: Path) -> None:
    compiled = compile_source(LARGE, tmp_path)
    (tmp_path / "counter").write_text(str(compiled.p4info.counters[0].preamble.id))
    command = [
        sys.executable,
        "-m",
        "tests.runtime.large_frames",
        check,
        str(compiled.library),
        str(tmp_path),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
