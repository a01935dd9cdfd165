# SPDX-License-Identifier: Apache-2.0
"""TLS with a switch: credentials for one connection, and what a failed one means."""

from __future__ import annotations

import re
import ssl
from typing import Final

from finsy.grpcutil import GRPCCredentialsTLS

from controller.config import SwitchTls
from controller.p4.errors import SwitchError
from softswitch.tlsfiles import TlsFileError

_VERIFY = re.compile(r"CERTIFICATE_VERIFY_FAILED: ([^:;]+)")
_CLOSED: Final = ("Socket closed", "Broken pipe", "Connection reset", "EOF")
_HINT: Final = "; does the switch want TLS? give tls: ca, certificate and key"


def credentials(tls: SwitchTls) -> GRPCCredentialsTLS:
    """Made of the files as they are now.

    Raises:
        SwitchError: the files cannot be used, or our certificate is not good today.
    """
    try:
        identity = tls.files.load()
    except TlsFileError as err:
        raise SwitchError(f"TLS: {err}") from None
    if identity.not_today:
        raise SwitchError(f"TLS: {identity.not_today}")
    return GRPCCredentialsTLS(
        cacert=identity.ca,
        cert=identity.certificate,
        private_key=identity.key,
        target_name_override=tls.server_name,
    )


def context(tls: SwitchTls) -> ssl.SSLContext:
    """The same for the stream.

    Raises:
        SwitchError: the files cannot be used.
    """
    try:
        made = ssl.create_default_context(cafile=tls.files.ca)
        made.load_cert_chain(tls.files.certificate, tls.files.key)
    except OSError as err:
        raise SwitchError(f"TLS: {err}") from None
    made.set_alpn_protocols(["h2"])
    return made


def explain(reason: str, tls: SwitchTls | None) -> str:
    """Why no connection came about, for an operator; gRPC's own words where they say it best.

    A server that refuses our certificate only closes the connection (TLS 1.3 has no room for a reason that
    gRPC would pass on).
    """
    closed = any(word in reason for word in _CLOSED)
    if tls is None:
        return f"{reason}{_HINT}" if closed else reason
    if "Hostname Verification Check failed" in reason:
        return (
            f"TLS: the switch's certificate is not for {tls.server_name}; "
            "give its name as server_name, or the switch a certificate for that name"
        )
    found = _VERIFY.search(reason)
    if found is not None:
        return f"TLS: the switch's certificate is refused: {_meaning(found[1].strip(), tls)}"
    if "WRONG_VERSION_NUMBER" in reason:
        return "TLS: the switch speaks without TLS; start it with --tls-cert, --tls-key and --tls-ca"
    if closed:
        return (
            f"TLS: the switch closed the connection; it most likely refuses our certificate "
            f"{tls.files.certificate}: its CA must have signed it, for clients; the switch's log says why"
        )
    return reason


def _meaning(verdict: str, tls: SwitchTls) -> str:
    if "expired" in verdict:
        return "it has expired; renew it at the switch"
    if "not yet valid" in verdict:
        return "it is not good yet; look at the clocks"
    if "purpose" in verdict:
        return "it is not for servers; issue it with extended key usage serverAuth"
    if "issuer" in verdict or "self" in verdict:
        return f"none of the CAs in {tls.files.ca} has signed it ({verdict})"
    return verdict
