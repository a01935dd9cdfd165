# SPDX-License-Identifier: Apache-2.0
"""Random table entries and packets through BMv2 and through us: programs of courses, and those of tests/stf.

Our own program has a test of this kind to itself (`tests/p4src/test_same_as_bmv2.py`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
COURSE = ("calculator", "firewall", "routing", "source_routing")
# Not here: what p4c for BMv2 refuses (a table applied twice, conditions around checksums, loops), what reads
# fields of invalid headers or registers beyond their size, and what p4c does against the specification (see
# docs/conformance.md).
FEATURES = (
    "annotations",
    "constants",
    "cut_and_random",
    "direct_invocation",
    "drops",
    "entry_annotations",
    "enums_types",
    "exit_return",
    "functions",
    "hashes",
    "header_union",
    "look_ahead",
    "match_kinds",
    "parser_errors",
    "preprocessor",
    "program_entries",
    "recirculate",
    "resubmit",
    "saturating",
    "slices",
    "stack_next",
    "stack_shift",
    "sub_control",
    "sub_parser",
    "sub_parser_twice",
    "switch_value",
    "varbit",
    "wrap_around",
)
PROGRAMS = [TESTS / f"p4/programs/{name}.p4" for name in COURSE] + [
    TESTS / f"stf/{name}.p4" for name in FEATURES
]


@pytest.mark.root
@pytest.mark.bmv2
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_same_as_bmv2(program: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.codegen.differential", str(program), str(tmp_path)]
    result = subprocess.run(
        command, cwd=TESTS.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
