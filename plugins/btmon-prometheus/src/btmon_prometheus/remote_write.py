# SPDX-License-Identifier: GPL-3.0-or-later
"""Remote-write: every sample is sent, with its own time, to Prometheus or what takes its protocol."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from btcore import (
    Batch,
    Context,
    Delivery,
    DiagnosisContext,
    Duration,
    Finding,
    Problem,
    Sample,
    Secret,
    Serials,
    hookimpl,
    plugin,
    setting,
)
from btcore.serve import Labels
from btcore.web import AnswerRule, Client, Verdict, is_public, raise_for_answer, setting_problems
from btmon_prometheus.messages import snappy, write_request
from btmon_prometheus.series import OWN_LABELS, TIME, Point
from btmon_prometheus.sink import SeriesSink, count_readings
from btmon_prometheus.stored import Stored, query_address

RULES = (
    AnswerRule(
        *(400, r"out.of.order|out of bounds|too old|duplicate sample", Verdict.REJECT),
        "it takes no samples older than those that it has; of Prometheus, `out_of_order_time_window` does",
    ),
    AnswerRule(404, "", Verdict.STOP, "check `url`; Prometheus needs --web.enable-remote-write-receiver"),
    AnswerRule(405, "", Verdict.STOP, "check `url`"),
    AnswerRule(415, "", Verdict.STOP, "check `url`: it does not take version 1 of the protocol"),
)
"""What answers mean, beside the usual."""


def check_labels(_instance: object, _attribute: Any, labels: Mapping[str, str]) -> None:  # noqa: ANN401 - attrs' own
    """Raise ValueError for what cannot be a label of one's own."""
    for name in labels:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name.startswith("__") or name in OWN_LABELS:
            raise ValueError(
                f"expected labels other than {', '.join(OWN_LABELS)}, of letters and digits, found {name!r:.80}"
            )


@plugin(api=1, delivery=Delivery(flush_interval=Duration(10)))
class PrometheusRemoteWrite(SeriesSink):
    """Sends every sample to Prometheus, VictoriaMetrics, Mimir and others that take remote-write."""

    url: str = setting(help="where samples are written", example="http://prometheus.local:9090/api/v1/write")
    query_url: str = setting(
        default="", help="where is asked which samples are there already; left out: beside `url`, as Prometheus has it"
    )
    token: Secret = setting(default=Secret(""), help="sent as a bearer token")
    user: str = setting(default="", help="the user's name, with `password` in place of a token")
    password: Secret = setting(default=Secret(""), help="the user's password")
    headers: dict[str, Secret] = setting(factory=dict, help="further headers, such as X-Scope-OrgID")
    labels: dict[str, str] = setting(
        factory=dict, help="labels of every series, such as job and instance", validator=check_labels
    )
    timeout: Duration = setting(default=Duration(30), help="longest wait for an answer")
    serials: Serials | None = setting(
        default=None,
        help="how meters are named: full, the serial number; short, XXX and the last three digits;"
        " left out: short where `url` is on the Internet",
    )
    _client: Client | None = attrs.field(init=False, default=None, repr=False)
    _is_unsure: bool = attrs.field(init=False, default=True, repr=False)
    """Whether what is delivered next may have been stored already: after a start, and after an answer that was lost."""

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from setting_problems(self, "url", *(["query_url"] if self.query_url else []))
        if self.token and self.user:
            yield Problem("expected a token, or user and password, not both", "token")
        if bool(self.user) != bool(self.password):
            yield Problem("expected user and password, or none of them", "user")

    @property
    def hosted(self) -> bool:
        """Whether it is a hosted service on the Internet, and not a server of one's own."""
        return is_public(self.url)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether it takes the key: a request without any sample is sent."""
        from btmon_prometheus.diagnosis import diagnose_receiver  # noqa: PLC0415 - a run does not need it

        self._client = self._connect()
        try:
            yield from diagnose_receiver(lambda: self._post({}))
        finally:
            self.close()

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare to send."""
        self._prepare(context, self.serials or ("short" if self.hosted else "full"))
        self._client = self._connect()
        self._is_unsure = True

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if self._client is not None:
            self._client.close()
        self._client = None

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send what is not there yet; return of how many readings something is wanted."""
        wanted = self._points(batch)
        there = self._stored().find(wanted) if self._is_unsure and wanted else set()
        new = {sample: points for sample, points in wanted.items() if sample not in there}
        if new:
            self._is_unsure = True
            self._post(self._series(new))
            self._is_unsure = False
        return count_readings(batch, wanted)

    @hookimpl
    def find_stored(self, batch: Batch) -> Iterable[tuple[str, int]]:
        """Return the samples that are there already."""
        return [(sample.serial, sample.newer.key) for sample in self._stored().find(self._points(batch))]

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the numbers that would be sent, one a line, with their time in milliseconds."""
        for labels, samples in self._series(self._points(batch)).items():
            text = ", ".join(f'{name}="{value}"' for name, value in labels[1:])
            yield from (f"{labels[0][1]}{{{text}}} {value:.12g} {time}" for time, value in samples.items())

    def _connect(self) -> Client:
        secrets = [self.token, self.password, *self.headers.values()]
        headers = {name: secret.reveal() for name, secret in self.headers.items()}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.reveal()}"
        return Client(agent="btmon-prometheus", timeout=self.timeout, secrets=secrets, headers=headers)

    @property
    def _account(self) -> tuple[str, str] | None:
        return (self.user, self.password.reveal()) if self.user else None

    def _stored(self) -> Stored:
        assert self._client is not None  # noqa: S101 - the core opens before it delivers
        metric, address = f"{self.prefix}_{TIME.name}", self.query_url or query_address(self.url)
        meter_labels, log = self._selection.meter_labels, self._context.log
        return Stored(self._client, address, self._account, metric, meter_labels, self.labels, log)

    def _series(self, wanted: Mapping[Sample, Iterable[Point]]) -> dict[Labels, dict[int, float]]:
        """Return the numbers of each series by time; two of one millisecond are one."""
        series: dict[Labels, dict[int, float]] = {}
        own = tuple(self.labels.items())
        for sample, points in wanted.items():
            time = sample.newer.key // 1000
            for point in points:
                labels = (("__name__", f"{self.prefix}_{point.metric.name}"), *own, *point.labels)
                series.setdefault(labels, {})[time] = point.value
        return series

    def _post(self, series: Mapping[Labels, Mapping[int, float]]) -> None:
        """Write series. Raises Retry, Reject or Stop."""
        assert self._client is not None  # noqa: S101 - as above
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "snappy",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        data = snappy(write_request(series))
        raise_for_answer(
            self._client.send("POST", self.url, data=data, headers=headers, auth=self._account), RULES, "The receiver"
        )
