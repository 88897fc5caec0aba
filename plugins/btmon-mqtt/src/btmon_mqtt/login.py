# SPDX-License-Identifier: GPL-3.0-or-later
"""What a connection needs to know: where the broker is, who we are, and whom to trust. Nothing is connected here."""

import ssl
from pathlib import Path
from typing import Literal

import attrs

from btcore import Secret, Stop

Protocol = Literal["auto", "5", "3.1.1"]
"""The type of the setting `protocol`."""


class TlsStop(Stop):
    """Raised if TLS does not fit: a file, a certificate, or that one side speaks it at all."""


class TlsSocket(ssl.SSLSocket):
    """A socket that is closed when its handshake fails: paho leaves it open."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@attrs.frozen(kw_only=True)
class Login:
    """How to reach a broker."""

    host: str
    port: int
    user: str = ""
    password: Secret = attrs.field(factory=lambda: Secret(""))
    client_id: str = ""
    protocol: Protocol = "auto"
    tls: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    timeout: float = 15.0
    keepalive: int = 60

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext:
        """Return what TLS needs: whom we trust, and who we are. Raises TlsStop for files that do not fit."""
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
        except OSError as error:  # an SSLError is one
            raise TlsStop(f"tls_ca: {self.tls_ca} is no file of certificates ({_reason(error)})") from None
        context.sslsocket_class = TlsSocket
        if self.tls_cert:
            try:
                # a key with a passphrase would be asked for at the terminal
                context.load_cert_chain(self.tls_cert, self.tls_key, password=_no_passphrase)
            except (OSError, ValueError) as error:
                files = " and ".join(str(file) for file in (self.tls_cert, self.tls_key) if file)
                text = f"tls_cert: {files} are no certificate and its key, in PEM, without a passphrase"
                raise TlsStop(f"{text} ({_reason(error)})") from None
        return context


def _no_passphrase() -> str:
    return ""


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not in PEM"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
