# SPDX-License-Identifier: Apache-2.0
"""Where a lab keeps its files, and its state file: what must be taken down again, whatever happens.

    BUILD/lab/NAME/state.json   namespaces and processes, written before each is made
    BUILD/lab/NAME/run/         unix sockets, the controller's configuration, certificates
    BUILD/lab/NAME/logs/        one file a process
    BUILD/lab/NAME/pcap/        captures of every switch port (with --pcap)

BUILD is $SYNCLINE_BUILD, or ./build.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.lab.errors import LabError
from controller.lab.processes import ProcessId

LONGEST_SOCKET = 107
"""Bytes of a unix socket's path (sun_path in unix(7), without the closing NUL)."""


def build_dir() -> Path:
    return Path(os.environ.get("SYNCLINE_BUILD") or "build").absolute()


@dataclass(frozen=True)
class LabFiles:
    """The places of one lab's files."""

    root: Path

    @classmethod
    def of(cls, name: str) -> LabFiles:
        return cls(build_dir() / "lab" / name)

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def pcap(self) -> Path:
        return self.root / "pcap"

    @property
    def topology(self) -> Path:
        """The topology as it was brought up; later edits of its file change nothing here."""
        return self.root / "topology.yaml"

    def controller_config(self, controller: str) -> Path:
        return self.run / f"{controller}.yaml"

    @property
    def controller_state(self) -> Path:
        """What the controller keeps for the next one."""
        return self.run / "learned.json"

    @property
    def tls(self) -> Path:
        """Certificates and private keys of the run."""
        return self.run / "tls"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    def socket(self, process: str) -> Path:
        """The unix socket of a process. Raises LabError when the path is longer than the kernel takes."""
        path = self.run / f"{process}.sock"
        if len(os.fsencode(path)) > LONGEST_SOCKET:
            raise LabError(
                f"{path}: longer than the {LONGEST_SOCKET} bytes that a unix socket may have; "
                "set SYNCLINE_BUILD to a folder with a shorter path"
            )
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lab for one command. Raises LabError at once when another command holds it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(
                    f"lab {self.name}: another command is bringing it up or down; wait for it"
                ) from None
            yield


@dataclass
class LabState:
    """What a lab has made, or is about to make."""

    name: str
    topology: str
    """Where it comes from: the absolute path of the topology file, or a name."""
    target: str
    pcap: bool
    namespaces: list[str]
    processes: dict[str, ProcessId] = field(default_factory=dict)
    """By name: the controllers', the switches', and "service-NAME" of those with a command."""
    stopped: list[str] = field(default_factory=list)
    """Processes that were stopped on purpose."""

    def save(self, files: LabFiles) -> None:
        """Replaces the state file in one step: a reader sees the old state or the new one, whole."""
        files.root.mkdir(parents=True, exist_ok=True)
        document = {
            "name": self.name,
            "topology": self.topology,
            "target": self.target,
            "pcap": self.pcap,
            "namespaces": self.namespaces,
            "processes": {name: {"pid": p.pid, "start": p.start} for name, p in self.processes.items()},
            "stopped": self.stopped,
        }
        fresh = files.state.with_suffix(".new")
        fresh.write_text(json.dumps(document, indent=2) + "\n")
        fresh.replace(files.state)

    @classmethod
    def load(cls, files: LabFiles) -> LabState | None:
        """The state of a lab; None when there is no such lab.

        Raises LabError when the file is not a state file.
        """
        try:
            document: dict[str, Any] = json.loads(files.state.read_text())
            return cls(
                name=document["name"],
                topology=document["topology"],
                target=document["target"],
                pcap=document["pcap"],
                namespaces=document["namespaces"],
                processes={
                    name: ProcessId(p["pid"], p["start"]) for name, p in document["processes"].items()
                },
                stopped=document["stopped"],
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(f"{files.state}: not a lab's state file ({error!r}); remove it") from None


def known_labs() -> list[LabFiles]:
    """The labs that have a state file: those that are up, and those that a crash has left."""
    return [LabFiles(path.parent) for path in sorted(build_dir().glob("lab/*/state.json"))]
