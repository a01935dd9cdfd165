# SPDX-License-Identifier: Apache-2.0
"""Programs that are nearly right: those of the tests, with names, numbers, operators and lines changed.

Most mutants still parse, so that they get far: through types and lowering to the code generator and the C
compiler. `python -m tests.p4.mutants SEED SECONDS [FOLDER]` goes on for a while (FOLDER: more programs) and
leaves what it finds in build/mutants.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from softswitch import build
from softswitch.codegen import generate_c
from softswitch.p4.errors import Diagnostic, P4Error
from softswitch.p4.frontend import parse_program
from softswitch.p4.preprocess import preprocess
from softswitch.p4info import build_layout, build_p4info

TESTS = Path(__file__).parents[1]
FOLDERS = (TESTS / "stf", TESTS / "p4/programs", TESTS / "p4runtime/programs")
SLOW_S = 20.0
FOUND = TESTS.parent / "build/mutants"
_TOKEN = re.compile(
    r'"(?:\\.|[^"])*"|#[^\n]*|\s+|[A-Za-z_]\w*|\d\w*|&&&|\|\+\||\|-\||<<|>>|[=!<>]=|\+\+|&&|\|\||.', re.S
)
_OPERATORS = (
    ("+", "-", "*", "&", "|", "^", "|+|", "|-|"),
    ("<<", ">>", "/", "%", "++"),
    ("==", "!=", "<", ">", "<=", ">="),
    ("&&", "||", "&&&", ".."),
)
_NUMBERS = (
    "0",
    "1",
    "2",
    "7",
    "8",
    "16",
    "255",
    "0xffff",
    "1w1",
    "8w255",
    "8s1",
    "32w0",
    "64w0xffffffffffffffff",
    "true",
    "(1 << 64)",
)
_TYPES = (
    "bit<1>",
    "bit<8>",
    "bit<9>",
    "bit<65>",
    "bit<200>",
    "int<8>",
    "bool",
    "error",
    "varbit<64>",
    "tuple<bit<8>, bool>",
)


@dataclass(frozen=True)
class Source:
    """A preprocessed program: what comes before its own text, and that."""

    name: str
    head: str
    body: str


def sources(folders: tuple[Path, ...] = FOLDERS) -> Iterator[Source]:
    """The programs of some folders that can be preprocessed."""
    for path in sorted(path for folder in folders for path in folder.glob("*.p4")):
        try:
            text = preprocess(path)
        except P4Error:
            continue
        included = text.rfind('v1model.p4"')
        start = text.find("\n", text.find("\n# ", included) + 1) + 1
        if included >= 0 and len(text) - start > 300:
            yield Source(path.name, text[:start], text[start:])


def mutate(body: str, rng: random.Random) -> str:
    """`body` with one to three things changed, each for one of its kind."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        body = rng.choice((_change_line, _change_token, _change_token, _change_token, _change_type))(
            body, rng
        )
    return body


def _change_line(body: str, rng: random.Random) -> str:
    lines = body.split("\n")
    whole = [i for i, line in enumerate(lines) if line.rstrip().endswith(";")]
    i, j = rng.choice(whole), rng.choice(whole)
    kind = rng.randrange(3)
    if kind == 0:
        lines[i] = ""
    elif kind == 1:
        lines[i] += " " + lines[j].strip()
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return "\n".join(lines)


def _change_token(body: str, rng: random.Random) -> str:
    tokens = _TOKEN.findall(body)
    members = [i for i, t in enumerate(tokens) if i > 0 and tokens[i - 1] == "." and t[0].isalpha()]
    names = [i for i, t in enumerate(tokens) if t[0].isalpha() or t[0] == "_"]
    numbers = [i for i, t in enumerate(tokens) if t[0].isdigit()]
    operators = rng.choice(_OPERATORS)
    places = [i for i, t in enumerate(tokens) if t in operators and t != "<"]
    kind = rng.randrange(4)
    if kind == 0 and places:
        tokens[rng.choice(places)] = rng.choice(operators)
    elif kind == 1 and numbers:
        tokens[rng.choice(numbers)] = rng.choice(_NUMBERS)
    else:
        like = members if members and kind == 2 else names
        tokens[rng.choice(like)] = tokens[rng.choice(like)]
    return "".join(tokens)


def _change_type(body: str, rng: random.Random) -> str:
    found = list(re.finditer(r"\b(?:bit|int)<\d+>|\bbool\b", body))
    if not found:
        return body
    at = rng.choice(found)
    return body[: at.start()] + rng.choice(_TYPES) + body[at.end() :]


def try_out(text: str, folder: Path, rng: random.Random, c_share: float) -> str:
    """ "refused", "compiled", or "compiled as C" when it has come that far. Any other outcome raises."""
    started = time.monotonic()
    found: list[Diagnostic] = []
    c_source = None
    try:
        program = parse_program(text, "mutant")
        build_p4info(program)
        c_source = generate_c(program, build_layout(program))
    except P4Error as error:
        found = error.diagnostics
    assert time.monotonic() - started < SLOW_S, "takes too long"
    if c_source is None:
        assert found
        assert all(d.line >= 1 and d.column >= 1 and d.message for d in found)
        return "refused"
    if rng.random() > c_share:
        return "compiled"
    source = folder / "mutant.c"
    source.write_text(c_source)
    flags = [
        *build.COMMON_FLAGS,
        "-w",
        *build.GENERATED_FLAGS,
        f"-I{build.RUNTIME_DIR}",
        "-fsyntax-only",
    ]
    result = subprocess.run([build.compiler(), *flags, source], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not result.stderr, result.stderr
    return "compiled as C"


def main(seed: int, seconds: float, folders: tuple[Path, ...]) -> int:
    """Goes on for so long; the exit code."""
    rng = random.Random(seed)
    programs = list(sources(folders))
    FOUND.mkdir(parents=True, exist_ok=True)
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        source = rng.choice(programs)
        text = source.head + mutate(source.body, rng)
        try:
            outcomes[try_out(text, FOUND, rng, 0.2)] += 1
        except Exception as error:  # whatever it is, it is what we are looking for
            outcomes["wrong"] += 1
            place = FOUND / f"{seed}-{outcomes.total()}-{source.name}i"
            place.write_text(text)
            print(f"{place}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    print(dict(outcomes))
    return 1 if outcomes["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), (*FOLDERS, *map(Path, sys.argv[3:]))))
