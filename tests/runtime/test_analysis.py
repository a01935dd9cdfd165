# SPDX-License-Identifier: Apache-2.0
"""Static analysis: gcc's -fanalyzer finds nothing in the runtime, nor in the C that the compiler writes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from softswitch.build import COMMON_FLAGS, GENERATED_FLAGS, RUNTIME_DIR
from softswitch.compiler import compile_file

ROOT = Path(__file__).parents[2]
PROGRAMS = (
    ROOT / "tests/p4runtime/programs/selectors.p4",
    ROOT / "tests/p4/programs/load_balance.p4",
    ROOT / "tests/stf/header_union.p4",
    ROOT / "tests/stf/loops.p4",
)
KNOWN = {("profile.c", "-Wanalyzer-malloc-leak")}
"""gcc 12 takes for lost what an array of pointers keeps; the tests with sanitizers would see it lost."""
_WARNING = re.compile(r"^(\S+?):(\d+):\d+: warning: (.*) \[(-W[a-z-]+)\]$", re.MULTILINE)


def _gcc() -> str:
    found = shutil.which("gcc")
    if found is None:
        pytest.skip("gcc: not found in PATH")
    version = subprocess.run([found, "-dumpversion"], capture_output=True, text=True, check=True).stdout
    if int(version.split(".")[0]) < 12:
        pytest.skip(f"gcc {version.strip()}: its analyzer came of age with 12")
    return found


def _findings(source: Path) -> list[str]:
    command = [_gcc(), *COMMON_FLAGS, "-O1", "-Wall", "-Wextra", "-fanalyzer", f"-I{RUNTIME_DIR}"]
    command += [flag for flag in GENERATED_FLAGS if flag.startswith("-W")]
    result = subprocess.run(
        [*command, "-c", str(source), "-o", "/dev/null"], capture_output=True, text=True, check=True
    )
    return [
        f"{file}:{line}: {text} [{kind}]"
        for file, line, text, kind in _WARNING.findall(result.stderr)
        if (Path(file).name, kind) not in KNOWN
    ]


@pytest.mark.parametrize("source", sorted(RUNTIME_DIR.glob("*.c")), ids=lambda path: path.name)
def test_runtime(source: Path) -> None:
    assert _findings(source) == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_generated_code(program: Path, tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text(compile_file(program).c_source)
    assert _findings(source) == []


def test_the_analyzer_looks(tmp_path: Path) -> None:
    """A test of the test: a double free is found."""
    source = tmp_path / "wrong.c"
    source.write_text("#include <stdlib.h>\nvoid f(void *p);\nvoid f(void *p) { free(p); free(p); }\n")
    assert any("-Wanalyzer-double-free" in finding for finding in _findings(source))
