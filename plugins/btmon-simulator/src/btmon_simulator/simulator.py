# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `simulator`: its settings, and the waiting. The house is in `house.py`, its packets in `meter.py`."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from threading import Event
from typing import Literal

from btcore import (
    Chunk,
    Context,
    Discovered,
    Duration,
    MeterCommand,
    MeterCommands,
    Problem,
    SourceCheckpoint,
    hookimpl,
    plugin,
)
from btcore.light import and_, field, ge, le, setting
from btmon_simulator.ecm import DEVICES, SimulatedEcm
from btmon_simulator.faults import Fault
from btmon_simulator.gem import SimulatedGem, is_gem
from btmon_simulator.history import History
from btmon_simulator.meter import SimulatedMeter, make_meters, serials
from btmon_simulator.schedule import Schedule
from btmon_simulator.texts import FORMATS
from btmon_simulator.times import parse_time, validate_start

FormatName = Literal[
    "ecm1220bin",
    "ecm1240bin",
    "gem48pbin",
    "gem48ptbin",
    "gem48abin",
    "gem32pbin",
    "gem32abin",
    "gemascii",
    "gemhttpget",
    "gemseg6",
    "gememon",
    "gemcosm",
    "gemseg",
]

MAX_METERS = 10_000

MAX_HISTORY = 10 * 366 * 86_400
"""Seconds."""

MAX_WAIT = 0.25
"""Seconds of the longest wait, and so the longest delay until a stop is noticed."""


def _validate_target(_instance: object, _field: object, text: str) -> None:
    if text and not re.fullmatch(r"/[!-~]{0,200}", text):
        raise ValueError("expected a path of at most 200 characters that begins with a slash, such as /TOKEN/")


@plugin(api=1)
class Simulator:
    """Meters in simulated houses: mains, solar, appliances, water and temperatures, for trying things out."""

    origin = "simulated"

    format: FormatName = setting(default="gem48ptbin", help="packet format that the meters send")
    serial: str = setting(default="", help="serial number of the first meter; empty: one that is usual for the format")
    count: int = setting(
        default=1,
        help="how many meters, with consecutive serial numbers",
        validator=and_(ge(1), le(MAX_METERS)),
    )
    interval: Duration = setting(
        default=Duration(10),
        help="time between two packets of a meter; a meter counts whole seconds, so at least 1s",
        validator=ge(1),
    )
    packets: int = setting(
        default=0,
        help="packets of each meter after which the source ends; 0: it never ends",
        validator=ge(0),
    )
    start: str = setting(
        default="",
        help="time of the first packet, as 2026-06-21T06:00:00; empty: now. Packets of the past are sent at once",
        validator=validate_start,
    )
    pace: Literal["live", "fast"] = setting(default="live", help="live: each packet at its time; fast: all at once")
    house: Literal["week", "year"] = setting(
        default="week",
        help="week: a small house that repeats one week; year: one with seasons, a heat pump, a car and holidays",
    )
    history: Duration = setting(
        default=Duration(0),
        help="how long before its first packet a meter has sent already, such as 365d: an hour apart, the last days"
        " closer; all of it comes at once, at the first start only",
        validator=le(MAX_HISTORY),
    )
    seed: int = setting(default=1, help="seed of the random numbers; the same seed makes the same house and faults")
    faults: tuple[Fault, ...] = setting(default=(), help="the kinds of faults to simulate; empty: none")
    fault_rate: float = setting(
        default=0.1,
        help="share of the packets with a fault, 0 to 1",
        validator=and_(ge(0), le(1)),
    )

    target: str = setting(
        default="",
        help="of a format that is text: the target of the HTTP requests in which a GEM sends it; empty: the text alone",
        example="/TOKEN/",
        validator=_validate_target,
    )

    _commands: MeterCommands = field(factory=MeterCommands, init=False, repr=False)
    _checkpoint: str = field(default="", init=False, repr=False)

    def check(self) -> Iterator[Problem]:
        """Find a serial number that the format cannot carry, and a target of what is sent over no HTTP."""
        if self.target and self.format not in FORMATS:
            text = f"{self.format} is not sent over HTTP; expected one of {', '.join(FORMATS)}"
            yield Problem(text, key="format", warning=True)
        try:
            serials(self.format, self.serial, self.count)
        except ValueError as error:
            yield Problem(str(error), key="serial")

    @classmethod
    def discover(cls, _timeout: float) -> Iterable[Discovered]:
        """Offer a house for those who have no meter yet."""
        yield Discovered(kind="source", text="no meter yet: a simulated house", is_present=False)

    @hookimpl
    def open(self, context: Context) -> None:
        """Take the commands that its meters answer, and how much of their history there is."""
        self._commands = context.commands
        self._checkpoint = context.checkpoint

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk | SourceCheckpoint]:
        """Yield the history, then the packets of all meters, each not before its time, and answers to commands.

        A stream is one meter.
        """
        start, is_year = self._start(), self.house == "year"
        zone = timezone(start.utcoffset() or timedelta())
        meters = make_meters(self.format, self.serial, self.count, self.seed, zone, self.target, lives_a_year=is_year)
        if self.history:
            for item in History(start.astimezone(UTC), self.history).items(meters, self._checkpoint):
                if stop.is_set():
                    return
                yield item
        processors = _processors(meters, round(self.interval))
        last = start
        for transmission in self._schedule(start).transmissions(meters, self.seed):
            yield from self._wait_until(transmission.time, processors, stop)
            if stop.is_set():
                return
            last = transmission.time
            for piece in transmission.pieces:
                yield Chunk(piece, stream=transmission.serial, time=last)
        for meter in meters:
            yield Chunk(b"", stream=meter.serial, time=last, end=True)

    def _wait_until(self, moment: datetime, processors: "Sequence[Processor]", stop: Event) -> Iterator[Chunk]:
        """Wait for a time, by short waits because the computer's clock may be set; yield answers to commands."""
        left = 0.0
        while not stop.is_set():
            for command in self._commands.take():
                yield from _answers(command, processors)
            left = 0.0 if self.pace == "fast" else (moment - datetime.now(UTC)).total_seconds()
            if left <= 0:
                return
            self._commands.wait(min(left, MAX_WAIT))

    def _start(self) -> datetime:
        if self.start:
            return parse_time(self.start)
        # without summer time: the sun knows none, and a house that jumps by an hour would count backwards
        return datetime.now(timezone(timedelta(seconds=-time.timezone))).replace(microsecond=0)

    def _schedule(self, start: datetime) -> Schedule:
        interval = timedelta(seconds=self.interval)
        return Schedule(start.astimezone(UTC), interval, self.packets, self.faults, self.fault_rate)


Processor = SimulatedGem | SimulatedEcm


def _processors(meters: Sequence[SimulatedMeter], interval: int) -> list[Processor]:
    """Return the command processor of each meter; ECMs on one line have different device bytes, as far as there are."""
    return [
        SimulatedGem(meter, interval) if is_gem(meter) else SimulatedEcm(meter, interval, DEVICES[n % len(DEVICES)])
        for n, meter in enumerate(meters)
    ]


def _answers(command: MeterCommand, processors: Sequence[Processor]) -> Iterator[Chunk]:
    """Yield what the meter of a stream answers to a command; without a stream, all of them hear it."""
    now = datetime.now(UTC)
    for processor in processors:
        if command.stream in {"", processor.meter.serial} and (answer := processor.receive(command.data, now)):
            yield Chunk(answer, stream=processor.meter.serial)
