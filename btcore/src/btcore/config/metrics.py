"""The table [metrics]: the HTTP port where a monitoring system asks how the site is."""

from collections.abc import Mapping
from ipaddress import IPv6Address

import attrs

from btcore.config.problems import Problems
from btcore.config.tables import Reader
from btcore.values.describe import settings_of

KEY = "metrics"
MAX_PORT = 65_535


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


def _is_host(text: str) -> bool:
    """Whether a text is an address, or can be a name."""
    try:
        if ":" in text:
            IPv6Address(text)
        text.encode("idna")
    except ValueError:
        return False
    return bool(text) and text.isprintable()


def read_metrics(data: Mapping[str, object], findings: Problems, reader: Reader) -> MetricsSettings:
    """Return the settings of the table; report what is wrong in it."""
    table = data.get(KEY, {})
    if not isinstance(table, dict):
        findings.add((KEY,), f"expected a table [{KEY}], found something else")
        return MetricsSettings()
    known = settings_of(MetricsSettings)
    reader.unknown(table, [entry.name for entry in known], (KEY,), ())
    settings = MetricsSettings(**reader.settings(known, table, (KEY,)))
    try:
        _ = settings.address
    except ValueError as error:
        findings.add((KEY, "listen"), str(error))
    return settings
