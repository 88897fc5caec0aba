# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter: a page that Prometheus reads (scrapes) now and then, with the last sample of each meter."""

import threading
import time
from collections.abc import Iterable, Iterator

import attrs

from btcore import (
    Batch,
    Claim,
    Context,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Retry,
    Sample,
    Serials,
    hookimpl,
    plugin,
    setting,
)
from btcore.serve import (
    EXPOSITION,
    Family,
    HttpServer,
    Labels,
    Page,
    format_families,
    listen_claims,
    parse_listen_address,
)
from btmon_prometheus.series import METRICS, Metric, Point
from btmon_prometheus.sink import SeriesSink, count_readings


def check_listen(_instance: object, _attribute: object, text: str) -> None:
    """Raise ValueError for what is not HOST:PORT."""
    parse_listen_address(text)


@attrs.frozen
class Visible:
    """What is shown of a meter: its last sample, until `expires` (of the monotonic clock)."""

    sample: Sample
    points: tuple[Point, ...]
    expires: float


@plugin(api=1, delivery=Delivery(start_at="end"))
class Prometheus(SeriesSink):
    """Serves what the meters measure at http://HOST:PORT/metrics, for Prometheus to scrape."""

    listen: str = setting(
        default="127.0.0.1:9465",
        help="HOST:PORT where Prometheus scrapes; 0.0.0.0:9465: from anywhere",
        validator=check_listen,
    )
    stale_after: Duration = setting(
        default=Duration(300),
        help="a meter that has sent nothing for this long is not shown",
        validator=attrs.validators.gt(0),
    )
    serials: Serials = setting(
        default="full", help="how meters are named: full, the serial number; short, XXX and the last three digits"
    )
    _visible: dict[str, Visible] = attrs.field(init=False, factory=dict, repr=False)
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock, repr=False)
    _server: HttpServer | None = attrs.field(init=False, default=None, repr=False)

    def check(self, delivery: Delivery) -> Iterator[Problem]:
        """Find an interval in which every meter would vanish."""
        if delivery.interval >= self.stale_after:
            yield Problem(
                f"a meter would vanish before its next sample: expected more than interval, {delivery.interval:.0f} s",
                key="stale_after",
            )

    def claims(self) -> Iterable[Claim]:
        """Claim the port."""
        return listen_claims(self.listen)

    def diagnose(self, context: DiagnosisContext) -> Iterable[Finding]:
        """Find out who has the port."""
        from btmon_prometheus.diagnosis import diagnose_exporter  # noqa: PLC0415 - a run does not need it

        return diagnose_exporter(self.listen, context)

    @hookimpl
    def open(self, context: Context) -> None:
        """Listen. Raises Retry."""
        self._prepare(context, self.serials)
        if context.dry_run:
            return
        try:
            server = HttpServer(parse_listen_address(self.listen), {"/metrics": self._page}, context.log)
        except OSError as error:
            raise Retry(f"cannot listen on {self.listen}: {error.strerror or error}") from error
        server.open()
        self._server = server
        context.log.info("metrics at %s/metrics", server.url)

    @hookimpl
    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
        self._server = None

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Show what is new; return of how many readings something is wanted."""
        wanted = self._points(batch)
        with self._lock:
            for sample, points in wanted.items():
                self._show(sample, points)
        return count_readings(batch, wanted)

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield what would be on the page."""
        for points in self._points(batch).values():
            yield from self._format(points).splitlines()

    def _show(self, sample: Sample, points: list[Point]) -> None:
        """Show a sample if it is no older than what is shown. Its age counts: a backlog is no news."""
        before = self._visible.get(sample.serial)
        if before is not None and before.sample.end > sample.end:
            return
        age = max(time.time() - sample.newer.timestamp, 0.0)
        self._visible[sample.serial] = Visible(sample, tuple(points), time.monotonic() + self.stale_after - age)

    def _page(self) -> Page:
        with self._lock:
            now = time.monotonic()
            self._visible = {serial: visible for serial, visible in self._visible.items() if visible.expires > now}
            points = [point for _, visible in sorted(self._visible.items()) for point in visible.points]
        return Page(self._format(points), EXPOSITION)

    def _format(self, points: Iterable[Point]) -> str:
        samples: dict[Metric, list[tuple[Labels, float]]] = {metric: [] for metric in METRICS}
        for point in points:
            samples[point.metric].append((point.labels, point.value))
        return format_families(
            Family(f"{self.prefix}_{metric.name}", metric.kind, metric.help, tuple(found))
            for metric, found in samples.items()
        )
