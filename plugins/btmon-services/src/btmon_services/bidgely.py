# SPDX-License-Identifier: GPL-3.0-or-later
"""Bidgely: cumulative energy and power of each meter, to the address that the user was given."""

import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

import attrs

from btcore import Batch, ChannelRef, Delivery, Duration, Problem, Sample, Secret, plugin, setting
from btcore.web import AnswerRule, Verdict
from btmon_services.markup import document, element
from btmon_services.meters import ServiceOfMeters
from btmon_services.selection import (
    Direction,
    circuit_faults,
    direction_by_type,
    epoch_seconds,
    flow_one_way,
    mapped_channels,
    samples_by_channel,
)
from btmon_services.service import Request, ServiceState

OTHER_WAY = 'if that is what it measures there, write direction = "{other}" for it in map'

MIN_SECRET_LENGTH = 3
"""A part of the address that is no longer than this many characters is not treated as a secret."""


@attrs.frozen(kw_only=True)
class MeterOptions:
    """What Bidgely is sent about a channel."""

    description: str = setting(default="", help="its name there; empty: serial number and channel")
    type: int = setting(default=10, help="Bidgely's number for what it measures")
    direction: Direction | None = setting(  # noqa: RUF009 - a field
        default=None,
        help="the direction that is sent: import (used), export (generated); left out: by type, export for 1 and 11",
    )

    @property
    def counted_direction(self) -> Direction:
        """Which flow counts."""
        return self.direction or direction_by_type(self.type)


@plugin(api=1, delivery=Delivery(flush_interval=Duration(60), min_call_interval=Duration(60), batch_size=200))
class Bidgely(ServiceOfMeters):
    """Sends cumulative energy and power to Bidgely."""

    title = "Bidgely"
    state = ServiceState.UNKNOWN
    account = "`url`, which is your account's address, and `map`"
    replies = (AnswerRule(200, "<error", Verdict.RETRY, "are `url` and `map` right?"),)

    url: Secret = setting(help="the upload address that Bidgely gave you; your token is in it")
    # a stop of the program waits no longer than 30 s
    timeout: Duration = setting(default=Duration(25), help="longest wait for an answer")
    map: dict[ChannelRef, MeterOptions] = setting(
        help="what each channel measures: description; type, Bidgely's number (0 the house, 1 solar, 10 a circuit, 11 a"
        " circuit that generates); direction (import or export), if it is not that of the type",
        example='{ "399999_ch1" = { description = "mains", type = 0 } }',
    )

    def check(self) -> Iterator[Problem]:
        """Yield the problems between the settings."""
        yield from super().check()
        yield from (Problem(fault, "map") for fault in circuit_faults(self.map))

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: of each mapped channel counter in Wh and mean power in W, both one way, oldest first."""
        upload = element(None, "upload", version="1.0")
        meters = element(upload, "meters")
        sent: set[Sample] = set()
        for (serial, channel), (target, samples) in samples_by_channel(
            batch, lambda sample: mapped_channels(sample, self.map)
        ).items():
            name = f"{self.meter_name(serial)}_{channel}"
            about = target.description or name
            self.check_direction(samples[-1], channel, target.counted_direction, OTHER_WAY)
            flows = [
                (one, flow_one_way(one, channel, target.counted_direction, self._context.polarity)) for one in samples
            ]
            energy = [(one, of.energy) for one, of in flows if of.energy is not None]
            demand = [(one, of.watts) for one, of in flows if of.watts is not None]
            streams = element(None, "streams")
            _stream(streams, energy, id="CurrentSummationDelivered", unit="Wh", description=about)
            _stream(streams, demand, id="InstantaneousDemand", unit="W", description=about)
            sent.update(one for one, _ in (*energy, *demand))
            if len(streams):
                element(meters, "meter", id=name, model="Brultech", type=target.type, description=about).append(streams)
        if len(meters):
            headers = {"Content-Type": "application/xml"}
            yield Request("POST", self.address, data=document(upload), headers=headers, of=sent)

    def secrets(self) -> Iterator[Secret]:
        """Add what an answer may repeat of the address: its path, and the token in it."""
        yield from super().secrets()
        path = self.address.partition("://")[2].partition("/")[2]
        token = re.search(r"users/([^/]+)", path)
        yield from (Secret(text) for text in (path, token[1] if token else "") if len(text) > MIN_SECRET_LENGTH)


def _stream(parent: Element, values: Sequence[tuple[Sample, float]], **about: str) -> None:
    stream = element(parent, "stream", **about) if values else None
    for sample, value in values:
        element(stream, "data", time=epoch_seconds(sample), value=f"{value:z.6f}")
