# SPDX-License-Identifier: Apache-2.0
"""Labs of the tests: names and folders of their own, so that they meet no other lab of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.lab.lab import Lab
from controller.lab.network import existing_namespaces
from controller.lab.state import LabFiles
from controller.lab.supervisor import take_down


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A build folder for the tests of one file."""
    folder = tmp_path_factory.mktemp("b")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNCLINE_BUILD", str(folder))
        yield folder


@pytest.fixture
def lab_name(build: Path) -> Iterator[str]:
    """A name that no other lab has. Whatever the test leaves of it is taken down."""
    name = f"t{os.getpid()}"
    yield name
    labs = build / "lab"
    files = LabFiles.of(name)
    if files.state.exists():
        with files.locked():
            take_down(files, [])
    assert labs.exists() or not existing_namespaces([f"{name}-client", f"{name}-server"])


@pytest.fixture(scope="module")
def two_pop(build: Path) -> Iterator[Lab]:
    """two-pop with switches and controller, captured."""
    lab = Lab.up("two-pop", name=f"t{os.getpid()}m", pcap=True)
    try:
        yield lab
    finally:
        lab.down()
