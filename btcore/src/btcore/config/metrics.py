# SPDX-License-Identifier: GPL-3.0-or-later
"""The table [metrics]: the HTTP port where a monitoring system asks how the site is."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv6Address

import attrs

from btcore.config.claims import Claims
from btcore.config.problems import Problems
from btcore.config.tables import Reader
from btcore.settings import Claim
from btcore.values.describe import settings_of

KEY = "metrics"
MAX_PORT = 65_535
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - what a configuration may say


@attrs.frozen
class MetricsSettings:
    """The settings of [metrics]."""

    listen: str = attrs.field(
        default="",
        metadata={
            "help": "HOST:PORT of an HTTP server with /metrics for Prometheus and /health; empty: none",
            "sample": "127.0.0.1:9464",
        },
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port of `listen`; None if it is empty. Raises ValueError."""
        if not self.listen:
            return None
        host, _, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not _is_host(host) or not port.isdecimal() or int(port) > MAX_PORT:
            raise ValueError(f'expected HOST:PORT, such as "127.0.0.1:9464", found {self.listen!r}')
        return host, int(port)

    def claims(self) -> Iterator[Claim]:
        """Yield the port, as a source that listens on it claims it. Raises ValueError."""
        if self.address is None or self.address[1] == 0:
            return
        host, port = self.address[0].lower(), self.address[1]
        for part in ("/127.0.0.1", "/::1") if host == "localhost" else ("" if host in ANY_ADDRESS else f"/{host}",):
            yield Claim(f"tcp port {port}{part}", key="listen")


def _is_host(text: str) -> bool:
    """Whether a text is an address, or can be a name."""
    try:
        if ":" in text:
            IPv6Address(text)
        text.encode("idna")
    except ValueError:
        return False
    return bool(text) and text.isprintable()


def read_metrics(data: Mapping[str, object], findings: Problems, reader: Reader, claims: Claims) -> MetricsSettings:
    """Return the settings of the table; report what is wrong in it, and add its port to the claims."""
    table = data.get(KEY, {})
    if not isinstance(table, dict):
        findings.add((KEY,), f"expected a table [{KEY}], found something else")
        return MetricsSettings()
    known = settings_of(MetricsSettings)
    reader.unknown(table, [entry.name for entry in known], (KEY,), ())
    settings = MetricsSettings(**reader.settings(known, table, (KEY,)))
    try:
        claims.add_all(settings.claims(), (KEY,))
    except ValueError as error:
        findings.add((KEY, "listen"), str(error))
    return settings
