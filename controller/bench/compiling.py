# SPDX-License-Identifier: Apache-2.0
"""How long the P4 program takes from source to loadable switch, with an empty cache and with a filled one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

from controller.lab.targets import P4_SOURCE

_TIMED = """
import json, sys, time
from pathlib import Path
from softswitch.compiler import compile_file
start = time.perf_counter()
compile_file(Path(sys.argv[1]))
print(json.dumps(time.perf_counter() - start))
"""


def compile_seconds() -> tuple[float, float]:
    """(cold, cached) seconds of compile_file, each in a Python of its own and a cache folder of its own."""
    with tempfile.TemporaryDirectory() as cache:
        return _timed(cache), _timed(cache)


def _timed(cache: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED, str(P4_SOURCE)],
        env={**os.environ, "SYNCLINE_CACHE": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout))
