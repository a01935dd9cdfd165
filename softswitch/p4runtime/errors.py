# SPDX-License-Identifier: Apache-2.0
"""Errors of the P4Runtime server and how they travel: gRPC status, per-update details, stream errors.

Write and Read report one `p4.v1.Error` per element of a batch inside a `google.rpc.Status` in the trailer
`grpc-status-details-bin` (P4Runtime specification, "Error Reporting Messages").
"""

from __future__ import annotations

from collections.abc import Sequence

from finsy.proto import p4r, rpc_code, rpc_status

OK = rpc_code.OK
UNKNOWN = rpc_code.UNKNOWN
INVALID_ARGUMENT = rpc_code.INVALID_ARGUMENT
NOT_FOUND = rpc_code.NOT_FOUND
ALREADY_EXISTS = rpc_code.ALREADY_EXISTS
PERMISSION_DENIED = rpc_code.PERMISSION_DENIED
RESOURCE_EXHAUSTED = rpc_code.RESOURCE_EXHAUSTED
FAILED_PRECONDITION = rpc_code.FAILED_PRECONDITION
OUT_OF_RANGE = rpc_code.OUT_OF_RANGE
UNIMPLEMENTED = rpc_code.UNIMPLEMENTED
INTERNAL = rpc_code.INTERNAL
CANCELLED = rpc_code.CANCELLED
UNAVAILABLE = rpc_code.UNAVAILABLE

_LAST_CODE = rpc_code.UNAUTHENTICATED

DETAILS_KEY = "grpc-status-details-bin"

# Clients refuse trailers that are too long as a whole. The specification advises them to allow for 8192
# bytes + 100 per update; finsy allows 64 KiB. An Error without a text takes about 45 bytes; texts beyond
# the rest are left out.
_TRAILER_BASE = 8192
_TRAILER_PER_ERROR = 100
_TRAILER_MOST = 60_000
_ERROR_FRAME = 45
_LEAST_TEXT = 2048

_DEFAULT_TEXT: dict[int, str] = {
    INVALID_ARGUMENT: "invalid argument",
    NOT_FOUND: "no such entry",
    ALREADY_EXISTS: "entry already exists",
    PERMISSION_DENIED: "not allowed: constant table or entry",
    RESOURCE_EXHAUSTED: "table is full",
    OUT_OF_RANGE: "value out of range",
    UNIMPLEMENTED: "not supported by this switch",
    INTERNAL: "internal error of the data plane",
}


class P4RuntimeError(Exception):
    """A request, or one element of a batch, failed with a canonical gRPC code and a text for developers."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class BatchError(Exception):
    """Elements of a batch failed; `errors` has one place per element, None where all went well."""

    def __init__(self, what: str, errors: Sequence[P4RuntimeError | None]) -> None:
        failed = sum(error is not None for error in errors)
        super().__init__(f"{what}: {failed} of {len(errors)} failed")
        self.errors = errors

    def to_status(self) -> rpc_status.Status:
        """The `google.rpc.Status` with one `p4.v1.Error` per element, in order."""
        status = rpc_status.Status(code=UNKNOWN, message=str(self))
        count = len(self.errors)
        allowed = min(_TRAILER_BASE + _TRAILER_PER_ERROR * count, _TRAILER_MOST)
        text_budget = max(allowed - _ERROR_FRAME * count, _LEAST_TEXT)
        for error in self.errors:
            detail = p4r.Error()
            if error is not None:
                detail.canonical_code = error.code
                text_budget -= len(error.message)
                if text_budget >= 0:
                    detail.message = error.message
            status.details.add().Pack(detail)
        return status


def check(result: int, what: str = "") -> None:
    """Raise what a data-plane call returned, unless it is 0."""
    if result == 0:
        return
    code = -result
    if not OK < code <= _LAST_CODE:
        raise P4RuntimeError(INTERNAL, f"{what}: unexpected result {result} of the data plane".lstrip(": "))
    text = _DEFAULT_TEXT.get(code, "failed")
    raise P4RuntimeError(code, f"{what}: {text}" if what else text)


def invalid(message: str) -> P4RuntimeError:
    """An INVALID_ARGUMENT error."""
    return P4RuntimeError(INVALID_ARGUMENT, message)


def unimplemented(message: str) -> P4RuntimeError:
    """An UNIMPLEMENTED error."""
    return P4RuntimeError(UNIMPLEMENTED, message)
