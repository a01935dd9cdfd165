# SPDX-License-Identifier: Apache-2.0
"""Skips what this machine cannot run, and says why; files of tests are in build/; CAs for tests of TLS."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import FrameType

import hypothesis
import pytest

from controller.lab.certificates import Authority
from controller.lab.cli import SHELL_PYTHON
from controller.lab.errors import LabError
from controller.lab.targets import BMV2, P4C, find_tool

OWN_FILES = pytest.StashKey[str]()

# How long an example takes says something about the machine, nothing about what is tested.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


def _missing(*tools: str) -> str | None:
    try:
        for tool in tools:
            find_tool(tool)
    except LabError as error:
        return str(error)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    build = config.rootpath / "build"
    _settings_of_libraries(build / "home")
    if config.option.basetemp is None:
        own = tempfile.mkdtemp(dir=build, prefix="t.")  # short: unix sockets lie in it
        config.option.basetemp = config.stash[OWN_FILES] = own
    _end_in_order()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """The files of tests that failed stay."""
    own = session.config.stash.get(OWN_FILES, None)
    if own is not None and exitstatus != pytest.ExitCode.TESTS_FAILED:
        shutil.rmtree(own, ignore_errors=True)


def _settings_of_libraries(folder: Path) -> None:
    """Where scapy and p4runtime-shell, which is an IPython, keep what they would keep at home."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "IPYTHONDIR"):
        os.environ[name] = str(folder)


def _end_in_order() -> None:
    """SIGTERM and SIGHUP end the tests as Ctrl-C does: fixtures take their labs down.

    But not in forked children, such as pyroute2's, which it ends by SIGTERM.
    """
    owner = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner:
            os._exit(128 + number)
        for each in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, lambda *_: None)  # make hands on what its whole process group has got
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    # What a shell puts in the background ignores SIGINT, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reasons = {
        "root": None if os.geteuid() == 0 else "needs root (it makes network namespaces)",
        "bmv2": _missing(BMV2, P4C),
        "p4c": _missing(P4C),
        "shell": None
        if SHELL_PYTHON.exists()
        else "needs p4runtime-shell in .venv-shell (make test sets it up)",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason is not None and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    """A CA that the other end does not know."""
    return Authority(tmp_path / "stranger", "stranger")
