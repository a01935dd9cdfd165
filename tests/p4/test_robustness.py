# SPDX-License-Identifier: Apache-2.0
"""Whatever the text: a program or diagnostics, never another exception, never without end."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softswitch.p4.errors import Diagnostic, P4Error
from softswitch.p4.frontend import parse_program
from softswitch.p4.preprocess import preprocess
from softswitch.p4info import build_p4info
from tests.p4 import mutants
from tests.p4.snippets import PROGRAMS, Snippet, compile_source

MUTATIONS = 120
NOISE = (
    "0",
    "-1",
    "(",
    ")",
    "{",
    "}",
    "<",
    ">",
    "meta",
    "bit",
    "in",
    "=",
    ";",
    "apply",
    "NoAction",
    "65536w1",
)


@cache
def features() -> tuple[str, str]:
    """The architecture's part of a big program, and its own."""
    text = preprocess(PROGRAMS / "features.p4")
    start = text.index("typedef bit<48> mac_t")
    return text[:start], text[start:]


def compiles_or_complains(text: str) -> bool:
    """Whether `text` compiles; if not, every diagnostic must have a place and a message."""
    found: list[Diagnostic] | None = None
    try:
        build_p4info(parse_program(text, "mutant"))
    except P4Error as error:
        found = error.diagnostics
    if found is None:
        return True
    assert found
    assert all(d.line >= 1 and d.column >= 1 and d.message for d in found)
    return False


def mutate(source: str, random_source: random.Random) -> str:
    """`source` with some tokens dropped, doubled, swapped or replaced, or cut off."""
    tokens = re.findall(r"\s+|\w+|[^\w\s]", source)
    words = [i for i, t in enumerate(tokens) if not t.isspace()]
    for _ in range(random_source.choice((1, 1, 1, 2, 5))):
        i, j = random_source.choice(words), random_source.choice(words)
        kind = random_source.randrange(6)
        if kind == 0:
            tokens[i] = ""
        elif kind == 1:
            tokens[i] += " " + tokens[i]
        elif kind == 2:
            tokens[i], tokens[j] = tokens[j], tokens[i]
        elif kind == 3:
            tokens[i] = random_source.choice(NOISE)
        elif kind == 4:
            tokens[i] = tokens[j]
        else:
            tokens[i] += " " + random_source.choice(NOISE)
    return "".join(tokens)


def test_the_unchanged_program_compiles() -> None:
    assert compiles_or_complains("".join(features()))


@pytest.mark.parametrize("seed", range(4))
def test_mutations(seed: int) -> None:
    random_source = random.Random(seed)
    head, source = features()
    refused = sum(
        not compiles_or_complains(head + mutate(source, random_source)) for _ in range(MUTATIONS // 4)
    )
    assert refused > MUTATIONS // 8


@pytest.mark.parametrize("seed", range(4))
def test_nearly_right_programs(seed: int, tmp_path: Path) -> None:
    """What compiles is C without a warning."""
    rng = random.Random(seed)
    programs = list(mutants.sources())
    outcomes = Counter(
        mutants.try_out(source.head + mutants.mutate(source.body, rng), tmp_path, rng, 0.3)
        for source in rng.choices(programs, k=60)
    )
    assert outcomes["refused"] > 5
    assert outcomes["compiled"] + outcomes["compiled as C"] > 5


def test_cut_off_texts() -> None:
    head, source = features()
    for end in range(0, len(source) - 3, len(source) // 25):
        assert not compiles_or_complains(head + source[:end])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    assert not compiles_or_complains(text)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([*NOISE, "hdr.h.a", "8w3", "+", "-", "?", ":", ",", ".", "[", "]", "t", "true"]),
        max_size=25,
    )
)
def test_any_expression(words: list[str]) -> None:
    with suppress(P4Error):
        compile_source(Snippet(apply=f"meta.x = {' '.join(words)};").source())


@pytest.mark.parametrize(
    "apply",
    [
        "bit<2048> w = (bit<2048>) meta.x; w = w ++ w;",
        "meta.x = " + "9" * 100_000 + ";",
        "meta.x = " + "a" * 100_000 + ";",
        "meta.x = (bit<8>) (1 << 8000 << 8000 << 8000);",
        "meta.x = 1 " + "* 0xFFFFFFFFFFFFFFFFFFFFFFFF " * 200 + ";",
        "if (meta.flag) " * 3000 + "{ }",
        "[" * 3000,
        "a<" * 3000,
        "hdr.h" + ".a" * 3000 + " = 1;",
        "(bit<8>)" * 3000 + "1;",
        "meta.x = " + "meta.flag ? 8w1 : " * 3000 + "8w2;",
    ],
    ids=range(11),
)
def test_huge_inputs_are_refused_quickly(apply: str) -> None:
    start = time.monotonic()
    with pytest.raises(P4Error):
        compile_source(Snippet(apply=apply).source())
    assert time.monotonic() - start < 10
