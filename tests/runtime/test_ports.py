# SPDX-License-Identifier: Apache-2.0
"""Ports on veth pairs, in namespaces of the tests' own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen.harness import compile_source
from tests.codegen.skeleton import program
from tests.runtime import port_checks

ROOT = Path(__file__).resolve().parents[2]

CROSS = program(
    "struct headers_t { }",
    parser="state start { transition accept; }",
    ingress="apply { if (std.ingress_port == 1) std.egress_spec = 2; else std.egress_spec = 1; }",
)


@pytest.mark.root
@pytest.mark.parametrize("check", [check.__name__ for check in port_checks.CHECKS])
def test_ports(check: str, tmp_path: Path) -> None:
    library = compile_source(CROSS, tmp_path).library
    command = [sys.executable, "-m", "tests.runtime.port_checks", check, str(library), str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
