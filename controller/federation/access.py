# SPDX-License-Identifier: Apache-2.0
"""How to get in: TLS files and credentials for NATS, the secret that the members share."""

from __future__ import annotations

from typing import Any

from controller.config import FederationConfig


def connect_options(config: FederationConfig) -> dict[str, Any]:
    """Arguments of nats-py's `connect` for the configured user, token or credentials file."""
    return {}
