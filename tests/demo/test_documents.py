# SPDX-License-Identifier: Apache-2.0
"""Files that the documents name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from controller.cli import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("controller", "softswitch", "p4src", "topologies", "tests", "docs")
NAMED = re.compile(rf"`([\w/.-]+\.(?:p4|py|c|h|md|yaml)|(?:{'|'.join(FOLDERS)})/[\w/-]*)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Relative ones to files, with a heading's anchor or without, and anchors alone."""
    for link in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name}: {link} leads to no file"
        assert not anchor or anchor in anchors(target), f"{document.name}: {link} leads to no heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    """`make TARGET`, `syncline COMMAND …` and their long options, wherever a document shows them.

    `softswitch` has some of the same commands.
    """
    text = document.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^    |`)make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{document.name}: make {target}"
    for line in re.findall(r"(?:^    |`)(?:syncline|softswitch) ([^`\n#|]*)", text, re.MULTILINE):
        command = get_command(main)
        words = line.split(" -- ")[0].split()
        while isinstance(command, TyperGroup) and words:
            context = Context(command)
            assert words[0] in command.list_commands(context), f"{document.name}: syncline {line}"
            found = command.get_command(context, words.pop(0))
            assert found is not None
            command = found
        known = {option for parameter in command.params for option in parameter.opts}
        named = {word.strip("[],;.").partition("=")[0] for word in words if word.strip("[").startswith("--")}
        assert named <= known, f"{document.name}: syncline {line}"


def anchors(document: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_stages_are_all_described() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    program = (ROOT / "p4src" / "v1model" / "syncline.p4").read_text(encoding="utf-8")
    for name in re.findall(r'#include "([\w.]+)"', program):
        assert f"`{name}`" in text, f"docs/architecture.md does not say what {name} does"
