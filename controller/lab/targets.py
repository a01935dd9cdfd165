# SPDX-License-Identifier: Apache-2.0
"""The switch programs that a lab can run: how each is started, and the P4 program in the form it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from controller.config import ProgramConfig
from controller.lab.errors import LabError
from controller.lab.plan import Node
from softswitch.tlsfiles import TlsFiles

Target = Literal["softswitch", "bmv2"]
TARGETS: tuple[Target, ...] = ("softswitch", "bmv2")

P4_SOURCE = Path(__file__).resolve().parents[2] / "p4src" / "v1model" / "syncline.p4"
CPU_PORT = 510
BMV2 = "simple_switch_grpc"
P4C = "p4c-bm2-ss"


def own_command(*arguments: str) -> list[str]:
    """`syncline ARGUMENTS` with this very Python. -P: without modules from the folder it is run in."""
    return [sys.executable, "-P", "-m", "controller", *arguments]


def prepare(target: Target, folder: Path) -> ProgramConfig:
    """The program for the controller, compiled; `folder` takes what the target's compiler writes.

    Raises LabError when the program does not compile or the target is not installed.
    """
    if target == "softswitch":
        # The compiler and protobuf take a while to import: not for every `lab exec`.
        from softswitch.build import BuildError
        from softswitch.compiler import compile_file
        from softswitch.p4.errors import P4Error

        try:
            compile_file(P4_SOURCE)  # fills the cache: every switch then loads it at once
        except (P4Error, BuildError) as error:
            raise LabError(str(error)) from None
        return ProgramConfig(p4=P4_SOURCE)
    find_tool(BMV2)
    device_config, p4info = folder / "syncline.json", folder / "syncline.p4info.txtpb"
    command = [find_tool(P4C), "--std", "p4-16", "-o", str(device_config), "--p4runtime-files", str(p4info)]
    done = subprocess.run([*command, str(P4_SOURCE)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{P4C} does not take {P4_SOURCE}:\n{done.stderr.strip()}")
    return ProgramConfig(target="bmv2", p4info=p4info, device_config=device_config)


def switch_command(
    target: Target,
    node: Node,
    device_id: int,
    socket: Path,
    pcap: Path | None,
    tls: TlsFiles | None = None,
    crowded: bool = False,
) -> list[str]:
    """The command of a switch process, to be run within the switch's namespace.

    `tls`: its files, with the CA of those who may control it. `crowded`: the lab has as many switches as the
    machine has cores, or more.
    """
    ports = [argument for i in node.interfaces for argument in ("-i", f"{i.port}@{i.name}")]
    if target == "softswitch":
        command = own_command("switch", *ports, "--device-id", str(device_id), "--cpu-port", str(CPU_PORT))
        command += ["--grpc-server-addr", f"unix:{socket}"]
        if tls is not None:
            command += ["--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)]
            command += ["--tls-ca", str(tls.ca)]
        command += ["--no-realtime"] if crowded else []
        return command + (["--pcap", str(pcap)] if pcap else [])
    command = [find_tool(BMV2), "--no-p4", *ports, "--device-id", str(device_id)]
    # Its default is one path in /tmp per device id, for all BMv2 switches of the machine.
    command += ["--notifications-addr", f"ipc://{socket.with_suffix('.ipc')}"]
    if pcap:
        command.append(f"--pcap={pcap}")
    command += ["--", "--grpc-server-addr", f"unix:{socket}", "--cpu-port", str(CPU_PORT)]
    if tls is not None:
        command += ["--grpc-server-ssl", "--grpc-server-with-client-auth"]
        command += ["--grpc-server-cert", str(tls.certificate), "--grpc-server-key", str(tls.key)]
        command += ["--grpc-server-cacert", str(tls.ca)]
    return command


def find_tool(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """A tool of BMv2: in the folder that $SYNCLINE_BMV2 names (or its bin/), else in PATH."""
    given = environment.get("SYNCLINE_BMV2")
    folders = [given, os.path.join(given, "bin")] if given else []
    path = os.pathsep.join([*folders, environment.get("PATH", os.defpath)])
    if found := shutil.which(name, path=path):
        return found
    where = f"$SYNCLINE_BMV2 ({given}) and PATH" if given else "PATH (SYNCLINE_BMV2 is not set)"
    raise LabError(
        f"{name}: not found in {where}; --target bmv2 needs BMv2 and p4c, softswitch needs neither"
    )
