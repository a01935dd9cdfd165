# SPDX-License-Identifier: Apache-2.0
"""Topology files: finding, reading and checking them, and their JSON schema."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from pydantic import ValidationError

from controller.config_errors import ConfigError, Problem, describe, read_yaml
from controller.lab.checks import check
from controller.lab.model import Topology

TOPOLOGY_DIR = Path(__file__).resolve().parents[2] / "topologies"
SCHEMA = TOPOLOGY_DIR / "schema.json"


def find_topology(given: str | Path) -> Path:
    """The file of a topology named by its path, or by a bare name: topologies/NAME.yaml."""
    path = Path(given)
    if path.suffix or len(path.parts) > 1:
        return path.absolute()
    own = TOPOLOGY_DIR / f"{given}.yaml"
    if own.is_file():
        return own
    names = ", ".join(sorted(file.stem for file in TOPOLOGY_DIR.glob("*.yaml")))
    raise ConfigError(
        path, [Problem("", f": no such topology; give the path of a YAML file or one of {names}")]
    )


def load_topology(given: str | Path) -> Topology:
    """Reads and checks a topology.

    Raises:
        ConfigError: one line per problem, all problems at once.
    """
    path = find_topology(given)
    topology = read_topology(path)
    if problems := check(topology):
        raise ConfigError(path, problems)
    return topology


def read_topology(path: Path) -> Topology:
    """Reads a topology file, each key checked on its own. Raises ConfigError."""
    try:
        return Topology.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(path, describe(error, Topology)) from None


def topology_text(topology: Topology) -> str:
    """A topology as YAML that `read_topology` takes."""
    return yaml.safe_dump(topology.model_dump(mode="json"), sort_keys=False)


def schema_text() -> str:
    """The JSON schema of topology files, as topologies/schema.json holds it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Made by `syncline lab schema`: change controller/lab/topology.py instead.",
        **Topology.model_json_schema(mode="validation"),
    }
    return json.dumps(schema, indent=2) + "\n"
