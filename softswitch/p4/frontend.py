# SPDX-License-Identifier: Apache-2.0
"""The front end as one function: preprocessed text in, IR out."""

from __future__ import annotations

import sys

from softswitch.p4 import ir
from softswitch.p4.context import Context
from softswitch.p4.errors import Diagnostic, Diagnostics, Failure
from softswitch.p4.grammar import parse
from softswitch.p4.lexer import tokenize
from softswitch.p4.program import ProgramTranslator, declare
from softswitch.p4.validate import validate

_RECURSION = 12000
"""Python frames that the deepest program within the grammar's limits may need."""


def parse_program(text: str, name: str) -> ir.Program:
    """The program of a preprocessed P4_16 (v1model) text; `name` names the program and unnamed lines.

    Raises P4Error with all diagnostics when the text is wrong or uses what is not supported.
    """
    return parse_with_warnings(text, name)[0]


def parse_with_warnings(text: str, name: str) -> tuple[ir.Program, list[Diagnostic]]:
    """Like parse_program, with the warnings."""
    if sys.getrecursionlimit() < _RECURSION:
        sys.setrecursionlimit(_RECURSION)
    diagnostics = Diagnostics()
    tokens = tokenize(text, name, diagnostics)
    declarations = parse(tokens, diagnostics)
    diagnostics.raise_if_errors()
    context = Context(diagnostics)
    declare(context, declarations)
    diagnostics.raise_if_errors()
    translator = ProgramTranslator(context)
    translator.instances(declarations)
    try:
        program = translator.program(name, declarations, tokens[-1].loc)
        translator.check_unused(declarations)
    except Failure as failure:
        diagnostics.failed(failure)
        diagnostics.raise_if_errors()
        raise AssertionError("unreachable: a failure was noted") from failure
    diagnostics.raise_if_errors()
    validate(program, diagnostics)
    diagnostics.raise_if_errors()
    return program, diagnostics.warnings
