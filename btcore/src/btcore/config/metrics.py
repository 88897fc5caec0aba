# SPDX-License-Identifier: GPL-3.0-or-later
"""The table [metrics]: the HTTP port where a monitoring system asks how the site is."""

from collections.abc import Mapping

from btcore.classes import field, frozen
from btcore.config.claims import Claims
from btcore.config.problems import Problems
from btcore.config.tables import Reader
from btcore.listen_address import listen_claims, parse_listen_address
from btcore.settings import Claim
from btcore.values.describe import settings_of

KEY = "metrics"


@frozen
class MetricsSettings:
    """The settings of [metrics]."""

    listen: str = field(
        default="",
        metadata={
            "help": "HOST:PORT of an HTTP server with /metrics for Prometheus and /health; empty: none",
            "sample": "127.0.0.1:9464",
        },
    )

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port of `listen`; None if it is empty. Raises ValueError."""
        return parse_listen_address(self.listen) if self.listen else None

    def claims(self) -> tuple[Claim, ...]:
        """Return the port, as a source that listens on it claims it. Raises ValueError."""
        return listen_claims(self.listen) if self.listen else ()


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
