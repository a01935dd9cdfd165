# SPDX-License-Identifier: Apache-2.0
"""The runner itself: what it reads, what it refuses, and that it sees differences."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from finsy.proto import p4i
from typer.testing import CliRunner

from controller.cli import main
from softswitch.stf import suite
from softswitch.stf.names import field_match, masked
from softswitch.stf.script import Add, CheckCounter, Expect, Packet, StfError, parse_script
from softswitch.stf.session import matches
from softswitch.stf.suite import Case, Result, Verdict, collect, run_all

FOLDER = Path(__file__).parent
PROGRAM = FOLDER / "wrap_around.p4"
PASSING = "packet 0 00 01 0000 00000000\nexpect 1 ff 9d 0001 ff0100ff $\n"


def run(tmp_path: Path, text: str) -> Result:
    """The result of a script on the program that wraps around."""
    script = tmp_path / "test.stf"
    script.write_text(text)
    return suite.run_case(Case(PROGRAM, script))


def test_reads_statements() -> None:
    add, packet, expect, check = parse_script(
        'add t 7 "hdr.a".b:0x*1 h[0].c:10/8 act(x:1, y:0b1) = E # comment\n'
        "\nPACKET 3 0A 0b\nexpect 4 0* $\ncheck_counter c($E) bytes >= 0x10",
        "x.stf",
    )
    assert isinstance(add, Add)
    assert (add.table, add.priority, add.name) == ("t", 7, "E")
    assert add.match == (('hdr.a".b', "0x*1"), ("h[0].c", "10/8"))
    assert (add.action.name, add.action.args) == ("act", (("x", "1"), ("y", "0b1")))
    assert isinstance(packet, Packet)
    assert (packet.line, packet.port, packet.data) == (3, 3, b"\x0a\x0b")
    assert isinstance(expect, Expect)
    assert (expect.port, expect.pattern, expect.exact) == (4, "0*", True)
    assert isinstance(check, CheckCounter)
    assert (check.index, check.unit, check.operator, check.value) == ("$E", "bytes", ">=", 16)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("frobnicate 1", "unknown command frobnicate"),
        ("packet 1 0", "even number"),
        ("packet x 00", "port number"),
        ("expect 1 0g", "hexadecimal"),
        ("register_read r", "takes 2 words, not 1"),
        ("add t a:1", "ACTION"),
        ("setdefault t act(x)", "PARAM:VALUE"),
        ("check_counter c", "NAME(INDEX)"),
    ],
)
def test_says_what_it_cannot_read(line: str, message: str) -> None:
    with pytest.raises(StfError, match=r"^f\.stf:2: ") as caught:
        parse_script(f"\n{line}\n", "f.stf")
    assert message in str(caught.value)


def test_patterns() -> None:
    assert matches(Expect(1, "expect", pattern="0*a", exact=False), b"\x01\xa0\xff")
    assert not matches(Expect(1, "expect", pattern="0*a0", exact=True), b"\x01\xa0\xff")
    assert not matches(Expect(1, "expect", pattern="01a0ff00"), b"\x01\xa0\xff")
    assert not matches(Expect(1, "expect", pattern="02"), b"\x01")


def test_masks_go_by_the_digits_written() -> None:
    assert masked("0x1*", 16, by_digits=True) == (0x10, 0xF0)
    assert masked("0x01", 16, by_digits=True) == (0x01, 0xFF)
    assert masked("0x01", 16, by_digits=False) == (0x01, 0xFFFF)
    assert masked("5&&&4", 8, by_digits=True) == (4, 4)
    assert masked("0b1*0", 4, by_digits=True) == (4, 5)


def test_values_must_fit() -> None:
    field = p4i.MatchField(id=1, name="f", bitwidth=4, match_type=p4i.MatchField.EXACT)
    with pytest.raises(StfError, match="f: 16 does not fit in 4 bits"):
        field_match(field, "0x10")


def test_prefixes_and_ranges() -> None:
    field = p4i.MatchField(id=1, name="f", bitwidth=16, match_type=p4i.MatchField.LPM)
    made = field_match(field, "0xab**")
    assert made is not None
    assert (made.lpm.value, made.lpm.prefix_len) == (b"\xab\x00", 8)
    assert field_match(field, "0/0") is None
    field.match_type = p4i.MatchField.RANGE
    made = field_match(field, "1->0x10")
    assert made is not None
    assert (made.range.low, made.range.high) == (b"\x00\x01", b"\x00\x10")
    assert field_match(field, "0->65535") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("packet 0 00 01 0000 00000000\nexpect 1 00 9d\n", "packet 1 on port 1 differs"),
        ("packet 0 00 01 0000 00000000\nexpect 1 ff 9d $\n", "packet 1 on port 1 differs"),
        ("packet 0 00 01 0000 00000000\nexpect 1\nexpect 1\n", "port 1 has sent 1 of 2"),
        ("packet 0 00 01 0000 00000000\nno_packet\nexpect 1", "1 packets on port 1, none expected"),
        ("packet 1 00 01 0000 00000000\n", "unexpected packet on port 1"),
        ("expect 2\n", "port 2 has sent 0 of 1"),
    ],
)
def test_sees_differences(tmp_path: Path, text: str, why: str) -> None:
    result = run(tmp_path, text)
    assert result.verdict is Verdict.FAILED
    assert why in "\n".join(result.details)


def test_unknown_names_say_what_there_is(tmp_path: Path) -> None:
    result = run(tmp_path, PASSING + "register_read nothing 1\n")
    assert result.verdict is Verdict.REFUSED
    assert result.details[0].endswith("test.stf:3: register nothing does not exist (there are: none)")


def test_folders_leave_other_architectures_out(tmp_path: Path) -> None:
    (tmp_path / "a.p4").write_text("#include <psa.p4>\n")
    (tmp_path / "b.p4").write_text('#include "inner.h"\n')
    (tmp_path / "inner.h").write_text("#include <v1model.p4>\n")
    for name in "ab":
        (tmp_path / f"{name}.stf").write_text("")
    cases, foreign = collect([tmp_path])
    assert [c.script.name for c in cases] == ["b.stf"]
    assert [f.name for f in foreign] == ["a.stf"]


def test_a_program_takes_the_file_beside_it_or_those_after_it(tmp_path: Path) -> None:
    script = tmp_path / "own.stf"
    script.write_text(PASSING)
    assert collect([PROGRAM])[0] == [Case(PROGRAM, PROGRAM.with_suffix(".stf"))]
    assert collect([PROGRAM, script, PROGRAM])[0] == [
        Case(PROGRAM, script),
        Case(PROGRAM, PROGRAM.with_suffix(".stf")),
    ]
    with pytest.raises(StfError, match="give its program before it"):
        collect([script])


def test_a_test_that_dies_or_hangs_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = ["dies", "hangs", "passes"]
    cases = [Case(PROGRAM, tmp_path / f"{name}.stf") for name in names]

    def behave(case: Case) -> Result:
        if case.script.stem == "dies":
            os._exit(7)
        while case.script.stem == "hangs":
            os.sched_yield()
        return Result(case, Verdict.PASSED, (), 0.0)

    monkeypatch.setattr(suite, "run_case", behave)
    monkeypatch.setattr(suite, "TIMEOUT_S", 0.5)
    found = {r.case.script.stem: r for r in run_all(cases, jobs=3)}
    assert found["dies"].details == ("the process died (exit code 7)",)
    assert "took more than" in found["hangs"].details[0]
    assert found["passes"].verdict is Verdict.PASSED


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    bad = tmp_path / "bad.stf"
    bad.write_text("expect 5\n")
    output = tmp_path / "out.json"
    result = CliRunner().invoke(main, ["stf", str(PROGRAM), str(bad), str(PROGRAM), "--json", str(output)])
    assert result.exit_code == 1
    assert "2 tests: 1 passed, 1 failed" in result.output
    assert json.loads(output.read_text())["passed"] == 1
    assert CliRunner().invoke(main, ["stf", str(PROGRAM)]).exit_code == 0
    assert CliRunner().invoke(main, ["stf", str(tmp_path / "none")]).exit_code == 2
