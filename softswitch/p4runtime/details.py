# SPDX-License-Identifier: Apache-2.0
"""What grpclib is to do with error details: nothing, they are bytes already."""

from __future__ import annotations

from typing import Any

from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase


class Details(StatusDetailsCodecBase):
    """`grpc-status-details-bin` as a serialised `google.rpc.Status`."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        data: bytes = details
        return data

    def decode(self, status: Status, message: str | None, data: bytes) -> bytes:
        return data
