# SPDX-License-Identifier: Apache-2.0
"""The server's side of TLS: its credentials, looked at anew for every connection."""

from __future__ import annotations

import logging
import threading
from typing import Any

import grpc

from softswitch.tlsfiles import Identity, TlsFileError, TlsFiles

_LOG = logging.getLogger(__name__)


class ServerTls:
    """Credentials that follow their files: what was renewed counts for the next connection.

    Files that cannot be used, as in the middle of a renewal, are told once; what was good goes on.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Raises TlsFileError when the files cannot be used."""
        self._files = files
        self._stamp = files.stamp()
        self._failure = ""
        self._lock = threading.Lock()
        self._first = _configuration(self._told(files.load()))

    def credentials(self) -> grpc.ServerCredentials:
        """With a CA, clients must show a certificate that it signed."""
        changed: Any = self._changed  # the stubs do not know that it may return None
        return grpc.dynamic_ssl_server_credentials(
            self._first, changed, require_client_authentication=self._files.ca is not None
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC for every connection, on threads of its own; None: go on with what you have."""
        with self._lock:
            stamp = self._files.stamp()
            if stamp == self._stamp:
                return None
            try:
                identity = self._told(self._files.load())
            except TlsFileError as error:
                if str(error) != self._failure:
                    self._failure = str(error)
                    _LOG.warning("TLS: %s; the files of before go on being used", error)
                return None
            self._stamp, self._failure = stamp, ""
            _LOG.warning("TLS: new files are used from now on: %s", self._files.certificate)
            return _configuration(identity)

    @staticmethod
    def _told(identity: Identity) -> Identity:
        if identity.not_today:
            _LOG.warning("TLS: %s; clients will refuse it", identity.not_today)
        return identity


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key, identity.certificate)], root_certificates=identity.ca
    )
