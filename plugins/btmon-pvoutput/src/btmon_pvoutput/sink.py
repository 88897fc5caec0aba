# SPDX-License-Identifier: GPL-3.0-or-later
"""The sink: its settings, what is wrong with them, and the hooks.

Statuses are made in `status.py` and sent in `client.py`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from btcore import (
    Batch,
    ChannelRef,
    Context,
    Delivery,
    DiagnosisContext,
    Discovered,
    Duration,
    Finding,
    Problem,
    Secret,
    Stop,
    hookimpl,
    plugin,
)
from btcore.light import evolve, setting
from btmon_pvoutput import address
from btmon_pvoutput.flows import DirectionSetting
from btmon_pvoutput.measures import Measures, is_circuit, is_sensor
from btmon_pvoutput.status import MAX_STATUSES, Status, request, split_requests, statuses

MIN_INTERVAL = 300
INTERVALS: tuple[float, ...] = (MIN_INTERVAL, 600, 900)
"""Seconds of the status intervals that a system of PVOutput can have."""

INTERVAL = 'set interval = "5m", "10m" or "15m", the same as the status interval of the system on pvoutput.org'

MAX_WARNINGS = 10
"""Warnings about meters that do not fit the settings."""

DELIVERY = Delivery(
    interval=Duration(MIN_INTERVAL), flush_interval=Duration(10), batch_size=MAX_STATUSES, max_calls_per_hour=60
)
"""PVOutput's own limits: a status each 5 minutes, 30 in a request, 60 requests an hour.

There is no limit for the age of a status: the service knows the date and whether the system is in donation mode.
The flush interval is for readings that come faster than they were made, as from a capture: sent one by one, their
statuses would use up the requests of an hour. The slots of a live meter are further apart and are not delayed.
"""


def _is_zone(_plugin: object, _setting: object, name: str) -> None:
    try:
        ZoneInfo(name or "UTC")
    except (KeyError, OSError, ValueError):
        raise ValueError('expected the name of a time zone, such as "America/New_York"') from None


def _is_positive(_plugin: object, _setting: object, seconds: float) -> None:
    if seconds <= 0:
        raise ValueError("expected more than 0 s")


@plugin(api=1, delivery=DELIVERY)
class PVOutput:
    """Sends generation, consumption, temperature and voltage to a system of pvoutput.org."""

    api_key: Secret = setting(help="the system's API key, from the Settings page of pvoutput.org", example="PVO_KEY")
    system_id: str = setting(help="the system's number, from the same page", example="12345")
    generation: ChannelRef | None = setting(
        default=None, help="the channel that measures the solar panels", example="399999_ch1"
    )
    generation_direction: DirectionSetting = setting(
        default="auto",
        help="the direction that is sent; auto: the one with the larger counter; export, import: always that one, as"
        " for an inverter that consumes at night, or a reversed clamp; both: the sum",
    )
    consumption: ChannelRef | None = setting(
        default=None, help="the channel that measures the consumption of the house", example="399999_ch2"
    )
    consumption_direction: DirectionSetting = setting(
        # not auto: on a clamp at the mains of a house with panels the export may one day be the greater
        default="import",
        help="the direction that is sent; import: usual; export or auto: for a reversed clamp; both: the sum",
    )
    grid: ChannelRef | None = setting(
        default=None,
        help="instead of consumption: the channel between house and grid; consumption is then generation plus import"
        " minus export",
    )
    temperature: ChannelRef | None = setting(default=None, help="a temperature sensor", example="01000010_t1")
    temperature_unit: Literal["C", "F"] = setting(default="C", help="the unit that the meter is set to")
    zone: str = setting(
        default="",
        validator=_is_zone,
        help="the time zone of the system on pvoutput.org, such as America/New_York; empty: this computer's",
    )
    night: Literal["stop", "leave-out"] = setting(
        default="stop",
        help="when PVOutput refuses generation at night: stop, because zone or generation is wrong; leave-out, send the"
        " status without generation, for a battery or an inverter that feeds in at night",
    )
    url: str = setting(default=address.DEFAULT, help="address of the service")
    timeout: Duration = setting(default=Duration(15), validator=_is_positive, help="longest wait for an answer")

    def check(self, delivery: Delivery = DELIVERY) -> Iterator[Problem]:
        """Yield the problems within and between the settings."""
        yield from self._check_channels()
        if delivery.interval not in INTERVALS:
            yield Problem(f"{delivery.interval / 60:g} min is no interval of PVOutput: {INTERVAL}", key="interval")
        for key, fits, example in (
            ("generation", is_circuit, ChannelRef("399999", "ch1")),
            ("consumption", is_circuit, ChannelRef("399999", "ch1")),
            ("grid", is_circuit, ChannelRef("399999", "ch1")),
            ("temperature", is_sensor, ChannelRef("01000010", "t1")),
        ):
            ref = getattr(self, key)
            if ref is not None and not fits(ref.label):
                such = evolve(example, serial=ref.serial or example.serial)
                yield Problem(f"{ref} is not such a channel: expected one such as {such}", key=key)
        if not re.fullmatch(r"[!-~]+", self.api_key.reveal().strip()):
            yield Problem(
                "expected the key from the Settings page of pvoutput.org: not empty, without blanks", key="api_key"
            )
        if not re.fullmatch(r"\d+", self.system_id.strip(), re.ASCII):
            yield Problem(
                "expected the system's number, as the Settings page of pvoutput.org shows it", key="system_id"
            )
        if fault := address.fault(self.url):
            yield Problem(fault, key="url")

    def _check_channels(self) -> Iterator[Problem]:
        if self.generation is None and self.consumption is None and self.grid is None:
            yield Problem('nothing to send: give generation or consumption, such as generation = "399999_ch1"')
        if self.grid is not None and self.consumption is not None:
            yield Problem("give consumption or grid, not both: with grid, consumption is calculated", key="grid")
        if self.grid is not None and self.generation is None:
            yield Problem("needs generation as well; without solar panels, call this channel consumption", key="grid")

    @property
    def hosted(self) -> bool:
        """Whether it is the service on the Internet, and no server of one's own."""
        return address.is_hosted(self.url)

    @classmethod
    def discover(cls, _timeout: float) -> Iterable[Discovered]:
        """Offer an account, of which one of two channels is needed beside the key."""
        ask = ("generation", "consumption")
        yield Discovered(kind="sink", text="an account of pvoutput.org", ask=ask, is_present=False)

    def diagnose(self, _context: DiagnosisContext) -> Iterable[Finding]:
        """Find out whether the service takes the credentials; no data is sent."""
        from btmon_pvoutput.diagnosis import diagnose  # noqa: PLC0415 - listing the plugins must not import requests

        return diagnose(self)

    @hookimpl
    def open(self, context: Context) -> None:
        """Prepare; nothing is sent. Raises Stop for an interval that PVOutput does not have."""
        from btmon_pvoutput.client import PVOutputClient  # noqa: PLC0415 - listing the plugins must not import requests

        if context.interval not in INTERVALS:
            raise Stop(f"interval: {context.interval / 60:g} min is no interval of PVOutput: {INTERVAL}")
        self._log = context.log
        self._interval = int(context.interval)
        self._zone = ZoneInfo(self.zone) if self.zone else None
        self._measures = self._make_measures(context)
        self._warned: set[str] = set()
        self._client = PVOutputClient(
            address.base_url(self.url),
            api_key=self.api_key,
            system_id=self.system_id,
            timeout=self.timeout,
            interval=self._interval,
            zone=describe_time_zone(self.zone),
            night=self.night,
        )

    @hookimpl
    def close(self) -> None:
        """Give the connection back."""
        if hasattr(self, "_client"):
            self._client.close()

    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        """Send a status for each slot; return how many readings were used."""
        made = self._statuses(batch)
        if made:
            self._client.deliver(made, self._measures.lifetime)
            left = self._client.requests_left
            what = "1 status" if len(made) == 1 else f"{len(made)} statuses"
            self._log.debug("sent %s, the last of %s %s; requests left: %s", what, *made[-1].slot, left)
        return _readings_in(made, batch)

    @hookimpl
    def find_stored(self, batch: Batch) -> list[tuple[str, int]]:
        """Ask which statuses the system has; return all of the batch but what is missing there.

        So what makes no status, such as a reading of another meter, is not missing either.
        """
        missing = {
            (sample.serial, sample.newer.key)
            for status in self._client.missing(self._statuses(batch))
            for sample in status.of
        }
        ends = [(sample.serial, sample.newer.key) for sample in batch.samples]
        return list({*((one.serial, one.key) for one in batch.readings), *ends} - missing)

    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterator[str]:
        """Yield the requests, without the credentials."""
        for some in split_requests(self._statuses(batch)):
            page, form = request(some, self._measures.lifetime)
            yield f"POST {address.base_url(self.url)}{page} " + "&".join(
                f"{name}={text}" for name, text in form.items()
            )

    def _statuses(self, batch: Batch) -> list[Status]:
        for sample in batch.samples:
            for mismatch in self._measures.mismatches(sample):
                # a source may hear any number of meters
                if mismatch not in self._warned and len(self._warned) < MAX_WARNINGS:
                    self._warned.add(mismatch)
                    self._log.warning("%s", mismatch)
        made = statuses(batch.samples, self._measures, self._interval, self._zone)
        for severity, text in self._measures.directions.notices():
            self._log.log(severity, "%s", text)
        return made

    def _make_measures(self, context: Context) -> Measures:
        return Measures(
            generation=self.generation,
            generation_direction=self.generation_direction,
            consumption=self.consumption,
            consumption_direction=self.consumption_direction,
            grid=self.grid,
            temperature=self.temperature,
            fahrenheit=self.temperature_unit == "F",
            polarity=context.polarity,
        )


def describe_time_zone(zone: str) -> str:
    """Describe the time zone of the statuses, and where it comes from."""
    if zone:
        return f'`zone` is "{zone}"'
    now = datetime.now().astimezone()
    minutes = round((now.utcoffset() or now - now).total_seconds() / 60)
    offset = f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    name = now.tzname() or ""
    description = name if name in ("UTC", offset) else f"{name}, {offset}"
    return f"`zone` is left out, so the times are those that this computer is set to: {description}"


def _readings_in(made: Sequence[Status], batch: Batch) -> int:
    """Return how many readings of a batch end a sample that a status has something of."""
    ends = {(sample.serial, sample.newer.key) for status in made for sample in status.of}
    return min(len(ends), len(batch.readings))
