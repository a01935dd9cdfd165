# SPDX-License-Identifier: Apache-2.0
"""Programs from snippets: the v1model skeleton around what a test is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from softswitch.p4 import ir
from softswitch.p4.errors import Diagnostic, P4Error
from softswitch.p4.frontend import parse_with_warnings
from softswitch.p4.preprocess import preprocess

PROGRAMS = Path(__file__).parent / "programs"
FILE = "test.p4"
MARK = "/*!*/"
"""In a snippet: the diagnostic must point right behind it."""


@cache
def _architecture() -> str:
    return preprocess(PROGRAMS / "empty.p4").rsplit("\n# ", 1)[0]


@dataclass(frozen=True)
class Snippet:
    """Parts of a program; the rest is the smallest that makes it whole."""

    apply: str = ""
    locals: str = ""
    top: str = ""
    states: str = "state start { packet.extract(hdr.h); transition accept; }"
    fields: str = ""
    parser_locals: str = ""

    def source(self) -> str:
        """The program's text, without includes."""
        return f"""header h_t {{ bit<8> a; bit<8> b; bit<16> c; bit<32> d; }}
struct meta_t {{ bit<8> x; bit<16> y; bool flag; int<8> s; }}
{self.top}
struct headers_t {{ h_t h; h_t[3] stack; {self.fields} }}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {{
{self.parser_locals}
{self.states}
}}
control V(inout headers_t hdr, inout meta_t meta) {{ apply {{ }} }}
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {{
{self.locals}
apply {{
{self.apply}
}} }}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {{ apply {{ }} }}
control C(inout headers_t hdr, inout meta_t meta) {{ apply {{ }} }}
control D(packet_out packet, in headers_t hdr) {{ apply {{ packet.emit(hdr.h); }} }}
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


def compile_source(source: str) -> tuple[ir.Program, list[Diagnostic]]:
    """Program and warnings of a source that relies on core.p4 and v1model.p4."""
    return parse_with_warnings(f'{_architecture()}\n# 1 "{FILE}"\n{source}', "test")


def compile_snippet(**parts: str) -> ir.Program:
    """The program of a snippet."""
    return compile_source(Snippet(**parts).source())[0]


def errors_of(source: str) -> list[Diagnostic]:
    """The errors of a source that must not compile."""
    with pytest.raises(P4Error) as caught:
        compile_source(source)
    return caught.value.diagnostics


def expect_error(message: str, **parts: str) -> None:
    """The snippet's first error contains `message` and, where it has a MARK, points right behind it."""
    source = Snippet(**parts).source()
    first = errors_of(source)[0]
    assert message in first.message
    for number, line in enumerate(source.split("\n"), 1):
        if MARK in line:
            assert (first.file, first.line, first.column) == (FILE, number, line.index(MARK) + len(MARK) + 1)
            assert first.source_line == line


def ingress(program: ir.Program) -> str:
    """The ingress control as text."""
    return str(program.control_named("I"))


def body(program: ir.Program) -> list[str]:
    """The statements of ingress' apply, stripped, without the block's braces."""
    lines = ingress(program).split("\n")
    start = lines.index("  {")
    return [line.strip() for line in lines[start + 1 : -2]]
