# SPDX-License-Identifier: Apache-2.0
"""A lab's files and its state file."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.lab.errors import LabError
from controller.lab.processes import ProcessId
from controller.lab.state import LabFiles, LabState, known_labs


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabFiles:
    monkeypatch.setenv("SYNCLINE_BUILD", str(tmp_path))
    return LabFiles.of("x")


STATE = LabState("x", "/x.yaml", "softswitch", True, ["x-a", "x-b"], {"a": ProcessId(7, 8)}, ["b"])


def test_what_is_saved_is_loaded(files: LabFiles) -> None:
    assert LabState.load(files) is None
    assert known_labs() == []
    STATE.save(files)
    assert LabState.load(files) == STATE
    assert known_labs() == [files]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}'])
def test_a_broken_state_file_is_named(files: LabFiles, text: str) -> None:
    STATE.save(files)
    files.state.write_text(text)
    with pytest.raises(LabError, match=rf"^{files.state}: not a lab's state file .*; remove it$"):
        LabState.load(files)


def test_the_build_folder_is_that_of_the_current_folder_unless_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SYNCLINE_BUILD", raising=False)
    monkeypatch.chdir(tmp_path)
    assert LabFiles.of("x").logs == tmp_path / "build" / "lab" / "x" / "logs"


def test_a_socket_path_that_the_kernel_would_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_BUILD", "/tmp/" + "d" * 90)
    with pytest.raises(LabError, match="set SYNCLINE_BUILD to a folder with a shorter path"):
        LabFiles.of("x").socket("controller")


def test_one_command_at_a_time(files: LabFiles) -> None:
    with files.locked(), pytest.raises(LabError, match="another command"), files.locked():
        pass
    with files.locked():
        pass
