# SPDX-License-Identifier: Apache-2.0
"""The command line `syncline`: puts together the commands of the switch, the controller and the labs."""

from __future__ import annotations

import typer

from controller import commands
from controller.lab import cli as lab
from controller.scenario import cli as scenario
from softswitch import cli as softswitch

main = typer.Typer(
    name="syncline",
    help="An in-network SYN proxy: P4 switches answer SYNs with cookies, a controller shares every proven "
    "session with all of them. Start with: `syncline lab up two-pop`",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
softswitch.register(main)
commands.register(main)
main.add_typer(lab.app, name="lab")
scenario.register(main)
