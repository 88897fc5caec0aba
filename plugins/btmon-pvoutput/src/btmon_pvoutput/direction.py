"""Which flow on a channel counts: as the settings say, or as `auto` chooses; and what there is to tell of it.

`auto` goes by what the meter has counted in all its life. The greater of two counters that never fall does not fall
either. What it chose is told with the numbers that it chose by, and so is whatever contradicts it.
"""

import logging
from collections.abc import Iterator, Mapping

import attrs

from btcore import ChannelRef
from btmon_pvoutput.flows import OTHER, Direction, Flow, Flows, Way

USUAL: Mapping[str, Way] = {"generation": "export", "consumption": "import"}
"""What `auto` is where a meter has counted as much of either: nothing, as yet."""

REAL = 100.0
"""W that neither an inverter at night nor a clamp shows by itself."""

STANDS_STILL = 0.1
"""A flow stands still where it is less than this part of the other one."""

CLOSE = 0.5
"""Two counters are close where the lesser is more than this part of the greater one."""

MOST_CHANNELS = 1000
"""Channels that are remembered: a source may hear any number of meters."""

HINTS = {
    "generation": "if the panels generate now",
    "consumption": "if that is what the house uses",
}


@attrs.define
class _Choice:
    """What is known of a channel: which way `auto` turned against the counters, and whether real power was sent."""

    turned: Way | None = None
    flowed: bool = False


class Directions:
    """Says which flow counts, and remembers, for as long as the sink is open, what was seen of each channel."""

    def __init__(self) -> None:
        """Know no channel."""
        self._choices: dict[tuple[str, ChannelRef], _Choice] = {}
        self._told: set[tuple[str, ChannelRef, str]] = set()
        self._notices: list[tuple[int, str]] = []

    def notices(self) -> Iterator[tuple[int, str]]:
        """Yield what there is to tell, with the level of the log, each once."""
        notices, self._notices = self._notices, []
        yield from notices

    def counts(self, kind: str, channel: ChannelRef, direction: Direction, found: Flows) -> Flow:
        """Return what counts of a channel. `kind` is what it measures."""
        if direction == "both" or not found.apart:
            return found.both
        if direction == "auto":
            return self._auto(kind, channel, found)
        self._doubt_fixed(kind, channel, direction, found)
        return found[direction]

    def _auto(self, kind: str, channel: ChannelRef, found: Flows) -> Flow:
        """Return the flow of which there was more in all, or the usual one where power contradicts that.

        It turns to the usual one as long as no real power was sent of the other. Energy is that of the greater counter,
        or none: at the turn it would fall.
        """
        choice = self._of(kind, channel)
        more = _more_of(kind, found)
        way = choice.turned or more
        if _contradicts(found, way):
            if not choice.flowed and choice.turned is None and way != USUAL[kind]:
                choice.turned = way = USUAL[kind]
                self._tell_turned(kind, channel, way, found)
            else:
                self._tell_contradiction(kind, channel, way, found)
        elif way == more:
            self._tell_choice(kind, channel, way, found)
        choice.flowed = choice.flowed or (found[way].watts or 0) >= REAL
        return found[way] if way == more else Flow(found[way].watts, None)

    def _doubt_fixed(self, kind: str, channel: ChannelRef, way: Way, found: Flows) -> None:
        other = OTHER[way]
        if found[way].energy == 0 and found[other].energy:
            self._note(
                (kind, channel, "idle"),
                f'{kind}: meter {channel.serial} has never counted anything as "{way}" on {channel.label}, only as'
                f' "{other}"; if that is not what you expect, leave out {kind}_direction',
            )
        elif _contradicts(found, way):
            grid = "if it lies between the grid and the house, name it as grid; " if kind == "consumption" else ""
            self._note(
                (kind, channel, "contradicted"),
                f"{kind}: on {channel} {_now(found, way)}, and {way} is sent; {grid}{HINTS[kind]}, write"
                f' {kind}_direction = "{other}"',
            )

    def _tell_choice(self, kind: str, channel: ChannelRef, way: Way, found: Flows) -> None:
        ours, theirs = found[way].energy, found[OTHER[way]].energy
        if ours is None or theirs is None:
            return
        if not ours and not theirs:
            text = f"{kind}: {channel} has counted nothing yet: {way} is sent until it has counted more as {OTHER[way]}"
            self._note((kind, channel, way), f"{text}; {kind}_direction fixes it", logging.INFO)
        elif theirs > CLOSE * ours:
            self._note(
                (kind, channel, way),
                f"{kind}: {_counted(channel, way, found)}, which is close: {way} is sent as long as it is more; write"
                f' {kind}_direction = "export" or "import", whichever is {kind}',
            )
        else:
            text = f"{kind}: {_counted(channel, way, found)}: {way} is sent; {kind}_direction fixes it"
            self._note((kind, channel, way), text, logging.INFO)

    def _tell_turned(self, kind: str, channel: ChannelRef, way: Way, found: Flows) -> None:
        other = OTHER[way]
        self._note(
            (kind, channel, "turned"),
            f"{kind}: {_counted(channel, other, found)}, but {_now(found, other)}: {way} is sent, its power alone until"
            f' more of it is counted, as energy that falls is refused; write {kind}_direction = "{way}" to send both,'
            f' or "{other}" where that is {kind}',
        )

    def _tell_contradiction(self, kind: str, channel: ChannelRef, way: Way, found: Flows) -> None:
        self._note(
            (kind, channel, "contradicted"),
            f"{kind}: {_counted(channel, way, found)}, and {way} is sent, but {_now(found, way)}; {HINTS[kind]}, write"
            f' {kind}_direction = "{OTHER[way]}"',
        )

    def _of(self, kind: str, channel: ChannelRef) -> _Choice:
        if len(self._choices) >= MOST_CHANNELS:
            self._choices.clear()
        return self._choices.setdefault((kind, channel), _Choice())

    def _note(self, key: tuple[str, ChannelRef, str], text: str, level: int = logging.WARNING) -> None:
        if key not in self._told and len(self._told) < MOST_CHANNELS:
            self._told.add(key)
            self._notices.append((level, text))


def _more_of(kind: str, found: Flows) -> Way:
    """Return the direction that the meter has counted more of, in all its life."""
    imported, exported = found.imported.energy or 0, found.exported.energy or 0
    if imported == exported:
        return USUAL[kind]
    return "import" if imported > exported else "export"


def _contradicts(found: Flows, way: Way) -> bool:
    """Whether real power flows the other way, and none to speak of this way."""
    ours, theirs = found[way].watts, found[OTHER[way]].watts
    return ours is not None and theirs is not None and theirs >= REAL and ours < STANDS_STILL * theirs


def _counted(channel: ChannelRef, way: Way, found: Flows) -> str:
    ours, theirs = (_kwh(found[one].energy) for one in (way, OTHER[way]))
    return f"{channel} has counted {ours} as {way} and {theirs} as {OTHER[way]}"


def _now(found: Flows, way: Way) -> str:
    other = OTHER[way]
    return f"{found[other].watts or 0:,.0f} W flow as {other} now and {found[way].watts or 0:,.0f} W as {way}"


def _kwh(energy: float | None) -> str:
    """Tell an energy in Wh: 5,123 kWh, 0.028 kWh."""
    if energy is None:
        return "an unknown number of kWh"
    kwh = energy / 1000
    return f"{kwh:,.0f} kWh" if kwh >= 10 or not kwh else f"{kwh:.2g} kWh"  # noqa: PLR2004 - two digits tell enough
