# SPDX-License-Identifier: GPL-3.0-or-later
"""Xively, earlier Pachube and COSM: power, pulses and temperatures of every channel, into one feed.

Facts: https://xively.com/dev/docs/api/communicating/http/http_status_codes/, as it was.
"""

from collections.abc import Iterator
from urllib.parse import quote

from btcore import Batch, Delivery, Duration, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.meters import ServiceOfMeters
from btmon_services.selection import default_channels, format_utc, power, samples_by_channel, sensor_labels
from btmon_services.service import Request, ServiceState


@plugin(api=1, delivery=Delivery(flush_interval=Duration(60), batch_size=100))
class Xively(ServiceOfMeters):
    """Sends power, pulse counts and temperatures to something that speaks Xively's protocol (Pachube, COSM)."""

    title = "Xively"
    state = ServiceState.GONE
    ended = "was shut down in 2018"
    account = "`feed` and `token`"
    replies = (
        AnswerRule(200, '"(title|errors)"', Verdict.RETRY),
        AnswerRule(403, "limit|too many", Verdict.RETRY),
        AnswerRule(404, "", Verdict.STOP, "check `feed`, and then `url`"),
        AnswerRule(406, "", Verdict.STOP, "it takes no JSON there: check `url`"),
    )

    url: str = setting(
        default="", help="address of a service that speaks its protocol, such as http://archive.example/v2/feeds"
    )
    feed: str = setting(help="the feed's number", example="3000")
    token: Secret = setting(help="the feed's API key")

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: a stream for each channel, pulse counter and temperature, oldest first."""
        streams = []
        sent: set[Sample] = set()
        for (serial, label), (_, samples) in samples_by_channel(batch, _all).items():
            # or 0: never -0.0
            known = [(sample, value or 0) for sample in samples if (value := power(sample, label)) is not None]
            points = [{"at": format_utc(sample), "value": value} for sample, value in known]
            sent.update(sample for sample, _ in known)
            streams += [{"id": f"{self.meter_name(serial)}_{label}", "datapoints": points}] if points else []
        if streams:
            yield Request(
                "PUT",
                f"{self.address.rstrip('/')}/{quote(self.feed, safe='')}",
                json={"version": "1.0.0", "datastreams": streams},
                headers={"X-PachubeApiKey": self.token.reveal()},
                of=sent,
            )


def _all(sample: Sample) -> Iterator[tuple[str, None]]:
    form = sample.format
    return (
        (label, None) for label in (*default_channels(sample), *sensor_labels(form, "p"), *sensor_labels(form, "t"))
    )
