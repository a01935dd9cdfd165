# SPDX-License-Identifier: Apache-2.0
"""What is installed from a wheel is whole: the switch works without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "controller", "softswitch")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel of the checkout holds."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    copy.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-q", "-w", folder, copy], check=True, capture_output=True, timeout=120)
    [wheel] = folder.glob("syncline-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_every_file_of_the_packages_is_in_it(site: Path) -> None:
    for package in ("controller", "softswitch"):
        files = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*") if path.is_file()}
        lacking = [
            str(f)
            for f in files
            if not f.name.startswith(".") and "__pycache__" not in f.parts and not (site / f).is_file()
        ]
        assert lacking == []


def test_both_commands_are_declared(site: Path) -> None:
    [entry_points] = site.glob("syncline-*.dist-info/entry_points.txt")
    lines = entry_points.read_text().splitlines()
    assert {"syncline = controller.cli:main", "softswitch = softswitch.cli:main"} <= set(lines)


def run(site: Path, folder: Path, *arguments: str) -> str:
    """Python with the wheel's packages alone before those of the environment."""
    environment = {**os.environ, "PYTHONPATH": str(site), "SYNCLINE_CACHE": str(folder / "cache")}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_switch_runs_a_program(site: Path, tmp_path: Path) -> None:
    """Compiles with the runtime and the P4 files of the wheel, and forwards packets."""
    where = run(site, tmp_path, "-c", "import softswitch; print(softswitch.__file__)")
    assert where.startswith(str(site))
    for name in ("begin.p4", "end.p4", "varbit.p4", "varbit.stf"):
        shutil.copy(ROOT / "tests/stf" / name, tmp_path)
    assert "1 passed" in run(site, tmp_path, "-m", "softswitch", "stf", "varbit.p4")
    run(site, tmp_path, "-m", "softswitch", "compile", "varbit.p4", "-o", "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "varbit.c",
        "varbit.p4i",
        "varbit.p4info.txtpb",
    ]


def test_the_switch_needs_nothing_of_the_controller() -> None:
    text = "import sys, softswitch.cli, softswitch.switch, softswitch.stf.suite, softswitch.compiler\n"
    text += "print([m for m in sys.modules if m.partition('.')[0] == 'controller'])"
    result = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.strip() == "[]"
