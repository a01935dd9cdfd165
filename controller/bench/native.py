# SPDX-License-Identifier: Apache-2.0
"""The bench's own C, built once and kept in the cache."""

from __future__ import annotations

import tempfile
from pathlib import Path

from softswitch import build

_FOLDER = Path(__file__).parent


def built(source: str) -> Path:
    """A C file of this folder as a shared object that takes the runtime's functions from a loaded program."""
    path = _FOLDER / source
    flags = [*build.COMMON_FLAGS, *build.WARNINGS, f"-I{build.RUNTIME_DIR}", "-shared", "-pthread"]
    key = build.digest(build.runtime_digest(), " ".join(flags), path.read_bytes())
    target = build.cache_dir() / f"bench-{key}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=build.cache_dir(), prefix="build-") as folder:
            fresh = Path(folder) / target.name
            build.run_cc([*flags, str(path)], fresh, source)
            fresh.replace(target)
    return target
