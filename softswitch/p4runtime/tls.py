# SPDX-License-Identifier: Apache-2.0
"""The server's side of TLS: its credentials, looked at anew for every connection."""

from __future__ import annotations

import logging
import ssl

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
        self._told(files.load())
        self._context = self._made()

    def context(self) -> ssl.SSLContext:
        """With a CA, clients must show a certificate that it signed."""
        self._context.sni_callback = self._on_connection
        return self._context

    def _on_connection(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called for every connection, before its client is shown anything."""
        stamp = self._files.stamp()
        if stamp != self._stamp:
            try:
                self._told(self._files.load())
                self._context = self._made()
            except (TlsFileError, OSError) as error:
                if str(error) != self._failure:
                    self._failure = str(error)
                    _LOG.warning("TLS: %s; the files of before go on being used", error)
            else:
                self._stamp, self._failure = stamp, ""
                _LOG.warning("TLS: new files are used from now on: %s", self._files.certificate)
        connection.context = self._context

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._files.certificate, self._files.key)
        if self._files.ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._files.ca)
        context.set_alpn_protocols(["h2"])
        return context

    @staticmethod
    def _told(identity: Identity) -> None:
        if identity.not_today:
            _LOG.warning("TLS: %s; clients will refuse it", identity.not_today)
