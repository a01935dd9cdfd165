# SPDX-License-Identifier: Apache-2.0
"""Compares P4Info with p4c's golden files: python -m tests.p4.golden p4c/testdata/p4_16_samples

Takes every program of the folder that includes v1model.p4, and compares object by object with the file that
p4c's own tests expect (in the folder `…_outputs` beside it). A program that is refused has no object right.
"""

from __future__ import annotations

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from finsy.proto import p4i
from google.protobuf import text_format
from google.protobuf.message import Message

from softswitch.p4.errors import P4Error
from softswitch.p4.frontend import parse_program
from softswitch.p4.preprocess import preprocess
from softswitch.p4info import build_p4info

_V1MODEL = re.compile(r"include\s*[<\"]v1model\.p4")


class Comparison(NamedTuple):
    """One program: objects on either side, those that are equal, and what differs or why it was refused."""

    name: str
    objects: int
    equal: int
    differs: tuple[str, ...]


def objects(info: p4i.P4Info) -> dict[str, bytes]:
    """Everything that a P4Info lists, and every named type, by kind and name."""
    found: dict[str, bytes] = {}
    for part in (info, info.type_info):
        for field, value in part.ListFields():
            if field.name == "type_info":
                continue
            items: list[tuple[str, Any]] = [("", value)]
            if hasattr(value, "items"):  # a map
                items = list(value.items())
            elif not isinstance(value, Message):  # repeated
                items = [(item.preamble.name, item) for item in value]
            for name, item in items:
                found[f"{field.name} {name}".strip()] = item.SerializeToString(deterministic=True)
    return found


def compare(program: Path, golden: Path) -> Comparison:
    """Our P4Info of a program against a golden file."""
    wanted = objects(text_format.Parse(golden.read_text(), p4i.P4Info(), allow_unknown_field=True))
    try:
        ours = objects(build_p4info(parse_program(preprocess(program), program.stem)))
    except P4Error as error:
        return Comparison(program.name, len(wanted), 0, (f"refused: {error.diagnostics[0].message}",))
    differs = sorted(key for key in {*wanted, *ours} if wanted.get(key) != ours.get(key))
    everything = len({*wanted, *ours})
    return Comparison(program.name, everything, everything - len(differs), tuple(differs))


def main(folder: Path) -> None:
    """Print what differs, and the sums."""
    outputs = folder.with_name(folder.name + "_outputs")
    pairs = [
        (program, golden)
        for program in sorted(folder.glob("*.p4"))
        if _V1MODEL.search(program.read_text(errors="replace"))
        and (golden := outputs / f"{program.name}.p4info.txtpb").is_file()
    ]
    if not pairs:
        raise SystemExit(f"{folder}: no program has P4Info in {outputs}; p4c's p4_16_samples is wanted")
    with ProcessPoolExecutor() as pool:
        results = list(pool.map(compare, *zip(*pairs, strict=True), chunksize=4))
    for result in results:
        if result.differs:
            print(f"{result.name}: {'; '.join(result.differs)}")
    total, equal = sum(r.objects for r in results), sum(r.equal for r in results)
    whole = sum(not r.differs for r in results)
    print(f"{len(results)} programs, {whole} equal; {total} objects, {equal} equal ({equal / total:.1%})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
