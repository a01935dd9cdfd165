# SPDX-License-Identifier: Apache-2.0
"""Configuration errors that say where (file and key path), what, and what would be right."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: `path` is a key path such as ``switches[0].name`` ('' = the file as a whole)."""

    path: str
    text: str


class ConfigError(Exception):
    """A configuration that cannot be used; `str()` has one line per problem."""

    def __init__(self, file: Path, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        super().__init__(
            "\n".join(f"{file}: {p.path}: {p.text}" if p.path else f"{file}{p.text}" for p in problems)
        )


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error and not silently the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ConfigError: unreadable file, or a syntax error with its line and column (from 1).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as err:
        raise ConfigError(
            path, [Problem("", f": {err.strerror}; give the path of a readable YAML file")]
        ) from None
    except UnicodeDecodeError as err:
        raise ConfigError(path, [Problem("", f": not UTF-8 text at byte {err.start}")]) from None
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(path, [Problem("", f"{where}: YAML: {err.problem or err.context}")]) from None
    except yaml.YAMLError as err:
        raise ConfigError(path, [Problem("", f": YAML: {' '.join(str(err).split())}")]) from None
    if data is None:
        raise ConfigError(path, [Problem("", ": empty; a mapping of keys was expected")])
    return data


def describe(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Pydantic's errors as problems; what would be right comes from the fields' descriptions in `model`."""
    problems: list[Problem] = []
    for detail in error.errors(include_url=False):
        if detail["type"] == "default_factory_not_called":
            continue  # only follows from another field's error
        problem = _problem(detail, model)
        if problem not in problems:
            problems.append(problem)
    return problems


def _problem(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    loc = detail["loc"]
    keys, owner, description = _walk(loc, model)
    path = _join(keys) or "(top)"
    kind = detail["type"]
    given = _show(detail["input"])
    if kind == "extra_forbidden":
        return Problem(path, _unknown_key(str(loc[-1]), owner))
    if kind == "missing":
        return Problem(path, f"missing; give {description}")
    if kind == "value_error":
        return Problem(path, str(detail["ctx"]["error"]))
    if kind in ("model_type", "dict_type"):
        return Problem(path, f"{given} is not a mapping of keys; give {description}")
    text = detail["msg"][0].lower() + detail["msg"][1:]
    return Problem(path, f"{given}: {text}; give {description}" if description else f"{given}: {text}")


def _unknown_key(key: str, owner: type[BaseModel] | None) -> str:
    known = sorted(owner.model_fields) if owner else []
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"unknown key; did you mean {close[0]}?"
    return f"unknown key; known here: {', '.join(known)}"


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _join(keys: list[str | int]) -> str:
    path = ""
    for key in keys:
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else key
    return path


def _walk(
    loc: tuple[int | str, ...], model: type[BaseModel]
) -> tuple[list[str | int], type[BaseModel] | None, str]:
    """The key path of an error's location, the model that holds the last key, and that key's description.

    Pydantic adds the tried member of a union to a location; such parts are no keys and are left out.
    """
    keys: list[str | int] = []
    current: type[BaseModel] | None = model
    owner: type[BaseModel] | None = model
    description = "a mapping of keys"
    names = False  # the next part is a key of a mapping of names, not of a model
    for index, part in enumerate(loc):
        if isinstance(part, int) or names:
            keys.append(part)
            names = False
            continue
        if current is not None and part in current.model_fields:
            field = current.model_fields[part]
            keys.append(part)
            owner, current = current, _model_in(field.annotation)
            names = typing.get_origin(field.annotation) is dict
            description = field.description or ""
        elif current is not None and index == len(loc) - 1:
            keys.append(part)
            owner = current
    return keys, owner, description


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model class inside `Model`, `list[Model]`, `dict[str, Model]` or `Model | None`."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for inner in typing.get_args(annotation):
        found = _model_in(inner)
        if found is not None:
            return found
    return None
