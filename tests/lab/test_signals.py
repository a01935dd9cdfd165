# SPDX-License-Identifier: Apache-2.0
"""Signals end a run by an exception, but never in the middle of starting a process."""

from __future__ import annotations

import subprocess
import sys

PREPARE = "import os, signal\nfrom controller.lab.signals import *\nend_in_order_on_signals()\n"


def run(body: str) -> tuple[int, list[str]]:
    done = subprocess.run([sys.executable, "-c", PREPARE + body], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.split()


def test_the_way_out_is_gone() -> None:
    code, said = run(
        "try:\n os.kill(os.getpid(), signal.SIGTERM)\n print('on')\nfinally:\n print('cleaned')\n"
    )
    assert (code, said) == (143, ["cleaned"])


def test_put_off_to_the_end_of_the_block() -> None:
    inner = " with uninterrupted():\n  os.kill(os.getpid(), signal.SIGINT)\n print('started')\n"
    body = f"with uninterrupted():\n{inner}print('on')\n"
    assert run(body) == (130, ["started"])


def test_nothing_pending_nothing_raised() -> None:
    assert run("with uninterrupted():\n pass\nprint('on')\n") == (0, ["on"])


def test_the_way_out_is_not_interrupted() -> None:
    code, said = run(
        "try:\n os.kill(os.getpid(), signal.SIGTERM)\n"
        "finally:\n os.kill(os.getpid(), signal.SIGTERM)\n os.kill(os.getpid(), signal.SIGINT)\n"
        " print('cleaned')\n"
    )
    assert (code, said) == (143, ["cleaned"])


def test_put_off_without_handlers_of_ours() -> None:
    """As in a program that uses labs as a library: Ctrl-C is Python's own then."""
    code, said = run(
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n with uninterrupted():\n  os.kill(os.getpid(), signal.SIGINT)\n  print('done')\n"
        "except KeyboardInterrupt:\n print('interrupted')\n"
    )
    assert (code, said) == (0, ["done", "interrupted"])


def test_other_threads_see_no_signals() -> None:
    body = "import threading\n"
    body += "def work():\n with uninterrupted():\n  print('worked')\n"
    body += "t = threading.Thread(target=work)\nt.start()\nt.join()\n"
    assert run(body) == (0, ["worked"])


def test_a_forked_child_ends_and_cleans_nothing_up() -> None:
    code, said = run(
        "import time\nready, go = os.pipe()\nchild = os.fork()\n"
        "try:\n"
        " if not child:\n  os.write(go, b'x')\n  time.sleep(30)\n"
        " os.read(ready, 1)\n"
        " os.kill(child, signal.SIGTERM)\n"
        " print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "finally:\n print('cleaned', flush=True)\n"
    )
    assert (code, said) == (0, ["143", "cleaned"])
