# SPDX-License-Identifier: Apache-2.0
"""Which combinations of options are tried."""

from __future__ import annotations

import itertools

import pytest

from controller.lab.topology import load_topology
from controller.scenario.matrix import Abilities, agreed, pairs
from controller.scenario.steps.options import Clients, OptionsMatrix, Server

CHOICES = ((None, 0, 7, 14), (None, 536, 1220, 1460, 8960), (True, False), (True, False))
CLIENTS = Clients(window_scale=CHOICES[0], mss=CHOICES[1], sack=CHOICES[2], timestamps=CHOICES[3])


def test_pairs_have_every_pair_and_are_few() -> None:
    found = list(pairs(CHOICES))
    for i, j in itertools.combinations(range(len(CHOICES)), 2):
        assert {(row[i], row[j]) for row in found} == set(itertools.product(CHOICES[i], CHOICES[j]))
    assert 20 <= len(found) <= 25


def test_all_are_all() -> None:
    assert len(set(CLIENTS.combinations("all"))) == 80
    assert set(CLIENTS.combinations("pairs")) <= set(CLIENTS.combinations("all"))


@pytest.mark.parametrize(
    ("offered", "had", "answer"),
    [
        (Abilities(7, 1460, True, True), Abilities(3, 1400, True, True), Abilities(3, 1400, True, True)),
        (Abilities(None, None, True, False), Abilities(3, 9, True, True), Abilities(None, 9, True, False)),
        (
            Abilities(0, 1, False, True),
            Abilities(None, None, True, False),
            Abilities(None, None, False, False),
        ),
        (Abilities(14, 1, False, True), Abilities(0, 1, True, True), Abilities(0, 1, False, True)),
    ],
)
def test_an_answer_has_what_both_have(offered: Abilities, had: Abilities, answer: Abilities) -> None:
    assert agreed(offered, had) == answer


def test_unknown_services_are_named() -> None:
    server = Server(window_scale=7, mss=1460, sack=True, timestamps=True)
    step = OptionsMatrix(host="client", local="198.19.7.40", clients=CLIENTS, servers={"wob": server})
    assert ("servers.wob", "no service wob in topology two-pop") in list(
        step.problems(load_topology("two-pop"))
    )
