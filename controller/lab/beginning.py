# SPDX-License-Identifier: Apache-2.0
"""Before a lab comes up: may it, of what topology, and is there nothing in its way."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from controller.lab import network
from controller.lab.errors import LabError
from controller.lab.model import Topology
from controller.lab.plan import Plan
from controller.lab.state import LabFiles, LabState
from controller.lab.topology import find_topology, load_topology


def need_root(what: str) -> None:
    """Raises LabError unless the process may make namespaces."""
    if os.geteuid() != 0:
        raise LabError(
            f"{what} needs root (it makes network namespaces): run the command as root, e.g. with sudo"
        )


def topology_of(given: str | Path | Topology) -> tuple[str, Topology]:
    """A topology, and where it comes from."""
    if isinstance(given, Topology):
        return given.name, given
    path = find_topology(given)
    return str(path), load_topology(path)


def refuse_second(plan: Plan, files: LabFiles) -> None:
    """Raises LabError if the lab is up, or something has its names."""
    state = LabState.load(files)
    alive = [name for name, process in state.processes.items() if process.alive()] if state else []
    there = network.existing_namespaces(plan.namespaces)
    if alive or there:
        what = f"lab {plan.name} is up already" if state else f"namespace {there[0]} exists already"
        raise LabError(f"{what}; take it down with: syncline lab down {plan.name}")


def fresh_folders(files: LabFiles) -> None:
    """Empty folders for a run; what an earlier one left is removed."""
    for folder in (files.run, files.logs, files.pcap):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
