# SPDX-License-Identifier: Apache-2.0
"""Pushed programs may be hostile: the switch answers in time, goes on, and shows no file of its machine."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from softswitch.build import BuildError
from softswitch.compiler import preprocess_file
from softswitch.p4.errors import P4Error
from softswitch.pushed import Limits, compile_pushed

PROGRAM = Path(__file__).with_name("programs") / "entities.p4"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCLINE_CACHE", str(tmp_path / "cache"))


def nested(levels: int) -> str:
    """A program whose controls hold two of the next each: 2^levels instances, if nothing stops them."""
    text = preprocess_file(PROGRAM)
    controls = ["control C0() { apply { } }"]
    for level in range(1, levels + 1):
        inner = f"C{level - 1}"
        controls.append(
            f"control C{level}() {{ {inner}() a; {inner}() b; apply {{ a.apply(); b.apply(); }} }}"
        )
    place = text.index("control EgressImpl")
    used = text[place:].replace("apply { }", f"C{levels}() top; apply {{ top.apply(); }}", 1)
    return text[:place] + "\n".join(controls) + "\n" + used


def test_a_program_that_explodes_is_refused() -> None:
    started = time.monotonic()
    with pytest.raises(P4Error, match="more than 2000 instances"):
        compile_pushed(nested(40), "explodes")
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "arrays",
    [
        "register<bit<2048>>(0x7fffffff) r;",
        "meter(0x4000000, MeterType.bytes) m;",
        "counter(0x7fffffff, CounterType.packets) c;",
        "".join(f"register<bit<64>>(0x4000000) r{i};" for i in range(9)),
    ],
    ids=["registers", "meters", "counters", "together"],
)
def test_memory_of_arrays_is_bounded(arrays: str) -> None:
    text = preprocess_file(PROGRAM)
    with pytest.raises(P4Error, match="of more than 4 GiB together are not supported"):
        compile_pushed(
            text.replace("direct_counter(CounterType.p", f"{arrays} direct_counter(CounterType.p"), "large"
        )


def test_time_is_bounded() -> None:
    text = preprocess_file(PROGRAM)
    with pytest.raises(P4Error, match="takes more than 0 s"):
        compile_pushed(text, "slow", Limits(wall_s=0.2))
    with pytest.raises(P4Error, match="more than 0 s of processor time"):
        compile_pushed(text, "slow", Limits(cpu_s=0))


def test_memory_is_bounded() -> None:
    with pytest.raises((P4Error, BuildError)):
        compile_pushed(preprocess_file(PROGRAM), "large", Limits(memory_bytes=64 << 20))
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY, (
        "the switch itself has no limit"
    )


def test_diagnostics_come_through() -> None:
    text = preprocess_file(PROGRAM).replace("apply { }", "apply { nonsense(); }", 1)
    with pytest.raises(P4Error) as caught:
        compile_pushed(text, "wrong")
    [found] = caught.value.diagnostics
    assert "`nonsense` is not declared" in found.message
    assert found.file.endswith("entities.p4")
    assert found.source_line.strip()


def test_results_are_shared_with_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    text = preprocess_file(PROGRAM)
    first = compile_pushed(text, "entities")
    monkeypatch.setattr("softswitch.pushed.subprocess.Popen", None)  # nothing is compiled again
    assert compile_pushed(text, "entities").library == first.library


@pytest.mark.parametrize(
    "line",
    ["#include </etc/hostname>", '#include "/etc/hostname"', "  # include_next <x>", "#pragma x\n#define y"],
)
def test_directives_are_refused(line: str) -> None:
    with pytest.raises(P4Error, match="preprocessor directive"):
        compile_pushed(f"{line}\n{preprocess_file(PROGRAM)}", "reads")


@pytest.mark.parametrize(
    "place", ["action drop()", "table lpm_t {", "control IngressImpl(", "parser ParserImpl(", "counter(4,"]
)
def test_names_stay_names(place: str) -> None:
    """No string of the program becomes C of its own: line breaks, quotes, trigraphs and all."""
    text = preprocess_file(PROGRAM)
    assert text.count(place) == 1
    name = r"x\n#error in a new line\n//??/\"; #error in a string \\"
    found = compile_pushed(text.replace(place, f'@name("{name}") {place}'), "names")
    assert not [line for line in found.c_source.splitlines() if line.lstrip().startswith("#error")]


def test_a_line_marker_opens_no_file(tmp_path: Path) -> None:
    """Neither our diagnostics nor the C compiler's quote the file that a marker names."""
    secret = tmp_path / "secret"
    secret.write_text("the secret line\n" * 100)
    text = preprocess_file(PROGRAM)
    place = text.index("control IngressImpl")
    marked = f'{text[:place]}# 1 "{secret}"\n{text[place:]}'
    compile_pushed(marked, "quiet")
    with pytest.raises(P4Error) as caught:
        compile_pushed(marked.replace("mark_to_drop(standard)", "mark_to_fly(standard)", 1), "quiet")
    assert "secret line" not in str(caught.value)
    from softswitch import build

    source = tmp_path / "bad.c"
    source.write_text(f'#line 1 "{secret}"\nint x = y;\n')
    with pytest.raises(BuildError) as failed:
        build.build_library(source, tmp_path / "bad.so")
    assert "secret:1" in str(failed.value)
    assert "secret line" not in str(failed.value)
