# SPDX-License-Identifier: Apache-2.0
"""The prompt of `make run`: commands on hosts as Mininet has them, and a look at status and sessions."""

from __future__ import annotations

import cmd
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import typer

from controller import commands
from controller.lab.errors import LabError
from controller.lab.lab import Lab


class Prompt(cmd.Cmd):
    """One command a line. A line that begins with the name of a host or switch runs the rest of it there."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab = lab
        self.failures = 0
        """Commands that failed."""
        self.interactive = sys.stdin.isatty()
        self.use_rawinput = self.interactive
        self.prompt = f"{lab.name}> " if self.interactive else ""

    def do_sessions(self, _: str) -> None:
        """sessions: the sessions that the switches hold."""
        self._show(lambda: commands.sessions(api=self.lab.api_address))

    def do_status(self, _: str) -> None:
        """status: the switches, services and counters of the controller."""
        self._show(lambda: commands.status(api=self.lab.api_address))

    def do_hosts(self, _: str) -> None:
        """hosts: the hosts with their addresses, and the switches with their ports."""
        for name, node in self.lab.plan.nodes.items():
            what = ", ".join(i.name for i in node.interfaces) if node.is_switch else ", ".join(node.addresses)
            print(f"{name}: {what}")

    def do_exit(self, _: str) -> bool:
        """exit (or Ctrl-D): takes the lab down."""
        return True

    do_quit = do_exit

    def do_EOF(self, _: str) -> bool:  # noqa: N802  # the name that cmd gives to the end of the input
        """The end of the input is an exit."""
        if self.interactive:
            print()
        return True

    def do_help(self, arg: str) -> None:
        """help: this list."""
        del arg
        print("HOST COMMAND…  run a command on a host or switch: client curl http://203.0.113.10/")
        for name in ("sessions", "status", "hosts", "help", "exit"):
            command, _, text = str(getattr(self, f"do_{name}").__doc__).partition(": ")
            print(f"{command:<14} {text}")
        print(f"hosts and switches: {', '.join(self.lab.plan.nodes)}")

    def emptyline(self) -> bool:
        return False

    def default(self, line: str) -> None:
        """A command on a host."""
        try:
            host, *command = shlex.split(line, comments=True)
        except ValueError as error:
            self._fail(f"{error}: {line}")
            return
        if host not in self.lab.plan.nodes:
            self._fail(f"{host}: neither a command nor a host; try help")
        elif not command:
            self._fail(f"{host}: give the command to run there: {host} ip route")
        else:
            self._run(host, command)

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        return [
            name for name in [*super().completenames(text), *self.lab.plan.nodes] if name.startswith(text)
        ]

    def _run(self, host: str, command: list[str]) -> None:
        if shutil.which(command[0]) is None:
            self._fail(f"{command[0]}: command not found")
            return
        sys.stdout.flush()
        # The rest of a piped input is for this prompt, not for the command.
        child = self.lab.popen(host, command, stdin=None if self.interactive else subprocess.DEVNULL)
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
        try:
            if child.wait() != 0:
                self.failures += 1
        finally:
            signal.signal(signal.SIGINT, previous)

    def _show(self, show: Callable[[], None]) -> None:
        try:
            show()
        except typer.Exit:  # it has said why
            self.failures += 1

    def _fail(self, text: str) -> None:
        self.failures += 1
        print(text, file=sys.stderr, flush=True)


def run(lab: Lab) -> bool:
    """Reads commands until `exit` or the end of the input. Returns whether a command of a script failed."""
    prompt = Prompt(lab)
    if prompt.interactive:
        print(f"lab {lab.name} is up; help lists the commands")
    while True:
        try:
            prompt.cmdloop()
        except KeyboardInterrupt:
            print()  # Ctrl-C at the prompt drops the line
            continue
        except LabError as error:
            print(error, file=sys.stderr)
            continue
        return not prompt.interactive and prompt.failures > 0
