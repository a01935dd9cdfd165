# SPDX-License-Identifier: Apache-2.0
"""The P4 program that every switch runs: compiled for its target, or two prebuilt files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from controller.config import ProgramConfig
from controller.p4.proto import p4i
from controller.p4.schema import Schema, SchemaError

_COMPILE_TIME = 300.0


class ProgramError(Exception):
    """A program that cannot be had; the text is what the compiler said, or one line."""


@dataclass(frozen=True, slots=True)
class Program:
    """What SetForwardingPipelineConfig carries; `cookie` tells whether a switch runs this very program."""

    info: p4i.P4Info
    device_config: bytes
    cookie: int
    schema: Schema


def load_program(config: ProgramConfig) -> Program:
    """Compile or read the program. Takes seconds when it must be compiled.

    Raises:
        ProgramError: it does not compile, cannot be read, or lacks what the controller needs.
    """
    if config.p4 is not None:
        compiled = _compile_softswitch if config.target == "softswitch" else _compile_bmv2
        info, device_config = compiled(config.p4)
    else:
        info, device_config = _prebuilt(config)
    try:
        schema = Schema(info)
    except SchemaError as err:
        raise ProgramError(str(err)) from None
    return Program(info, device_config, _cookie(info, device_config), schema)


def _cookie(info: p4i.P4Info, device_config: bytes) -> int:
    """64 bits that differ when anything of the program does."""
    digest = hashlib.sha256(info.SerializeToString(deterministic=True))
    digest.update(len(device_config).to_bytes(8, "big") + device_config)
    return int.from_bytes(digest.digest()[:8], "big")


def _compile_softswitch(source: Path) -> tuple[p4i.P4Info, bytes]:
    from softswitch.compiler import compile_file
    from softswitch.p4.errors import P4Error

    try:
        compiled = compile_file(source)
    except P4Error as err:
        raise ProgramError(str(err)) from None
    except (OSError, RuntimeError) as err:
        raise ProgramError(f"{source}: {err}") from None
    return compiled.p4info, compiled.text.encode()


def _compile_bmv2(source: Path) -> tuple[p4i.P4Info, bytes]:
    compiler = os.environ.get("SYNCLINE_P4C") or shutil.which("p4c-bm2-ss")
    if compiler is None:
        raise ProgramError("p4c-bm2-ss is not in PATH; install p4c or name it in SYNCLINE_P4C")
    with tempfile.TemporaryDirectory(prefix="syncline-p4c-") as folder:
        info, output = Path(folder, "p4info.txtpb"), Path(folder, "program.json")
        command = [compiler, "--std", "p4-16", "--p4runtime-files", str(info), "-o", str(output), str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_TIME, check=False)
        except OSError as err:
            raise ProgramError(f"{compiler}: {err.strerror}") from None
        except subprocess.TimeoutExpired:
            raise ProgramError(f"{compiler}: not ready after {_COMPILE_TIME:g} s") from None
        if done.returncode != 0:
            raise ProgramError(done.stderr.strip() or f"{compiler}: exit code {done.returncode}")
        return _read_info(info), output.read_bytes()


def _prebuilt(config: ProgramConfig) -> tuple[p4i.P4Info, bytes]:
    if config.p4info is None or config.device_config is None:
        raise ProgramError("no program is configured")
    try:
        return _read_info(config.p4info), config.device_config.read_bytes()
    except OSError as err:
        raise ProgramError(f"{err.filename}: {err.strerror}") from None


def _read_info(path: Path) -> p4i.P4Info:
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), p4i.P4Info())
    except (text_format.ParseError, UnicodeDecodeError) as err:
        raise ProgramError(f"{path}: not a P4Info text file: {err}") from None
