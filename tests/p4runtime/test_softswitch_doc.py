# SPDX-License-Identifier: Apache-2.0
"""docs/softswitch.md: its program, its test and its controller work as shown."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "softswitch.md").read_text()


def block(kind: str) -> str:
    """The only code block of a kind."""
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert isinstance(found, str)
    return found


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "softswitch", *arguments]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the document."""
    (tmp_path / "cross.p4").write_text(block("p4"))
    (tmp_path / "cross.stf").write_text(block("stf"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    """A switch that waits for a controller."""
    where = f"unix:{folder}/s.sock"
    arguments = command("switch", "--grpc-server-addr", where)
    with subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert where in process.stdout.readline()
        yield where
        process.terminate()


def run(arguments: list[str], folder: Path) -> str:
    result = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_test(folder: Path) -> None:
    assert "1 passed" in run(command("stf", "cross.p4"), folder)


def test_the_controller(folder: Path, address: str) -> None:
    run(command("compile", "cross.p4", "-o", "out"), folder)
    (folder / "controller.py").write_text(block("python").replace("127.0.0.1:9559", address))
    assert sorted(run([sys.executable, "controller.py"], folder).splitlines()) == [
        "1 send(port=0x2)",
        "2 send(port=0x1)",
    ]
