# SPDX-License-Identifier: Apache-2.0
"""Our P4 program in this very process, without ports or server, its tables written by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.lab.targets import P4_SOURCE
from softswitch.compiler import CompiledProgram, compile_file
from softswitch.engine import INSERT, MODIFY, Engine


class ProgramError(RuntimeError):
    """A table does not take what the bench writes: program and bench have grown apart."""


class Program:
    """The program in an engine. Values are numbers; what is not named is 0."""

    def __init__(self, compiled: CompiledProgram | None = None, library: Path | None = None) -> None:
        """`library`: another build of the same program."""
        self.compiled = compiled or compile_file(P4_SOURCE)
        self.info = self.compiled.p4info
        self.engine = Engine(library or self.compiled.library)

    def table(self, name: str) -> Any:
        """A table's description, by its alias."""
        return next(t for t in self.info.tables if t.preamble.alias == name)

    def action(self, name: str) -> Any:
        """An action's description, by its alias."""
        return next(a for a in self.info.actions if a.preamble.alias == name)

    def params(self, action: str, **values: int) -> bytes:
        """An action's parameters as the engine takes them."""
        found = self.action(action).params
        return b"".join(values.get(p.name, 0).to_bytes((p.bitwidth + 7) // 8, "big") for p in found)

    def key(self, table: str, **values: int) -> bytes:
        """A table's key as the engine takes it."""
        fields = self.table(table).match_fields
        return b"".join(values[f.name].to_bytes((f.bitwidth + 7) // 8, "big") for f in fields)

    def insert(self, table: str, key: bytes, action: str, mask: bytes | None = None, **values: int) -> None:
        """Adds an entry."""
        where = self.table(table).preamble.id
        params = self.params(action, **values)
        action_id = self.action(action).preamble.id
        if self.engine.write(INSERT, where, key, mask, 0, action_id, params) != 0:
            raise ProgramError(f"table {table} does not take {action}")

    def default(self, table: str, action: str, **values: int) -> None:
        """Sets a table's default entry."""
        where, what = self.table(table).preamble.id, self.action(action).preamble.id
        if self.engine.write(MODIFY, where, b"", None, 0, what, self.params(action, **values), flags=1) != 0:
            raise ProgramError(f"table {table} does not take {action} by default")


CLIENTS, SERVER = 0x0A000000, 0xCB00710A
"""Clients are 10.0.0.0 and the addresses that follow; the server is 203.0.113.10."""
CLIENT_PORT, SERVER_PORT = 40000, 80


def one_service(program: Program) -> None:
    """A protected server behind port 2, its clients behind port 1, as a controller would set it up."""
    server = SERVER.to_bytes(4, "big")
    program.insert(
        "services_v4",
        program.key("services_v4", server=SERVER, server_port=SERVER_PORT),
        "protect",
        mss=1460,
        window_scale=7,
        sack=1,
        timestamps=1,
        window=5840,
    )
    program.insert(
        "service_sources_v4",
        program.key("service_sources_v4", server=SERVER, server_port=SERVER_PORT),
        "served",
    )
    program.insert("protected_v4", server, "protected")
    program.insert("protected_sources_v4", server, "protected_source")
    program.insert("cookie_keys", b"\0", "set_key", k0=0x03020100, k1=0x07060504, epoch=1000)
    program.default("cookie_epoch", "set_epoch", parity=0)
    everything = bytes(4)
    program.insert("routes_v4", everything, "via", everything, port=1, next_hop=0xC6120102)
    program.insert("routes_v4", server, "direct", b"\xff" * 4, port=2)
    for hop, port, mac in ((0xC6120102, 1, 0x02000000000C), (SERVER, 2, 0x02000000000D)):
        program.insert("neighbours_v4", hop.to_bytes(4, "big"), "set_destination_mac", mac=mac)
        program.insert("ports", program.key("ports", port=port), "set_source_mac", mac=mac + 16)
