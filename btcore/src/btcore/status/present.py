# SPDX-License-Identifier: GPL-3.0-or-later
"""The present, for who asks the running program: the last power of each channel, and its energy of today.

Nothing is counted while nobody asks. The first who does has today's readings read from the journal, for half a second a
question, so that the program is not held up; until that is done, energies are not known. Power is known at once.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import Any

from btcore.calculate.chains import Chains
from btcore.calculate.sampling import Consecutive, SampleCache
from btcore.channel_descriptions import ChannelDescription
from btcore.classes import define, field
from btcore.config.site import Site
from btcore.decode.decoders import Decoders
from btcore.formats import Number
from btcore.journal import START, Journal, Offset
from btcore.measurement import measurements
from btcore.records import Reading, Sample
from btcore.settings import Polarity

log = logging.getLogger("btcore.control")

POLARITY: Polarity = "brultech"
"""Positive is what a channel consumes, whatever the sinks are given."""

READ = 200
"""Journal entries read at once."""

WORK_SECONDS = 0.5
"""For how long one question reads the journal."""

IDLE_SECONDS = 600.0
"""Seconds without a question after which what was counted is forgotten."""

RECENT = 1000
"""Readings at the end of the journal whose power is known at once."""

MARGIN = 3600
"""Seconds before midnight from which readings are read: the energy of one that came soon after it is shared out."""

MICROSECONDS = 1_000_000


@define
class Today:
    """What a meter had counted when its day began (`begun`), in Wh by channel, and since when: seconds since 1970."""

    midnight: float
    since: float
    begun: dict[str, float]


@define(eq=False)
class Follower:
    """Reads the journal from an offset on, and knows the last sample of each meter. One thread at a time."""

    offset: Offset
    latest: dict[str, Sample] = field(factory=dict)
    today: dict[str, Today] = field(factory=dict)
    _sampler: Consecutive = field(init=False, factory=lambda: Consecutive(POLARITY, Chains({}), SampleCache(1)))

    def follow(self, journal: Journal, decoders: Decoders, until: float) -> bool:
        """Read on until a moment of the steady clock; return whether there is nothing more. Raises Unavailable."""
        while True:
            entries = journal.read(self.offset, READ)
            for entry in entries:
                if (reading := decoders.read_entry(entry)) is not None:
                    self._feed(reading)
                self.offset = entry.offset
            if len(entries) < READ:
                return True
            if time.monotonic() >= until:
                return False

    def _feed(self, reading: Reading) -> None:
        for step in self._sampler.feed(reading, self.offset):
            for sample in step.samples:
                known = self.latest.get(sample.serial)
                if known is None or known.newer.key <= sample.newer.key:
                    self.latest[sample.serial] = sample
                    self._begin_day(sample)

    def _begin_day(self, sample: Sample) -> None:
        """Note what had been counted at midnight, with the first sample of a day; share out one that crosses it."""
        day = self.today.get(sample.serial)
        start, end = sample.older.timestamp, sample.newer.timestamp
        midnight = midnight_of(end)
        if day is not None and midnight == day.midnight:
            return
        share = min(max((end - midnight) / (end - start), 0.0), 1.0) if end > start else 1.0
        begun = {
            channel: total - share * (delta or 0) for channel, (total, delta) in _energies(sample) if total is not None
        }
        self.today[sample.serial] = Today(midnight, max(midnight, start), begun)


class Present:
    """Answers what is measured now, from any thread."""

    def __init__(
        self,
        site: Callable[[], Site],
        journal: Journal,
        decoders: Callable[[], Decoders],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is read. `site` returns the configuration, `decoders` makes its decoders."""
        self._clock = clock
        self._site = site
        self._journal = journal
        self._make_decoders = decoders
        self._lock = Lock()
        self._of: Site | None = None
        self._asked = 0.0
        self._decoders = Decoders(())
        self._recent: Follower | None = None
        self._day = Follower(START)

    def answer(self, _request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield one answer: each meter's channels with their watts and Wh of today, positive for what they consume.

        `complete`: whether the energies of today are known; until then they are null. Raises Unavailable.
        """
        with self._lock:
            site, now = self._site(), time.monotonic()
            if site is not self._of:
                self._begin(site)
            self._asked = now
            known = self._follow(now + WORK_SECONDS)
            meters = [_meter(site, one, self._today(one)) for _, one in sorted(known.latest.items())]
            found = {"meters": meters, "complete": self._recent is None}
        yield found

    def _begin(self, site: Site) -> None:
        self._decoders.close()
        self._decoders = self._make_decoders().for_worker(log)
        self._decoders.open(skip_failing=True)
        key = round((midnight_of(self._clock()) - MARGIN) * MICROSECONDS)
        self._day = Follower(offset_before(self._journal, key))
        self._recent = self._of_recent()
        self._of = site

    def _of_recent(self) -> Follower:
        recent = self._journal.recent(self._journal.newest(), RECENT)
        return Follower(recent[0].offset - 1 if recent else START)

    def _follow(self, until: float) -> Follower:
        """Read on until a moment; return who knows the present: who follows the day, once it has caught up."""
        if self._day.follow(self._journal, self._decoders, until):
            if self._recent is not None:  # of a meter that is silent since yesterday its last power is known
                self._recent.follow(self._journal, self._decoders, until)
                self._day.latest = self._recent.latest | self._day.latest
            self._recent = None
            return self._day
        self._recent = self._recent or self._of_recent()
        self._recent.follow(self._journal, self._decoders, time.monotonic() + WORK_SECONDS)
        return self._recent

    def check(self) -> None:
        """Forget everything when nobody has asked for a while; called about every second."""
        is_idle = self._of is not None and time.monotonic() - self._asked > IDLE_SECONDS
        if is_idle and self._lock.acquire(blocking=False):
            try:
                self._of, self._recent, self._day = None, None, Follower(START)
            finally:
                self._lock.release()

    def _today(self, sample: Sample) -> Today | None:
        """Return the day of a meter, if it is today and known."""
        day = None if self._recent is not None else self._day.today.get(sample.serial)
        return day if day is not None and day.midnight == midnight_of(self._clock()) else None


def midnight_of(moment: float) -> float:
    """Return when the local day of a moment began, in seconds since 1970."""
    local = time.localtime(moment)
    return time.mktime((local.tm_year, local.tm_mon, local.tm_mday, 0, 0, 0, 0, 0, -1))


def offset_before(journal: Journal, key: int) -> Offset:
    """Return an offset after which all entries came in that have this key or a later one, but for old ones kept late.

    The entries are asked for by halves: some twenty of a million.
    """
    before, after = journal.kept_after(), journal.newest()
    while before < after:
        middle = (before + after) // 2
        found = journal.read(middle, 1)
        if found and found[0].key < key:
            before = found[0].offset
        else:
            after = middle
    return before


def _energies(sample: Sample) -> Iterator[tuple[str, tuple[Number, Number]]]:
    """Yield of each channel what it has counted, imported less exported, and what of it in this sample, in Wh."""
    for one in measurements(sample, POLARITY):
        if one.wh_import is not None:
            yield one.channel, (one.wh_import - (one.wh_export or 0), one.wh_delta)


def _meter(site: Site, sample: Sample, day: Today | None) -> dict[str, Any]:
    channels, sensors = [], []
    own = {channel.name for channel in sample.channels}
    totals = dict(_energies(sample))
    for one in measurements(sample, POLARITY):
        about = _describe(site, sample.serial, one.channel)
        what: dict[str, Any] = {"channel": one.channel, "name": about.name}
        if one.channel not in own:
            sensors.append(what | _sensor(about, one.channel, one.value))
            continue
        begun = day.begun.get(one.channel) if day is not None else None
        total = totals.get(one.channel, (None, None))[0]
        today = None if total is None or begun is None else total - begun
        is_named = f"{sample.serial}_{one.channel}" in site.channels
        channels.append(what | {"named": is_named, "watts": one.watts, "wh_today": today})
    return {
        "serial": sample.serial,
        "time": sample.newer.timestamp,
        "since": day.since if day is not None else None,
        "volts": sample.newer.get("volts"),
        "channels": channels,
        "sensors": sensors,
    }


def _describe(site: Site, serial: str, channel: str) -> ChannelDescription:
    key = f"{serial}_{channel}"
    return site.channel_descriptions.get(key) or ChannelDescription(name=site.channels.get(key, key))


def _sensor(about: ChannelDescription, label: str, value: Number) -> dict[str, Any]:
    is_counter = about.is_of_pulses and value is not None
    unit = about.unit if is_counter else "°" if label.startswith("t") else ""
    return {"value": value * about.per_pulse if is_counter and value is not None else value, "unit": unit}
