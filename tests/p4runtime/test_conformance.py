# SPDX-License-Identifier: Apache-2.0
"""The matrix in docs/conformance.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[1] / "docs" / "conformance.md"
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", DOCUMENT.read_text())))


def test_named_tests_exist() -> None:
    assert len(NAMED) > 80
    known = {
        (path.name, node.name)
        for path in FOLDER.glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert [f"{file}::{name}" for file, name in NAMED if (file, name) not in known] == []
