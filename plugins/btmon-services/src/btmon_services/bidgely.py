"""Bidgely: cumulative energy and power of each meter, to the address that the user was given."""

import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

import attrs

from btcore import Batch, ChannelRef, Delivery, Duration, Number, Problem, Sample, Secret, plugin, setting
from btcore.web import Meaning, Verdict
from btmon_services.markup import document, element
from btmon_services.meters import ServiceOfMeters
from btmon_services.service import Request, State
from btmon_services.streams import Direction, circuit_faults, counted, epoch, mapped, power, series

SHORTEST = 3
"""Characters of a part of the address that is no secret yet."""


@attrs.frozen(kw_only=True)
class Meter:
    """What Bidgely is told of a channel."""

    description: str = setting(default="", help="its name there; empty: serial number and channel")
    type: int = setting(default=10, help="Bidgely's number for what it measures")
    direction: Direction = setting(  # noqa: RUF009 - a field
        default="import", help="which flow on it counts: import (used), export (generated)"
    )


@plugin(api=1, delivery=Delivery(period=Duration(60), pause=Duration(60), batch_size=200))
class Bidgely(ServiceOfMeters):
    """Sends cumulative energy and power to Bidgely."""

    title = "Bidgely"
    state = State.UNKNOWN
    replies = (Meaning(200, "<error", Verdict.LATER),)

    url: Secret = setting(help="the upload address that Bidgely gave you; your token is in it")
    # a stop of the program waits no longer than 30 s
    timeout: Duration = setting(default=Duration(25), help="the longest wait for an answer")
    map: dict[ChannelRef, Meter] = setting(
        help="channel and what it is there: description, type (Bidgely's number: 0 the house, 1 solar, 10 a circuit)"
        ' and, where it generates, direction = "export"',
        example='{ "399999_ch1" = { description = "mains", type = 0 } }',
    )

    def check(self) -> Iterator[Problem]:
        """Tell what is wrong between the settings."""
        yield from super().check()
        yield from (Problem(fault, "map") for fault in circuit_faults(self.map))

    def requests(self, batch: Batch) -> Iterator[Request]:
        """Make one request: of each mapped channel its counter in Wh and its mean power in W, oldest first."""
        upload = element(None, "upload", version="1.0")
        meters = element(upload, "meters")
        for (serial, channel), (told, samples) in series(batch, lambda sample: mapped(sample, self.map)).items():
            name = f"{self.shown(serial)}_{channel}"
            about = told.description or name
            energy = [counted(sample, channel, told.direction, self._context.polarity) for sample in samples]
            demand = [power(sample, channel) for sample in samples]
            streams = element(None, "streams")
            _stream(streams, samples, energy, id="CurrentSummationDelivered", unit="Wh", description=about)
            _stream(streams, samples, demand, id="InstantaneousDemand", unit="W", description=about)
            if len(streams):
                element(meters, "meter", id=name, model="Brultech", type=told.type, description=about).append(streams)
        if len(meters):
            yield Request("POST", self.address, data=document(upload), headers={"Content-Type": "application/xml"})

    def secrets(self) -> Iterator[Secret]:
        """Add what an answer may repeat of the address: its path, and the token in it."""
        yield from super().secrets()
        path = self.address.partition("://")[2].partition("/")[2]
        token = re.search(r"users/([^/]+)", path)
        yield from (Secret(text) for text in (path, token[1] if token else "") if len(text) > SHORTEST)


def _stream(parent: Element, samples: Sequence[Sample], values: Sequence[Number], **about: str) -> None:
    known = [(sample, value) for sample, value in zip(samples, values, strict=True) if value is not None]
    stream = element(parent, "stream", **about) if known else None
    for sample, value in known:
        element(stream, "data", time=epoch(sample), value=f"{value:z.6f}")
