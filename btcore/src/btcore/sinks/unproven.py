# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a sink that may be wrong, as nothing was accepted with them yet, or they select nothing.

A service that rejects every one of the first readings rejects the settings: rejected readings are held until then, and
are no dead letters. Pure: nothing is called here.
"""

import math
import time
from collections.abc import Callable, Sequence

from btcore.calculate.sampling import Step
from btcore.classes import define, field, frozen, has_fields
from btcore.config.site import Sink
from btcore.errors import Stop
from btcore.journal import DeadLetter
from btcore.text import either, plural
from btcore.values.describe import settings_of
from btcore.values.fingerprint import changed_settings

MAX_TRIED = 3
"""Readings that are tried one by one; if all are rejected, the settings are wrong."""

MAX_SHOWN = 8
"""Names of settings in a message."""

FIRST_REPORT = 60.0
"""Seconds before the warning about a sink whose settings never selected anything."""

REPORT_INTERVAL = 3600.0
"""The same for a sink whose settings did, and the seconds between two warnings about one whose did not."""


@frozen
class HeldStep:
    """A step that was rejected, why, and the dead letters of its samples that cannot be calculated."""

    step: Step
    why: str
    broken: Sequence[DeadLetter] = ()


@define
class UnprovenSettings:
    """The steps that were rejected while nothing was accepted yet. `location` names the sink's table and settings.

    `rejects_entire_batches`: the plugin has rejected an entire batch, so it knows what it rejects.
    """

    location: str
    rejects_entire_batches: bool = False
    held: list[HeldStep] = field(factory=list)

    def hold(self, step: HeldStep) -> None:
        """Hold a rejected step. Raises Stop at the limit."""
        self.held.append(step)
        if len(self.held) >= MAX_TRIED:
            self.end()

    def end(self) -> None:
        """End the run. Raises Stop if steps are held: all that was tried was rejected."""
        if self.held:
            rejected = either(len(self.held), "reading was", "readings were")
            raise Stop(
                f"{self.held[-1].why}; {rejected} rejected, one by one, and nothing was ever accepted with these"
                f" settings: check {self.location}"
            )

    def release(self) -> list[HeldStep]:
        """Return the held steps, and hold none: now that something was accepted, they become dead letters."""
        held, self.held = self.held, []
        return held


def describe_location(sink: Sink) -> str:
    """Describe where the settings of a sink are, and which it has: those first that differ from the default."""
    cls = type(sink.instance)
    names = [entry.name for entry, _ in changed_settings(sink.instance)]
    names += [entry.name for entry in settings_of(cls) if entry.name not in names] if has_fields(cls) else []
    listed = ", ".join([*names[:MAX_SHOWN], *(["..."] if len(names) > MAX_SHOWN else [])])
    return f"[{sink.split_from or sink.table}] in site.toml" + (f" ({listed})" if listed else "")


@define
class UnwantedWatch:
    """Warns of settings that select nothing in the readings: that may be a mistake in them.

    It knows since when they selected nothing. Seconds are of a monotonic clock.
    """

    warn: Callable[[str], object]
    clock: Callable[[], float] = time.monotonic
    _since: float = field(init=False)
    _before: int = field(init=False, default=0)
    _reported_at: float = field(init=False, default=-math.inf)

    @_since.default
    def _now(self) -> float:
        return self.clock()

    def wanted(self, total: int) -> None:
        """Record that something was selected; `total` readings were not, until now."""
        self._since, self._before, self._reported_at = self.clock(), total, -math.inf

    def check(self, total: int, *, is_proven: bool) -> None:
        """Warn if nothing was selected for long: once for settings that are proven, again and again for new ones."""
        is_reported = self._reported_at > -math.inf
        wait = REPORT_INTERVAL if is_proven or is_reported else FIRST_REPORT
        if self.clock() - max(self._since, self._reported_at) >= wait and not (is_proven and is_reported):
            self._report(total)

    def finish(self, total: int, *, is_proven: bool) -> None:
        """Warn at the end of a run, if the settings are new and no warning was logged."""
        if not is_proven and self._reported_at == -math.inf:
            self._report(total)

    def _report(self, total: int) -> None:
        if count := total - self._before:
            self._reported_at = self.clock()
            self.warn(
                f"its settings select nothing in {plural(count, 'reading')}, so nothing was sent: if that is a mistake,"
                " correct the settings and restart. The journal keeps the readings for as long as `retention` says"
            )
