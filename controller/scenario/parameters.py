# SPDX-License-Identifier: Apache-2.0
"""Parameters of a scenario: numbers and texts that its long form, or BMv2, has other values for.

`@{NAME}` stands for one, anywhere below a file's keys. Alone in a value it stands for the number itself,
within a text for its digits. What is no parameter stays for the steps (see `steps.programs.expand`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

Parameter: TypeAlias = int | float | str

_PLACEHOLDER = re.compile(r"@\{([a-z]\w*)\}")
_DEFINITIONS = ("parameters", "soak", "bmv2")


def with_parameters(document: Any, parameters: Mapping[str, Parameter]) -> Any:
    """A scenario file's content with the parameters filled in, but for their own definitions."""
    return {
        key: value if key in _DEFINITIONS else _filled(value, parameters) for key, value in document.items()
    }


def _filled(value: Any, parameters: Mapping[str, Parameter]) -> Any:
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        if whole is not None and whole[1] in parameters:
            return parameters[whole[1]]
        return _PLACEHOLDER.sub(lambda match: str(parameters.get(match[1], match[0])), value)
    if isinstance(value, list):
        return [_filled(item, parameters) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, parameters) for key, item in value.items()}
    return value
