"""Whether a sink's settings work: until anything was accepted with them, what is refused is not set aside, but waits.

A service that refuses the first readings one and all refuses how the sink is set up. Pure: nothing is called here.
"""

from collections.abc import Sequence

import attrs

from btcore.calculate.sampling import Step
from btcore.config.site import Sink
from btcore.errors import Stop
from btcore.journal import DeadLetter
from btcore.text import plural
from btcore.values.describe import settings_of
from btcore.values.fingerprint import changed_settings

MOST = 3
"""Readings that are tried, each by itself, before the sink is held to be set up wrong."""

SHOWN = 8
"""Names of settings that are shown."""


@attrs.frozen
class Doubt:
    """A step that was refused, why, and what of it had to be set aside before."""

    step: Step
    why: str
    broken: Sequence[DeadLetter] = ()


@attrs.define
class Trial:
    """What was refused while nothing was accepted yet. `where` names the sink's table, and its settings.

    `has_judge`: the plugin has told of a whole batch that it is never taken: it knows what it refuses.
    """

    where: str
    has_judge: bool = False
    doubts: list[Doubt] = attrs.field(factory=list)

    def doubt(self, doubt: Doubt) -> None:
        """Keep what was refused. Raises Stop where it is enough."""
        self.doubts.append(doubt)
        if len(self.doubts) >= MOST:
            self.end()

    def end(self) -> None:
        """Take note that no more will come. Raises Stop where all that was tried was refused."""
        if self.doubts:
            tried = plural(len(self.doubts), "reading")
            raise Stop(
                f"{self.doubts[-1].why}; {tried} tried, one by one, and nothing was ever accepted with these settings:"
                f" look at {self.where}"
            )

    def settled(self) -> list[Doubt]:
        """Return what was refused, as something was accepted now: it is set aside like any other."""
        doubts, self.doubts = self.doubts, []
        return doubts


def where(sink: Sink) -> str:
    """Tell where the settings of a sink are, and which there are: those first that are not as by default."""
    cls = type(sink.instance)
    names = [entry.name for entry, _ in changed_settings(sink.instance)]
    names += [entry.name for entry in settings_of(cls) if entry.name not in names] if attrs.has(cls) else []
    shown = ", ".join([*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])])
    return f"[{sink.split_from or sink.table}] in site.toml" + (f" ({shown})" if shown else "")
