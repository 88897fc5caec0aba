# SPDX-License-Identifier: GPL-3.0-or-later
"""The channels that settings name, compared with the meters that send: what does not exist is logged once.

The core logs a meter that is named and never sends. Here it is a channel that its meter does not have, and a channel
without a serial number that no meter has.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from btcore import ChannelRef, Sample
from btmon_services.selection import describe_channels, has_channel

MAX_WARNINGS = 10
"""Warnings of one sink about meters that do not fit its settings: a source may have any number of meters."""

MAX_METERS = 1000
"""Meters that are remembered."""

MISSING_AFTER = 600.0
"""Seconds, by the readings' own times, after which a channel that did not come is logged."""

MAX_LISTED = 5
"""Serial numbers in one warning."""

NamedChannel = tuple[str, ChannelRef]
"""The name of a setting, and a channel in it."""


class ChannelChecker:
    """Compares the channels that settings name with the meters that send, and logs what does not fit.

    `meet` yields further warnings about the first sample of a meter.
    """

    def __init__(
        self,
        log: logging.Logger,
        named: Iterable[NamedChannel],
        meet: Callable[[Sample], Iterable[str]],
    ) -> None:
        """Take the channels that are named; no meter is known yet."""
        self._log = log
        self._named = list(named)
        self._meet = meet
        self._met: set[str] = set()
        self._formats: set[str] = set()
        self._missing = [(key, ref) for key, ref in self._named if not ref.serial]
        self._since: datetime | None = None
        self._warned: set[tuple[str, str]] = set()
        self._lines = 0

    def has_met(self, serial: str) -> bool:
        """Whether samples of this meter have come."""
        return serial in self._met

    @property
    def _met_serials(self) -> str:
        """The serial numbers of the meters so far, for a warning."""
        more = len(self._met) - MAX_LISTED
        return ", ".join(sorted(self._met)[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")

    def check(self, samples: Iterable[Sample]) -> None:
        """Log what does not fit the meters of these samples and, after a while, what no meter has."""
        for sample in samples:
            self._check_sample(sample)
            if self._since is not None and (sample.end - self._since).total_seconds() >= MISSING_AFTER:
                self.finish()

    def warn_of_direction(self, sample: Sample, channel: str, opposite_flow: str, hint: str) -> None:
        """Warn once for each channel that power flows opposite to the direction that is sent, and what to write."""
        key = (sample.serial, channel)
        if opposite_flow and key not in self._warned and len(self._warned) < MAX_METERS:
            self._warned.add(key)
            self._warn(f"on {sample.serial}_{channel} {opposite_flow}; {hint}")

    def finish(self) -> None:
        """Log once what was named and did not come. Without any sample there is nothing to compare with."""
        if self._since is None:
            return
        for key, ref in self._missing:
            self._warn(
                f"{key}: no meter heard so far has {ref.label}, so nothing of it is sent; heard: {self._met_serials}"
            )
        self._missing = []

    def _check_sample(self, sample: Sample) -> None:
        if sample.format.name not in self._formats:
            self._formats.add(sample.format.name)
            self._missing = [(key, ref) for key, ref in self._missing if not has_channel(sample, ref.label)]
        if sample.serial in self._met:
            return
        if len(self._met) >= MAX_METERS:
            self._met.clear()
        self._met.add(sample.serial)
        self._since = self._since or sample.end
        for text in (*self._missing_channels(sample), *self._meet(sample)):
            self._warn(text)

    def _missing_channels(self, sample: Sample) -> Iterator[str]:
        for key, ref in self._named:
            if ref.serial == sample.serial and not has_channel(sample, ref.label):
                has = describe_channels(sample)
                yield f"{key}: meter {ref.serial} has no {ref.label}, so nothing of it is sent; it has {has}"

    def _warn(self, text: str) -> None:
        self._lines += 1
        if self._lines <= MAX_WARNINGS:
            self._log.warning("%s", text)
        if self._lines == MAX_WARNINGS:
            self._log.warning("further warnings of this kind are left out until the next start")
