# SPDX-License-Identifier: Apache-2.0
"""The matrices in docs/conformance.md name tests that exist, and all programs of tests/stf."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "conformance.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)))


def test_named_tests_exist() -> None:
    assert len(NAMED) > 120
    known = {
        (path.name, node.name)
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert [f"{file}::{name}" for file, name in NAMED if (file, name) not in known] == []


def test_every_stf_test_stands_for_something() -> None:
    named = set(re.findall(r"`stf/(\w+)`", TEXT))
    assert named == {path.stem for path in (TESTS / "stf").glob("*.stf")}
