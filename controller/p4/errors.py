# SPDX-License-Identifier: Apache-2.0
"""Why a switch is of no use, in one line; and the outcomes of the updates of one Write."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import grpc
from finsy.grpcutil import GRPCStatusCode
from finsy.p4client import P4ClientError, P4RpcStatus

OK: Final = 0
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6
RESOURCE_EXHAUSTED: Final = 8

_CONNECT = "failed to connect"
_UNRESOLVED = re.compile(r"errors resolving ([^ ]+): ")
_NO_PROGRAM = re.compile(r"no .*forwarding pipeline config", re.IGNORECASE)
_ID_IN_USE = re.compile(r"election id .*\b(?:used|exists)\b", re.IGNORECASE)


class SwitchError(Exception):
    """The connection to a switch ended or is of no use; the text is one line for an operator."""


class NotPrimaryError(SwitchError):
    """Another controller has become primary."""


class IdInUseError(SwitchError):
    """Another live stream uses our election id."""


class NoProgramError(SwitchError):
    """The switch runs no program yet."""


class DeposedError(SwitchError):
    """Another controller leads: a switch knows a higher election id than ours."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one update of a Write ended: a google.rpc code and the switch's text."""

    code: int
    message: str = ""

    def __str__(self) -> str:
        name = next((code.name for code in GRPCStatusCode if code == self.code), str(self.code))
        return f"{name} {self.message}".rstrip()


def switch_error(error: grpc.RpcError | P4ClientError, operation: str) -> SwitchError:
    """A failed RPC as one line."""
    status = error if isinstance(error, P4ClientError) else P4RpcStatus.from_rpc_error(error)
    return status_error(status.code, status.message, operation)


def status_error(code: int, message: str, operation: str) -> SwitchError:
    """A gRPC status as one line."""
    text = " ".join(message.split())
    if code == GRPCStatusCode.UNAVAILABLE:
        if _CONNECT in text:
            return SwitchError(f"cannot connect: {text.rpartition('error: ')[2].rstrip(';')}")
        if (unknown := _UNRESOLVED.search(text)) is not None:
            return SwitchError(f"cannot connect: the name in {unknown[1]} cannot be resolved")
        return SwitchError(f"connection lost: {text}")
    if code == GRPCStatusCode.INVALID_ARGUMENT and _ID_IN_USE.search(text):
        return IdInUseError("another controller uses the same election id")
    if code == GRPCStatusCode.DEADLINE_EXCEEDED:
        return SwitchError(f"{operation}: no answer in time")
    if code == GRPCStatusCode.NOT_FOUND and operation == "stream":
        return SwitchError(f"the switch refused the stream: {text}; is device_id right?")
    if code == GRPCStatusCode.PERMISSION_DENIED:
        return NotPrimaryError(f"{operation} refused: {text or 'not primary'}")
    return SwitchError(f"{operation}: {GRPCStatusCode(code).name} {text}".rstrip())


def write_outcomes(error: grpc.RpcError, count: int) -> list[Outcome]:
    """The outcome of each update of a Write that failed.

    Raises:
        SwitchError: the Write failed as a whole (connection, not primary, ...).
    """
    status = P4RpcStatus.from_rpc_error(error)
    if status.code != GRPCStatusCode.UNKNOWN or not status.details:
        raise switch_error(error, "Write")
    outcomes = [Outcome(OK)] * count
    for index, detail in status.details.items():
        if index < count:
            outcomes[index] = Outcome(int(detail.canonical_code), detail.message)
    return outcomes
