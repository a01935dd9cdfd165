# SPDX-License-Identifier: Apache-2.0
"""Files that the documents name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("controller", "softswitch", "p4src", "topologies", "tests", "docs")
NAMED = re.compile(rf"`([\w/.-]+\.(?:p4|py|c|h|md|yaml)|(?:{'|'.join(FOLDERS)})/[\w/-]*)`")


def named_files(document: Path) -> list[str]:
    return [
        name for name in NAMED.findall(document.read_text(encoding="utf-8")) if not name.startswith("build/")
    ]


def exists(name: str) -> bool:
    """From the root, or as the end of a file's path (`translate.p4`, `logic/keys.py`)."""
    tail = Path(name).name
    return (ROOT / name).exists() or any(
        str(path).endswith(f"/{name.rstrip('/')}")
        for folder in FOLDERS
        for path in (ROOT / folder).rglob(tail)
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_files_exist(document: Path) -> None:
    assert [name for name in named_files(document) if not exists(name)] == []


def test_the_stages_are_all_described() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    program = (ROOT / "p4src" / "v1model" / "syncline.p4").read_text(encoding="utf-8")
    for name in re.findall(r'#include "([\w.]+)"', program):
        assert f"`{name}`" in text, f"docs/architecture.md does not say what {name} does"
