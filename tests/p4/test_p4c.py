# SPDX-License-Identifier: Apache-2.0
"""Our P4Info against p4c's, object for object."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format

from controller.lab.targets import P4C, find_tool
from softswitch.p4.frontend import parse_program
from softswitch.p4.preprocess import preprocess
from softswitch.p4info import build_p4info
from tests.p4.snippets import PROGRAMS

SYNCLINE = Path(__file__).parent.parent.parent / "p4src" / "v1model" / "syncline.p4"

OURS = ("routing", "features", "source_routing", "firewall", "calculator", "load_balance")

pytestmark = pytest.mark.p4c


def objects(info: p4i.P4Info) -> dict[tuple[str, str], str]:
    """Every object of a P4Info as text, by kind and name."""
    found = {}
    for field, value in info.ListFields():
        if field.name in ("pkg_info", "type_info"):
            found[field.name, ""] = text_format.MessageToString(value)
            continue
        for item in value:
            found[field.name, item.preamble.name] = text_format.MessageToString(item)
    return found


@pytest.mark.parametrize(
    "path", [*(PROGRAMS / f"{name}.p4" for name in OURS), SYNCLINE], ids=lambda path: path.stem
)
def test_equal_object_for_object(path: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "p4info.txtpb"
    command = [
        find_tool(P4C),
        "--arch",
        "v1model",
        "-o",
        str(tmp_path / "out.json"),
        "--p4runtime-files",
        str(theirs),
    ]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    expected = objects(text_format.Parse(theirs.read_text(), p4i.P4Info()))
    ours = objects(build_p4info(parse_program(preprocess(path), path.stem)))
    assert ours == expected
