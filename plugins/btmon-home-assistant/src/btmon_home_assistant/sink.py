# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings and hooks. What is written is in `statistics.py` and `series.py`, how in `writer.py`."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from btcore import (
    Batch,
    ChannelRef,
    Claim,
    Context,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Sample,
    Secret,
    SerialNames,
    Serials,
    hookimpl,
    plugin,
    setting,
)
from btcore.web import is_public, setting_problems, url_problem
from btmon_home_assistant.connection import Connection, Server
from btmon_home_assistant.hours import hour_of, totals_by_hour
from btmon_home_assistant.recorder import Recorder
from btmon_home_assistant.series import Totals
from btmon_home_assistant.statistics import Statistic, Statistics
from btmon_home_assistant.writer import Writer


# a row is written anew every five minutes until its hour is over; a call of a back-fill has a week
@plugin(api=1, delivery=Delivery(interval=Duration(300), batch_size=2000))
class HomeAssistant:
    """Writes the energy of each hour into Home Assistant's long-term statistics, the past included."""

    url: str = setting(help="Home Assistant's address", example="http://homeassistant.local:8123")
    token: Secret = setting(
        help="a long-lived access token of an administrator", example='{ env = "HOME_ASSISTANT_TOKEN" }'
    )
    channels: list[ChannelRef] = setting(
        factory=list, help="the channels and pulse counters; empty: all", example='["01000777_ch1", "01000777_p1"]'
    )
    serials: Serials = setting(
        default="full", help="how meters are named: full, the serial number; short, XXX and the last three digits"
    )
    ssl_ca: Path | None = setting(default=None, help="the certificates to trust; left out: the system's")
    timeout: Duration = setting(default=Duration(30), help="longest wait for an answer")

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from setting_problems(self, "url")
        if not url_problem(self.url) and self.url.startswith("http:") and is_public(self.url):
            yield Problem("the token goes over the Internet as it is; use https", key="url", warning=True)

    def claims(self) -> Iterator[Claim]:
        """Claim the statistics: two sinks of one meter would write into each other's."""
        if not url_problem(self.url):
            yield Claim(f"statistics of Home Assistant at {urlsplit(self.url).netloc.lower()}", "url", per_meter=True)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether Home Assistant takes the token; nothing is written."""
        from btmon_home_assistant.diagnosis import diagnose  # noqa: PLC0415 - a run does not need it

        return diagnose(self._server())

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to write; nothing is sent."""
        named = {ref.serial for ref in self.channels} | {key.partition("_")[0] for key in context.channels}
        self._statistics = Statistics(
            context.polarity, context.describe_channel, SerialNames(self.serials, named), self.channels
        )
        self._writer = Writer()

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Write the hours of a batch; return how many of its readings have a part in them. Raises Retry or Stop."""
        totals, meters = self._totals(batch)
        if totals:
            with Connection(self._server()) as connection:
                self._writer.write(Recorder(connection), totals)
        used = {(sample.serial, sample.newer.key) for sample in batch.samples if sample.serial in meters}
        return min(len(used), len(batch.readings))

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield what the counters show at the end of each hour."""
        for statistic, totals in self._totals(batch)[0].items():
            for hour, total in sorted(totals.by_hour.items()):
                time = datetime.fromtimestamp(hour, UTC)
                yield f"{statistic.id} {time:%Y-%m-%dT%H:%MZ} {total} {statistic.unit} ({statistic.name})"

    def _totals(self, batch: Batch) -> tuple[dict[Statistic, Totals], set[str]]:
        """Return what each counter showed at the end of each hour, and the meters that have any counter."""
        found: dict[Statistic, Totals] = {}
        meters: set[str] = set()
        for sample in _needed(batch.samples):
            start, end = sample.start.timestamp(), sample.end.timestamp()
            for value in self._statistics.of(sample):
                meters.add(sample.serial)
                begun = value.total - (value.rise or 0.0)
                totals = found.setdefault(value.statistic, Totals(round(begun, 6)))
                totals.add(totals_by_hour(start, end, value.total, value.rise), end)
        return found, meters

    def _server(self) -> Server:
        return Server(self.url.rstrip("/"), self.token, self.timeout, self.ssl_ca)


def _needed(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yield the samples that rows are made of: of each meter the first, and in each hour the first and the last."""
    last = {(sample.serial, hour_of(sample.end.timestamp())): sample for sample in samples}
    begun: set[tuple[str, int]] = set()
    for sample in samples:
        part = (sample.serial, hour_of(sample.end.timestamp()))
        if part not in begun or last[part] is sample:
            begun.add(part)
            yield sample
