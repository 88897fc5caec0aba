"""Whether a sink's settings work: until anything was accepted with them, what is refused is not set aside, but waits.

A service that refuses the first readings one and all refuses how the sink is set up. Pure: nothing is called here.
"""

from collections.abc import Sequence

import attrs

from btcore.calculate.sampling import Step
from btcore.config.load import Sink
from btcore.errors import Stop
from btcore.journal import DeadLetter
from btcore.text import either
from btcore.values.describe import settings_of
from btcore.values.fingerprint import given

MAX_TRIED = 3
"""Readings that are tried, each by itself, before the sink is held to be set up wrong."""

MAX_SHOWN = 8
"""Names of settings that are shown."""


@attrs.frozen
class HeldStep:
    """A step that was refused, why, and what of it had to be set aside before."""

    step: Step
    why: str
    broken: Sequence[DeadLetter] = ()


@attrs.define
class UnprovenSettings:
    """What was refused while nothing was accepted yet. `where` names the sink's table, and its settings.

    `has_judge`: the plugin has told of a whole batch that it is never taken: it knows what it refuses.
    """

    location: str
    rejects_entire_batches: bool = False
    held: list[HeldStep] = attrs.field(factory=list)

    def hold(self, hold: HeldStep) -> None:
        """Keep what was refused. Raises Stop where it is enough."""
        self.held.append(hold)
        if len(self.held) >= MAX_TRIED:
            self.end()

    def end(self) -> None:
        """Take note that no more will come. Raises Stop where all that was tried was refused."""
        if self.held:
            rejected = either(len(self.held), "reading was", "readings were")
            raise Stop(
                f"{self.held[-1].why}; {rejected} rejected, one by one, and nothing was ever accepted with these"
                f" settings: check {self.location}"
            )

    def release(self) -> list[HeldStep]:
        """Return what was refused, as something was accepted now: it is set aside like any other."""
        held, self.held = self.held, []
        return held


def describe_location(sink: Sink) -> str:
    """Tell where the settings of a sink are, and which there are: those first that are not as by default."""
    cls = type(sink.instance)
    names = [entry.name for entry, _ in given(sink.instance)]
    names += [entry.name for entry in settings_of(cls) if entry.name not in names] if attrs.has(cls) else []
    shown = ", ".join([*names[:MAX_SHOWN], *(["..."] if len(names) > MAX_SHOWN else [])])
    return f"[{sink.whole or sink.table}] in site.toml" + (f" ({shown})" if shown else "")
