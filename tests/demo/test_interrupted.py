# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while the demo is still being loaded: a line, no traceback, exit code 130."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BODY = """
import os, sys
from importlib.abc import MetaPathFinder

class Interrupting(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "controller.lab.lab":
            os.kill(os.getpid(), int(sys.argv[1]))

sys.meta_path.insert(0, Interrupting())
from controller.demo.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_is_loaded(number: signal.Signals) -> None:
    command = [sys.executable, "-c", BODY, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 128 + number
    assert done.stderr == "interrupted before the demo began\n"
    assert done.stdout == ""
