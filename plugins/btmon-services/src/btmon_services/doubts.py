"""What the settings name that is not there: each told once, with what was heard.

A meter that is named and never heard is told by the core. Here it is a channel that a meter has not, and a channel of
any meter that none has.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from btcore import ChannelRef, Sample
from btmon_services.streams import has, listed

MOST_DOUBTS = 10
"""What a sink tells of meters that do not fit its settings; a source may hear any number of them."""

MOST_METERS = 1000
"""Meters that are remembered as met."""

AWAITED = 600.0
"""Seconds, by the meters' own times, after which what did not come is told."""

MOST_SHOWN = 5
"""Serial numbers in one line."""

Named = tuple[str, ChannelRef]
"""A setting and a channel that it names."""


class Doubts:
    """Compares the channels that settings name with the meters that come, and tells what does not fit.

    `meet` adds what else there is to tell of a meter's first sample.
    """

    def __init__(
        self,
        log: logging.Logger,
        named: Iterable[Named],
        meet: Callable[[Sample], Iterable[str]],
    ) -> None:
        """Know what is named, and no meter."""
        self._log = log
        self._named = list(named)
        self._meet = meet
        self._met: set[str] = set()
        self._forms: set[str] = set()
        self._sought = [(key, ref) for key, ref in self._named if not ref.serial]
        self._since: datetime | None = None
        self._told: set[tuple[str, str]] = set()
        self._lines = 0

    def met(self, serial: str) -> bool:
        """Whether samples of this meter came."""
        return serial in self._met

    @property
    def _heard(self) -> str:
        """The meters that came, for a line of the log."""
        more = len(self._met) - MOST_SHOWN
        return ", ".join(sorted(self._met)[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")

    def look(self, samples: Iterable[Sample]) -> None:
        """Tell what does not fit the meters of these samples; after a while, what none of all meters has."""
        for sample in samples:
            self._look_at(sample)
            if self._since is not None and (sample.end - self._since).total_seconds() >= AWAITED:
                self.conclude()

    def compare(self, sample: Sample, channel: str, against: str, hint: str) -> None:
        """Tell once of a channel what speaks against the direction that is sent of it, and what to write."""
        key = (sample.serial, channel)
        if against and key not in self._told and len(self._told) < MOST_METERS:
            self._told.add(key)
            self._tell(f"on {sample.serial}_{channel} {against}; {hint}")

    def conclude(self) -> None:
        """Tell what was named and did not come, once. Where nothing came at all there is nothing to compare with."""
        if self._since is None:
            return
        for key, ref in self._sought:
            self._tell(f"{key}: no meter heard so far has {ref.label}, so nothing of it is sent; heard: {self._heard}")
        self._sought = []

    def _look_at(self, sample: Sample) -> None:
        if sample.format.name not in self._forms:
            self._forms.add(sample.format.name)
            self._sought = [(key, ref) for key, ref in self._sought if not has(sample, ref.label)]
        if sample.serial in self._met:
            return
        if len(self._met) >= MOST_METERS:
            self._met.clear()
        self._met.add(sample.serial)
        self._since = self._since or sample.end
        for text in (*self._lacking(sample), *self._meet(sample)):
            self._tell(text)

    def _lacking(self, sample: Sample) -> Iterator[str]:
        for key, ref in self._named:
            if ref.serial == sample.serial and not has(sample, ref.label):
                yield f"{key}: meter {ref.serial} has no {ref.label}, so nothing of it is sent; it has {listed(sample)}"

    def _tell(self, text: str) -> None:
        self._lines += 1
        if self._lines <= MOST_DOUBTS:
            self._log.warning("%s", text)
        if self._lines == MOST_DOUBTS:
            self._log.warning("what else does not fit is not told until a restart")
