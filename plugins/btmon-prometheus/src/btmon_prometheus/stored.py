# SPDX-License-Identifier: GPL-3.0-or-later
"""Which samples a receiver has already: asked by PromQL, beside the address that takes them.

Prometheus refuses a sample that is older than the last one of its series, though it may be the very one that it has;
others store it twice. So after a start, and after an answer that was lost, what it has is asked for first.
"""

import json
from collections.abc import Callable, Collection, Mapping
from logging import Logger

import attrs

from btcore import Retry, Sample
from btcore.serve import Labels
from btcore.web import Answer, Client, describe_answer

ADDRESSES = {
    "/api/v1/write": "/api/v1/query",  # Prometheus, VictoriaMetrics
    "/api/v1/push": "/prometheus/api/v1/query",  # Mimir
    "/api/prom/push": "/api/prom/api/v1/query",  # Cortex, and services that are made of it
}
"""How an address that takes samples ends, and what answers queries in its place."""

TEMPORARY = 500
TOO_MANY = 429


def query_address(url: str) -> str:
    """Return where a receiver answers queries, as its address says; "" if it does not."""
    return next((url.removesuffix(end) + query for end, query in ADDRESSES.items() if url.endswith(end)), "")


@attrs.frozen
class Stored:
    """What a receiver has. `metric` has a sample for each of ours; its value is the time, to the microsecond."""

    client: Client = attrs.field(repr=False)
    address: str
    account: tuple[str, str] | None = attrs.field(repr=False)
    metric: str
    meter_labels: Callable[[str], Labels]
    labels: Mapping[str, str]
    log: Logger = attrs.field(repr=False)

    def find(self, samples: Collection[Sample]) -> set[Sample]:
        """Return those of the samples that are there; none where it cannot be asked. Raises Retry."""
        by_meter: dict[str, list[Sample]] = {}
        for sample in samples:
            by_meter.setdefault(sample.serial, []).append(sample)
        return {one for serial, own in by_meter.items() for one in self._of_meter(serial, own)}

    def _of_meter(self, serial: str, samples: list[Sample]) -> list[Sample]:
        if not self.address:
            return []
        first, last = (choose(sample.newer.key for sample in samples) for choose in (min, max))
        # a second more at either end, as the receiver counts in milliseconds and may leave out the edge
        span, end = (last - first) // 1_000_000 + 3, last / 1_000_000 + 1
        form = {"query": f"{self.metric}{self._selector(serial)}[{span}s]", "time": f"{end:.3f}"}
        there = self._values(self.client.send("POST", self.address, data=form, auth=self.account))
        return [sample for sample in samples if sample.newer.key in there]

    def _selector(self, serial: str) -> str:
        labels = (*self.labels.items(), *self.meter_labels(serial))
        return "{" + ",".join(f"{name}={json.dumps(text, ensure_ascii=False)}" for name, text in labels) + "}"

    def _values(self, answer: Answer) -> set[int]:
        """Return the values of an answer, as microseconds. Raises Retry."""
        if answer.code >= TEMPORARY or answer.code == TOO_MANY:
            raise Retry(describe_answer(answer, "The receiver"), after=answer.retry_after)
        try:
            series = json.loads(answer.body)["data"]["result"]
            return {round(float(value) * 1_000_000) for one in series for _, value in one["values"]}
        except (ValueError, LookupError, TypeError, OverflowError):
            self.log.warning(
                "the receiver cannot be asked what it has (%s): what is sent again after a restart may be refused,"
                " or be there twice; check `query_url`",
                describe_answer(answer, "it"),
            )
            return set()
