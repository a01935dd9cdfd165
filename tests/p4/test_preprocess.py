# SPDX-License-Identifier: Apache-2.0
"""Includes, macros, line markers and columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from softswitch.p4.errors import Diagnostics, P4Error
from softswitch.p4.lexer import tokenize
from softswitch.p4.preprocess import preprocess


def test_includes_defines_and_places(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "part.p4").write_text("const bit<8> A = SIZE;\n")
    main = tmp_path / "main.p4"
    main.write_text('#include "part.p4"\n#ifdef EXTRA\n\tconst   bit<8>\tB  =  2; // two\n#endif\n')
    text = preprocess(main, [tmp_path / "inc"], ["SIZE=5", "EXTRA"])
    tokens = tokenize(text, "main", Diagnostics())
    five = next(t for t in tokens if t.text == "5")
    two = next(t for t in tokens if t.text == "2")
    assert (Path(five.loc.file).name, five.loc.line) == ("part.p4", 1)
    assert (Path(two.loc.file).name, two.loc.line, two.loc.column) == ("main.p4", 3, 23)


def test_own_includes_come_last(tmp_path: Path) -> None:
    (tmp_path / "core.p4").write_text("const bit<8> MINE = 1;\n")
    (tmp_path / "main.p4").write_text("#include <core.p4>\n")
    assert "MINE" in preprocess(tmp_path / "main.p4", [tmp_path])
    assert "packet_in" in preprocess(tmp_path / "main.p4")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(P4Error) as caught:
        preprocess(tmp_path / "none.p4")
    assert str(caught.value).endswith("none.p4:1:1: error: no such file")


def test_missing_include_says_where(tmp_path: Path) -> None:
    main = tmp_path / "main.p4"
    main.write_text('const bit<8> A = 1;\n#include "gone.p4"\n')
    with pytest.raises(P4Error) as caught:
        preprocess(main)
    (found,) = caught.value.diagnostics
    assert (Path(found.file).name, found.line) == ("main.p4", 2)
    assert "gone.p4" in found.message


def test_assembler_mode_leaves_p4_text_alone(tmp_path: Path) -> None:
    main = tmp_path / "main.p4"
    main.write_text("// don't\nheader h { bit<8> it; }\n@pragma x don't\n")
    assert "header h { bit<8> it; }" in preprocess(main)
