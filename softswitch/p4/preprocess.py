# SPDX-License-Identifier: Apache-2.0
"""The C preprocessor before the front end: includes, macros, line markers."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from softswitch.p4.errors import Diagnostic, P4Error

INCLUDE_DIR = Path(__file__).resolve().parent.parent / "p4include"
"""Our own core.p4 and v1model.p4; searched after the user's folders."""

_MARKER = re.compile(r'# ([0-9]+) "((?:[^"\\]|\\.)*)"')
_MESSAGE = re.compile(
    r"(?P<file>[^:\n]+):(?P<line>[0-9]+):(?:(?P<column>[0-9]+):)? (?:fatal )?error: (?P<text>.*)"
)
_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|/\*.*?\*/|//.*')
_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|/\*.*?\*/|//.*|\s+')


def preprocess(path: Path, include_dirs: Sequence[Path] = (), defines: Sequence[str] = ()) -> str:
    """The text of `path` with includes and macros expanded and line markers kept.

    `defines` are NAME or NAME=VALUE. Raises P4Error when the file, an include or the C compiler is missing.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise P4Error([Diagnostic(str(path), 1, 1, "no C compiler (cc) found: install gcc or clang")])
    if not path.is_file():
        raise P4Error([Diagnostic(str(path), 1, 1, "no such file")])
    command = [compiler, "-E", "-undef", "-nostdinc", "-x", "assembler-with-cpp", "-fno-diagnostics-color"]
    command += [f"-I{folder}" for folder in [*include_dirs, INCLUDE_DIR]]
    command += [f"-D{define}" for define in defines] + [
        f"./{path}" if str(path).startswith("-") else str(path)
    ]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if result.returncode != 0:
        raise P4Error(_complaints(result.stderr, path))
    return _restore_columns(result.stdout)


def _complaints(stderr: str, path: Path) -> list[Diagnostic]:
    found = []
    for match in _MESSAGE.finditer(stderr):
        line, column = int(match["line"]), int(match["column"] or 1)
        source = _source_lines(match["file"])
        text = source[line - 1] if 0 < line <= len(source) else ""
        found.append(Diagnostic(match["file"], line, column, match["text"], text))
    return found or [Diagnostic(str(path), 1, 1, "preprocessing failed: " + stderr.strip()[-500:])]


def _source_lines(name: str) -> list[str]:
    try:
        return Path(name).read_text(errors="replace").split("\n")
    except OSError:
        return []


def _restore_columns(text: str) -> str:
    """Gives lines without macros back the spacing that the preprocessor squeezed, for right columns."""
    files: dict[str, list[str]] = {}
    source: list[str] = []
    line = 0
    result = []
    for output in text.split("\n"):
        if match := _MARKER.match(output):
            name = re.sub(r"\\(.)", r"\1", match[2])
            source = files.setdefault(name, _source_lines(name) if not name.startswith("<") else [])
            line = int(match[1])
            result.append(output)
            continue
        original = source[line - 1] if 0 < line <= len(source) else ""
        same = output.strip() and _BLANKS.sub(r"\1", original) == _BLANKS.sub(r"\1", output)
        result.append(_without_comments(original) if same else output)
        line += 1
    return "\n".join(result)


def _without_comments(line: str) -> str:
    return _COMMENT.sub(lambda m: m[1] or " " * len(m[0]), line).rstrip()
