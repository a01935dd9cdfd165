# SPDX-License-Identifier: Apache-2.0
"""What one controller has learned of services, and the next one still knows."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from controller.learned import LearnedFile
from controller.logic.model import Service
from controller.packets import Options

from .world import make_config

OFFERED = Options(mss=1460, window_scale=7, sack=True, timestamps=(1, 0))
POOR = Options(mss=1000, window_scale=None, sack=False, timestamps=None)


def services(**given: Any) -> list[Service]:
    """Two: one that is configured with these keys, and an IPv6 one."""
    web = {"name": "web", "address": "203.0.113.10", "port": 80, **given}
    config = make_config([web, {"name": "web-v6", "address": "2001:db8::80", "port": 80}])
    return [Service.of(service, number) for number, service in enumerate(config.services)]


def told(service: Service) -> tuple[int, int | None, bool, bool]:
    return service.mss, service.window_scale, service.sack, service.timestamps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "learned.json"


@pytest.fixture
def written(path: Path) -> Path:
    before = services()
    for service in before:
        service.learn(OFFERED, POOR)
    LearnedFile(path).save(before)
    return path


def test_it_is_known_again(written: Path) -> None:
    after = services()
    LearnedFile(written).restore(after)
    assert [told(service) for service in after] == [(1000, None, False, False)] * 2
    assert after[0].learned == {"mss": 1000, "window_scale": None, "sack": False, "timestamps": False}
    rich = Options(mss=1460, window_scale=7, sack=True, timestamps=(1, 1))
    assert not after[0].learn(OFFERED, rich)  # as in one controller: what once lacked is not offered again


def test_what_no_answer_has_shown_stays_open(path: Path) -> None:
    before, after = services(), services()
    before[0].learn(Options(mss=1460), Options(mss=1200))
    LearnedFile(path).save(before)
    LearnedFile(path).restore(after)
    assert [service.learned for service in after] == [{"mss": 1200}, {}]
    assert told(after[0]) == (1200, 7, True, True)


def test_what_is_given_stays_as_it_is_given(written: Path) -> None:
    after = services(mss=1300, window_scale=3, sack=True, timestamps=True)
    LearnedFile(written).restore(after)
    assert told(after[0]) == (1300, 3, True, True)


def test_services_that_are_no_more_are_passed_over(written: Path) -> None:
    after = services(port=8080)
    LearnedFile(written).restore(after)
    assert told(after[0]) == told(services()[0])
    assert told(after[1]) == (1000, None, False, False)


def test_only_the_owner_reads_it_and_nothing_is_left_beside_it(written: Path) -> None:
    assert written.stat().st_mode & 0o777 == 0o600
    assert list(written.parent.iterdir()) == [written]


def test_it_is_only_written_when_there_is_news(path: Path) -> None:
    known, file = services(), LearnedFile(path)
    known[0].learn(OFFERED, POOR)
    file.save(known)
    path.unlink()
    file.save(known)
    assert not path.exists()
    known[1].learn(OFFERED, POOR)
    file.save(known)
    assert len(json.loads(path.read_text())["services"]) == 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no JSON"),
        (b"\x00\xff\x80", "no JSON"),
        (b"[]", "valid dictionary"),
        (b'{"version": 1, "services": [', "no JSON"),
        (b'{"version": 2, "services": []}', "version: Input should be 1"),
        (b'{"version": 1}', "services: Field required"),
        (b'{"version": 1, "services": [], "more": 1}', "more: Extra inputs"),
        (
            b'{"version": 1, "services": [{"address": "nowhere"}]}',
            "'nowhere'; give an address",
        ),
        (b'{"version": 1, "services": ' + b"[" * 100_000, "no JSON"),
        (b" " * (2 << 20), "no JSON"),
    ],
)
def test_a_broken_file_costs_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture, content: bytes, complaint: str
) -> None:
    path.write_bytes(content)
    after = services()
    LearnedFile(path).restore(after)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert complaint in record.message
    assert str(path) in record.message
    assert "\n" not in record.message
    assert [told(service) for service in after] == [told(service) for service in services()]


@pytest.mark.parametrize(
    ("key", "value"), [("mss", 70000), ("mss", "1460"), ("window_scale", 15), ("sack", 1), ("sack", None)]
)
def test_a_value_that_cannot_be_costs_a_warning(
    written: Path, caplog: pytest.LogCaptureFixture, key: str, value: object
) -> None:
    content = json.loads(written.read_text())
    content["services"][0]["told"][key] = value
    written.write_text(json.dumps(content))
    after = services()
    LearnedFile(written).restore(after)
    assert f"services.0.told.{key}" in caplog.text
    assert told(after[1]) == told(services()[1])


def test_without_a_file_nothing_is_said(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = services()
    known[0].learn(OFFERED, POOR)
    for file in (LearnedFile(path), LearnedFile(None)):
        file.restore(known)
    LearnedFile(None).save(known)
    assert not caplog.records


def test_a_folder_that_is_not_there_costs_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known, file = services(), LearnedFile(tmp_path / "none" / "learned.json")
    known[0].learn(OFFERED, POOR)
    file.save(known)
    file.save(known)
    (record,) = caplog.records
    assert "not written: No such file or directory" in record.message


async def test_it_is_written_at_the_end(path: Path) -> None:
    known = services()
    task = asyncio.create_task(LearnedFile(path).run(known))
    await asyncio.sleep(0)
    known[0].learn(OFFERED, POOR)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert '"mss": 1000' in path.read_text()
