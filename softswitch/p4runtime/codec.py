# SPDX-License-Identifier: Apache-2.0
"""What grpclib is to do with messages and error details: nothing, both are bytes already."""

from __future__ import annotations

from typing import Any

from grpclib.const import Status
from grpclib.encoding.base import CodecBase, StatusDetailsCodecBase


class Serialised(CodecBase):
    """Messages as bytes: they are encoded and decoded where they are used."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        data: bytes = message
        return data

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


class Details(StatusDetailsCodecBase):
    """`grpc-status-details-bin` as a serialised `google.rpc.Status`."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        data: bytes = details
        return data

    def decode(self, status: Status, message: str | None, data: bytes) -> bytes:
        return data
