# SPDX-License-Identifier: Apache-2.0
"""Building shared objects: the runtime once per machine, then each generated C file linked with it.

Results lie in a cache folder (`cache.py`) under the hash of all that went into them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from softswitch import cache

RUNTIME_DIR = Path(__file__).resolve().parent / "runtime"
COMMON_FLAGS = (
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O3",
    "-g1",
    "-fPIC",
    "-fno-strict-aliasing",
    "-fno-diagnostics-show-caret",  # which would quote files that #line in a pushed program names
    "-fvisibility=default",
)
WARNINGS = ("-Wall", "-Wextra")
INLINE_FLAGS = ("-finline-functions", "-finline-limit=200")
"""For generated code, whose small controls are worth inlining: 1.4 times the packets for our program."""
GENERATED_FLAGS = (
    *INLINE_FLAGS,
    "-Wno-unused-function",
    "-Wno-unused-variable",
    "-Wno-unused-parameter",
    "-Wno-type-limits",
)
LINK_FLAGS = ("-shared", "-Wl,-Bsymbolic", "-pthread")
CC_TIMEOUT_S = 120
CC_MEMORY_KIB = 4 << 20
"""Address space that the C compiler may take: hostile programs must not eat the machine."""


class BuildError(Exception):
    """The C compiler is missing, failed, or took too long; the text says so in its first line."""


def cache_dir() -> Path:
    """`$SYNCLINE_CACHE`, or `~/.cache/syncline`; made if it is not there."""
    given = os.environ.get("SYNCLINE_CACHE")
    folder = Path(given) if given else Path.home() / ".cache" / "syncline"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"cache folder {folder}: {error.strerror}; set SYNCLINE_CACHE") from error
    return folder


@functools.cache
def compiler() -> str:
    """Path of the C compiler."""
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        raise BuildError("no C compiler (cc) found: install gcc or clang")
    return found


@functools.cache
def compiler_version() -> str:
    """First lines of `cc --version`."""
    result = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False)
    return result.stdout


def digest(*parts: str | bytes) -> str:
    """Hash of some texts, as a name for files."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()[:32]


@functools.cache
def runtime_digest() -> str:
    """Hash of the runtime's sources, the flags and the compiler's version."""
    files = sorted([*RUNTIME_DIR.glob("*.c"), *RUNTIME_DIR.glob("*.h")])
    flags = " ".join((*COMMON_FLAGS, *WARNINGS, *GENERATED_FLAGS, *LINK_FLAGS))
    return digest(compiler_version(), flags, *(part for f in files for part in (f.name, f.read_bytes())))


def run_cc(arguments: list[str], output: Path, what: str) -> None:
    """Runs the C compiler with limits of time and memory. BuildError when it fails.

    Its temporary files lie beside the output, in a folder that the caller removes: when the compiler is
    killed it leaves them.
    """
    limited = ["/bin/sh", "-c", f'ulimit -v {CC_MEMORY_KIB}; exec "$@"', "cc"]
    command = [*limited, compiler(), *arguments, "-o", str(output)]
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(output.parent)},
    ) as process:
        try:
            _, stderr = process.communicate(timeout=CC_TIMEOUT_S)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise BuildError(f"{what}: the C compiler took more than {CC_TIMEOUT_S} s") from error
            raise
    if process.returncode != 0:
        raise BuildError(f"{what}: the C compiler failed:\n{stderr.strip()[-4000:]}")


def _compile_runtime(source: Path, folder: Path) -> str:
    output = folder / f"{source.stem}.o"
    run_cc([*COMMON_FLAGS, *WARNINGS, "-c", str(source)], output, source.name)
    return str(output)


def runtime_archive() -> Path:
    """The runtime as a static library."""
    target = cache_dir() / f"runtime-{runtime_digest()}.a"
    if cache.use(target):
        return target
    with cache.aside(target.parent) as folder, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        sources = sorted(RUNTIME_DIR.glob("*.c"))
        objects = list(pool.map(lambda source: _compile_runtime(source, folder), sources))
        archive = folder / "runtime.a"
        subprocess.run(["ar", "rcs", str(archive), *objects], check=True, capture_output=True)
        cache.publish(archive, target)
    return target


def build_library(c_source: Path, output: Path) -> None:
    """Compiles a generated file and links it with the runtime into a shared object."""
    archive = runtime_archive()
    arguments = [*COMMON_FLAGS, *WARNINGS, *GENERATED_FLAGS, f"-I{RUNTIME_DIR}", str(c_source)]
    whole = ["-Wl,--whole-archive", str(archive), "-Wl,--no-whole-archive"]
    run_cc([*arguments, *LINK_FLAGS, *whole], output, c_source.name)
