# SPDX-License-Identifier: Apache-2.0
"""The P4 compiler as a whole: P4 text → IR → P4Info and C → shared object, cached by content.

A text that comes over P4Runtime is preprocessed already: it is compiled without the preprocessor, so that
it cannot
make the switch read files.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finsy.proto import p4i

from softswitch import build, cache
from softswitch.p4.errors import Diagnostic, P4Error
from softswitch.p4.preprocess import preprocess

MAX_TEXT = 8 << 20
"""Characters of preprocessed P4 that are taken."""

_PACKAGE = Path(__file__).resolve().parent
_DIRECTIVE = re.compile(r"^[ \t]*#(?![ \t]*(?:line[ \t]+)?[0-9])", re.MULTILINE)


@dataclass(frozen=True)
class CompiledProgram:
    """A program ready to be loaded."""

    name: str
    text: str
    """The preprocessed P4 text: what is sent as device config."""
    p4info: p4i.P4Info
    layout: p4i.P4Info
    """P4Info as the data plane holds its objects: with the hidden ones, and untranslated."""
    c_source: str
    library: Path
    """The shared object; it stays in the cache folder."""


def preprocess_file(path: Path, include_dirs: Sequence[Path] = (), defines: Sequence[str] = ()) -> str:
    """The P4 text of a file with includes and macros expanded, with line markers. P4Error if that fails."""
    return preprocess(path, include_dirs, defines)


def compile_file(
    path: Path, include_dirs: Sequence[Path] = (), defines: Sequence[str] = ()
) -> CompiledProgram:
    """Preprocesses and compiles a file. P4Error with places, or build.BuildError."""
    return compile_text(preprocess_file(path, include_dirs, defines), name=path.stem)


def compile_text(text: str, *, name: str) -> CompiledProgram:
    """Compiles a preprocessed text. P4Error with places, or build.BuildError; cached results come at once."""
    _check_text(text, name)
    folder = _folder(text, name)
    if not cache.use(folder):
        _compile_into(folder, text, name)
    return _load(folder, text, name)


def cached_program(text: str, *, name: str) -> CompiledProgram | None:
    """The result of an earlier compilation of the same text, None without one. P4Error as `compile_text`."""
    _check_text(text, name)
    folder = _folder(text, name)
    return _load(folder, text, name) if cache.use(folder) else None


def _folder(text: str, name: str) -> Path:
    return build.cache_dir() / f"program-{build.digest(_toolchain_digest(), name, text)}"


def _load(folder: Path, text: str, name: str) -> CompiledProgram:
    return CompiledProgram(
        name=name,
        text=text,
        p4info=p4i.P4Info.FromString((folder / "p4info.bin").read_bytes()),
        layout=p4i.P4Info.FromString((folder / "layout.bin").read_bytes()),
        c_source=(folder / "program.c").read_text(),
        library=folder / "program.so",
    )


def _check_text(text: str, name: str) -> None:
    if len(text) > MAX_TEXT:
        raise P4Error([Diagnostic(name, 1, 1, f"the program is longer than {MAX_TEXT} characters")])
    directive = _DIRECTIVE.search(text)
    if directive is not None:
        line = text.count("\n", 0, directive.start()) + 1
        message = "preprocessor directive in a preprocessed text: only line markers may stand here"
        raise P4Error([Diagnostic(name, line, 1, message, text.split("\n")[line - 1])])


@functools.cache
def _toolchain_digest() -> str:
    """Hash of everything but the text that decides what comes out: runtime, C compiler, our own sources."""
    sources = sorted(f for part in ("p4", "codegen") for f in (_PACKAGE / part).glob("*.py"))
    sources += [*sorted(_PACKAGE.glob("p4info*.py")), _PACKAGE / "compiler.py"]
    return build.digest(build.runtime_digest(), *(f.read_bytes() for f in sources))


def _compile_into(folder: Path, text: str, name: str) -> None:
    from softswitch.codegen import generate_c  # here: a cached program needs none of the compiler
    from softswitch.p4.frontend import parse_program
    from softswitch.p4info import build_layout, build_p4info

    program = parse_program(text, name)
    info, layout = build_p4info(program), build_layout(program)
    c_source = generate_c(program, layout)
    with cache.aside(folder.parent) as made:
        (made / "program.c").write_text(c_source)
        (made / "p4info.bin").write_bytes(info.SerializeToString(deterministic=True))
        (made / "layout.bin").write_bytes(layout.SerializeToString(deterministic=True))
        build.build_library(made / "program.c", made / "program.so")
        cache.publish(made, folder)
