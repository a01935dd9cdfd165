# SPDX-License-Identifier: Apache-2.0
"""The command lines of the two switch programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.lab.errors import LabError
from controller.lab.plan import make_plan
from controller.lab.targets import BMV2, find_tool, switch_command
from controller.lab.topology import load_topology

NODE = make_plan(load_topology("two-pop")).nodes["b"]


@pytest.fixture
def bmv2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tool = tmp_path / "bin" / BMV2
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("SYNCLINE_BMV2", str(tmp_path))
    return tool


def test_softswitch() -> None:
    command = switch_command("softswitch", NODE, 2, Path("/run/b.sock"), None)
    assert command[command.index("switch") :] == [
        *("switch", "-i", "1@b-eth1", "-i", "2@b-eth2", "--device-id", "2", "--cpu-port", "510"),
        *("--grpc-server-addr", "unix:/run/b.sock"),
    ]
    assert switch_command("softswitch", NODE, 2, Path("/s"), Path("/p"))[-2:] == ["--pcap", "/p"]
    assert switch_command("softswitch", NODE, 2, Path("/s"), None, crowded=True)[-1] == "--no-realtime"


def test_bmv2(bmv2: Path) -> None:
    assert switch_command("bmv2", NODE, 2, Path("/run/b.sock"), Path("/p")) == [
        *(str(bmv2), "--no-p4", "-i", "1@b-eth1", "-i", "2@b-eth2", "--device-id", "2"),
        *("--notifications-addr", "ipc:///run/b.ipc", "--pcap=/p"),
        *("--", "--grpc-server-addr", "unix:/run/b.sock", "--cpu-port", "510"),
    ]


def test_a_tool_in_the_given_folder_itself(bmv2: Path) -> None:
    assert find_tool(BMV2, {"SYNCLINE_BMV2": str(bmv2.parent), "PATH": ""}) == str(bmv2)


def test_a_tool_that_is_nowhere() -> None:
    with pytest.raises(
        LabError, match=r"^simple_switch_grpc: not found in PATH \(SYNCLINE_BMV2 is not set\); "
    ):
        find_tool(BMV2, {"PATH": "/nowhere"})
