# SPDX-License-Identifier: Apache-2.0
"""The command line `syncline`: puts together the commands of the switch, the controller and the labs.

Each part is loaded when one of its commands is called: a switch need not wait for what labs are made with.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

PARTS = {
    "switch": "softswitch.cli",
    "compile": "softswitch.cli",
    "stf": "softswitch.cli",
    "controller": "controller.commands",
    "status": "controller.commands",
    "sessions": "controller.commands",
    "reload": "controller.commands",
    "lab": "controller.lab.cli",
    "scenario": "controller.scenario.cli",
}
"""The module whose `register` adds a command, in the order of the help."""
MARKUP: Final = "markdown"


class Commands(TyperGroup):
    """The commands of `PARTS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(PARTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in PARTS:
            close = get_close_matches(cmd_name, PARTS, 1)
            ctx.fail(f"no such command: {cmd_name}" + (f"; did you mean {close[0]}?" if close else ""))
        part = typer.Typer(rich_markup_mode=MARKUP)
        import_module(PARTS[cmd_name]).register(part)
        return get_group(part).commands[cmd_name]


main = typer.Typer(
    name="syncline",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@main.callback()
def syncline() -> None:
    """An in-network SYN proxy: P4 switches answer SYNs with cookies, a controller shares every proven session
    with all of them. Start with: `syncline lab up two-pop`
    """
