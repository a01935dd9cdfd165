# SPDX-License-Identifier: Apache-2.0
"""One loaded program with everything that belongs to it, and the forwarding-pipeline config that brought it.

The device config is preprocessed P4 text. The p4lang tutorials' client wraps it in a `p4.tmp.P4DeviceConfig`
(`device_data`, field 3); both are taken, and what came is what a Get returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from finsy.proto import p4i, p4r

from softswitch.build import BuildError
from softswitch.p4.errors import P4Error
from softswitch.p4runtime.dataplane import DataPlane
from softswitch.p4runtime.digests import Digests
from softswitch.p4runtime.entrymetadata import EntryMetadata
from softswitch.p4runtime.errors import INTERNAL, P4RuntimeError, invalid
from softswitch.p4runtime.p4infodiff import differences
from softswitch.p4runtime.profiles import Profiles
from softswitch.p4runtime.replication import Replication
from softswitch.p4runtime.schema import Schema

_MAX_DIFFERENCES = 8
_LENGTH_DELIMITED, _VARINT = 2, 0


class Program(Protocol):
    """A compiled program; `softswitch.compiler.CompiledProgram` is one."""

    @property
    def text(self) -> str: ...
    @property
    def p4info(self) -> p4i.P4Info: ...
    @property
    def layout(self) -> p4i.P4Info: ...
    @property
    def library(self) -> Path: ...


Compile = Callable[[str, str], Program]  # preprocessed text, name
OpenEngine = Callable[[Path], DataPlane]


class Pipeline:
    """A program in a data plane of its own. Reads and writes of its state go through here."""

    def __init__(
        self, program: Program, config: p4r.ForwardingPipelineConfig, open_engine: OpenEngine, cpu_port: int
    ) -> None:
        self.program = program
        self.config = config
        self.schema = Schema(program.p4info, program.layout)
        self.engine = open_engine(program.library)
        self.metadata = EntryMetadata()
        self.digests = Digests(self.schema.digests)
        self.replication = Replication(self.engine, cpu_port)
        self.profiles = Profiles(self.engine, self.schema.action_profiles.values(), self.schema.actions)

    def close(self) -> None:
        """Give the data plane back."""
        self.engine.close()


def verify(config: p4r.ForwardingPipelineConfig, compile_text: Compile) -> Program:
    """Compile a config's program and compare its P4Info; INVALID_ARGUMENT says what is wrong with either."""
    if not config.p4_device_config:
        raise invalid("the config has no p4_device_config: it must be preprocessed P4_16 source text")
    text = _program_text(config.p4_device_config)
    try:
        program = compile_text(text, _program_name(config.p4info, text))
    except P4Error as error:
        raise invalid(f"the program does not compile:\n{error}") from error
    except (BuildError, OSError) as error:
        raise P4RuntimeError(INTERNAL, f"the program cannot be built: {error}") from error
    found = differences(config.p4info, program.p4info)
    if found:
        shown = "; ".join(found[:_MAX_DIFFERENCES])
        more = f"; and {len(found) - _MAX_DIFFERENCES} more" if len(found) > _MAX_DIFFERENCES else ""
        raise invalid(f"the config's P4Info is not that of its program: {shown}{more}")
    return program


def _program_text(device_config: bytes) -> str:
    data = _unwrap(device_config)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise invalid(
            f"p4_device_config is not P4 source text: byte {error.start} is not UTF-8; "
            "this switch takes preprocessed P4_16 source, not a binary"
        ) from None
    if text.lstrip().startswith("{"):
        raise invalid(
            "p4_device_config looks like BMv2 JSON; this switch takes preprocessed P4_16 source text"
        )
    return text


def _program_name(info: p4i.P4Info, text: str) -> str:
    """A name for files and messages: P4Info's, else that of the file in the first line marker."""
    if info.pkg_info.name:
        return _plain(info.pkg_info.name)
    marker = re.search(r'^#\s*(?:line\s+)?\d+\s+"([^"<]+)"', text, re.MULTILINE)
    return _plain(Path(marker.group(1)).stem) if marker else "pipeline"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "pipeline"


def _unwrap(data: bytes) -> bytes:
    """`device_data` of a `p4.tmp.P4DeviceConfig`, or the bytes themselves when they are no such message.

    The message's possible first bytes (tags of fields 1, 2 and 3) are control characters that P4 text
    cannot begin with.
    """
    if data[:1] not in (b"\x08", b"\x12", b"\x1a"):
        return data
    position = 0
    device_data = b""
    while position < len(data):
        tag, position = _varint(data, position)
        value, position = _varint(data, position)
        if tag & 7 == _VARINT:
            continue
        if tag & 7 != _LENGTH_DELIMITED or position + value > len(data):
            raise invalid("p4_device_config is neither P4 source text nor a p4.tmp.P4DeviceConfig")
        if tag >> 3 == 3:
            device_data = data[position : position + value]
        position += value
    return device_data


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            raise invalid("p4_device_config is a broken p4.tmp.P4DeviceConfig")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise invalid("p4_device_config is a broken p4.tmp.P4DeviceConfig")
