# SPDX-License-Identifier: GPL-3.0-or-later
"""What sink, source and command share: the stream, where the servers are, who we are, whom to trust.

Nothing is connected here.
"""

import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from btcore import DiagnosisContext, Duration, Finding, Problem, Secret, Stop, file_problems, setting, timeout_problems
from btmon_nats.subjects import check_name


@attrs.define(kw_only=True, eq=False, slots=False)
class Login:
    """The settings that sink, source and command share."""

    stream: str = setting(default="energy", help="the stream's name", validator=check_name)
    servers: list[str] = setting(  # noqa: RUF009 - a field
        factory=lambda: ["nats://localhost:4222"], help="addresses of the cluster's servers; one that answers is enough"
    )
    user: str = setting(default="", help="the user's name")
    password: Secret = setting(default=Secret(""), help="the user's password")  # noqa: RUF009 - a field
    token: Secret = setting(default=Secret(""), help="a token, in place of user and password")  # noqa: RUF009 - a field
    credentials: Path | None = setting(default=None, help="a file of credentials (.creds), in place of a user")  # noqa: RUF009 - a field
    nkey: Path | None = setting(default=None, help="a file with the seed of an nkey, in place of a user")  # noqa: RUF009 - a field
    tls_ca: Path | None = setting(default=None, help="the certificates to trust; left out: the system's")  # noqa: RUF009 - a field
    tls_cert: Path | None = setting(default=None, help="a certificate of our own, in PEM")  # noqa: RUF009 - a field
    tls_key: Path | None = setting(default=None, help="its key, where that is not in the same file")  # noqa: RUF009 - a field
    monitoring: list[str] = setting(  # noqa: RUF009 - a field
        factory=list,
        help="monitoring ports of the servers, for btcore doctor",
        example='["http://nats1.example.com:8222"]',
    )
    timeout: Duration = setting(default=Duration(15), help="longest wait for an answer")  # noqa: RUF009 - a field

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        if not self.servers:
            yield Problem("expected the address of a server at least", "servers")
        for server in self.servers:
            if fault := server_problem(server):
                yield Problem(fault, "servers")
        yield from timeout_problems(self, "timeout")
        if self.password and not self.user:
            yield Problem("is needed with a password", "user")
        ways = [name for name in ("user", "token", "credentials", "nkey") if getattr(self, name)]
        if len(ways) > 1:
            yield Problem(f"give one of {' and '.join(ways)}", ways[-1])
        if self.tls_key and not self.tls_cert:
            yield Problem("is needed with a key", "tls_cert")
        yield from file_problems(self, "credentials", "nkey", "tls_ca", "tls_cert", "tls_key")

    @property
    def address(self) -> str:
        """The servers, for messages."""
        return ", ".join(self.servers)

    @property
    def inbox(self) -> str:
        """Where answers to us come: in a place of our own, so that an account may be kept from those to others."""
        return "_INBOX"

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the cluster takes the account, and keeps what it takes; nothing is published or read."""
        from btmon_nats.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self)

    def options(self) -> dict[str, Any]:
        """Return what the client is told beside the server's address. Raises Stop for files that do not fit."""
        options: dict[str, Any] = {
            "user": self.user or None,
            "password": self.password.reveal() or None,
            "token": self.token.reveal() or None,
            "user_credentials": str(self.credentials) if self.credentials else None,
            "nkeys_seed": str(self.nkey) if self.nkey else None,
        }
        if any(server.startswith("tls:") for server in self.servers) or self.tls_ca or self.tls_cert:
            options["tls"] = self._tls()
        if self.credentials or self.nkey:
            _need_nkeys()
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            if self.tls_cert:
                context.load_cert_chain(self.tls_cert, self.tls_key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise Stop(f"tls_ca, tls_cert, tls_key: a file is not as it should be ({_reason(error)})") from None
        return context


def server_problem(server: str) -> str:
    """Return what is wrong with a server's address; "" if nothing is."""
    try:
        parts = urlsplit(server)
        is_address = parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        return "expected addresses such as nats://nats1.example.com:4222, or tls://…"
    return "expected an address without a user name and password" if "@" in parts.netloc else ""


def _need_nkeys() -> None:
    try:
        import nkeys  # type: ignore[import-untyped,unused-ignore]  # noqa: F401, PLC0415 - what needs it is rare
    except ImportError:
        raise Stop('credentials and nkey need another package: pip install "btmon-nats[nkeys]"') from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
