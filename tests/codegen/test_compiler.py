# SPDX-License-Identifier: Apache-2.0
"""The compiler as a whole: cache, hostile texts, readable output."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from softswitch import build
from softswitch.compiler import CompiledProgram, compile_file, compile_text, preprocess_file
from softswitch.p4.errors import P4Error
from tests.codegen.skeleton import EMIT, EXTRACT, ONE_HEADER, program

PLAIN = program(ONE_HEADER, parser=EXTRACT, deparser=EMIT)


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "plain.p4"
    path.write_text(PLAIN)
    return preprocess_file(path)


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYNCLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cold_and_cached(text: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_text(text, name="plain")
    assert first.library.is_relative_to(empty_cache)
    assert compile_text(text + "\n", name="plain").library != first.library
    monkeypatch.setattr(build, "build_library", None)  # nothing is built again
    assert compile_text(text, name="plain") == first
    assert not list(empty_cache.glob("build-*"))


def test_many_at_once(text: str, empty_cache: Path) -> None:
    results: list[CompiledProgram] = []
    threads = [
        threading.Thread(target=lambda: results.append(compile_text(text, name="plain"))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert len({r.library for r in results}) == 1
    assert not list(empty_cache.glob("build-*"))


@pytest.mark.parametrize(
    "line", ["#include </etc/passwd>", '  # include "x"', "#define A 1", "#pragma once", "#"]
)
def test_directives_in_a_preprocessed_text_are_refused(text: str, line: str) -> None:
    with pytest.raises(P4Error) as caught:
        compile_text(f"{text}\n{line}\n", name="plain")
    [found] = caught.value.diagnostics
    assert "directive" in found.message
    assert found.source_line == line


def test_texts_that_would_write_c(empty_cache: Path) -> None:
    """Quotes, line ends and trigraphs in strings and file names stay what they are."""
    hostile = r"""apply { std.egress_spec = 1; log_msg("\" ); system(\"false\"); // ??/ \n\\"); }"""
    source = program(ONE_HEADER, parser=EXTRACT, ingress=hostile, deparser=EMIT)
    folder = empty_cache.parent / 'a"b ??/'
    folder.mkdir()
    path = folder / 'evil".p4'
    path.write_text(source)
    compiled = compile_file(path)
    assert compiled.library.exists()
    lines = [line for line in compiled.c_source.split("\n") if "system" in line]
    assert len(lines) == 1
    assert lines[0].strip().startswith("ss_log(x, ")


def test_the_c_compiler_has_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "CC_TIMEOUT_S", 0.01)
    source = tmp_path / "slow.c"
    source.write_text("int a;\n" * 10000)
    with pytest.raises(build.BuildError, match=r"took more than"):
        build.run_cc(["-c", str(source)], tmp_path / "o", "slow")
    monkeypatch.setattr(build, "CC_TIMEOUT_S", 60)
    monkeypatch.setattr(build, "CC_MEMORY_KIB", 20000)
    with pytest.raises(build.BuildError, match=r"slow"):
        build.run_cc(["-c", str(source)], tmp_path / "o", "slow")


def test_generated_and_runtime_code_has_no_warnings(text: str, tmp_path: Path) -> None:
    compiled = compile_text(text, name="plain")
    (tmp_path / "plain.c").write_text(compiled.c_source)
    flags = [*build.COMMON_FLAGS, *build.WARNINGS, "-Werror", "-fsyntax-only", f"-I{build.RUNTIME_DIR}"]
    for source in sorted(build.RUNTIME_DIR.glob("*.c")):
        subprocess.run([build.compiler(), *flags, str(source)], check=True)
    subprocess.run([build.compiler(), *flags, *build.GENERATED_FLAGS, str(tmp_path / "plain.c")], check=True)


def test_the_c_points_to_the_p4(text: str, tmp_path: Path) -> None:
    compiled = compile_text(text, name="plain")
    assert (
        f'#line {PLAIN[: PLAIN.index("p.extract")].count(chr(10)) + 1} "{tmp_path}/plain.p4"'
        in compiled.c_source
    )
    assert "static uint16_t parser_TestParser(" in compiled.c_source
