# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a sink that nothing was accepted with yet: rejected readings are held, and are no dead letters.

A service that rejects every one of the first readings rejects the settings. Pure: nothing is called here.
"""

from collections.abc import Sequence

from btcore.calculate.sampling import Step
from btcore.classes import define, field, frozen, has_fields
from btcore.config.site import Sink
from btcore.errors import Stop
from btcore.journal import DeadLetter
from btcore.text import either
from btcore.values.describe import settings_of
from btcore.values.fingerprint import changed_settings

MAX_TRIED = 3
"""Readings that are tried one by one; if all are rejected, the settings are wrong."""

MAX_SHOWN = 8
"""Names of settings in a message."""


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
