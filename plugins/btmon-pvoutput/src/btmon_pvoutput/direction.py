# SPDX-License-Identifier: GPL-3.0-or-later
"""The direction that is sent of a channel: as the settings say, or as `auto` selects; with messages about it.

`auto` compares the lifetime counters of the meter. The greater of two counters that never fall does not fall either.
A message names what was selected and the numbers behind it; another one names power that contradicts it.
"""

import logging
from collections.abc import Iterator, Mapping

from btcore import ChannelRef
from btcore.light import define
from btmon_pvoutput.flows import OTHER, Direction, DirectionSetting, Flow, Flows

DEFAULT_DIRECTION: Mapping[str, Direction] = {"generation": "export", "consumption": "import"}
"""What `auto` selects where both counters are equal, as on a new meter."""

REAL_POWER = 100.0
"""W above which power is no standby power of an inverter and no noise of a clamp."""

IDLE_SHARE = 0.1
"""A flow that is less than this part of the opposite one counts as none."""

CLOSE_SHARE = 0.5
"""Two counters are close where the lesser is more than this part of the greater one."""

MAX_CHANNELS = 1000
"""Channels that are remembered: a source may have any number of meters."""

HINTS = {
    "generation": "if the panels generate now",
    "consumption": "if that is what the house uses",
}


@define
class _Choice:
    """What is known of a channel: the direction that `auto` fell back to, and whether real power was sent."""

    fallback: Direction | None = None
    flowed: bool = False


class Directions:
    """Selects the flow that is sent, and remembers what was seen of each channel while the sink is open."""

    def __init__(self) -> None:
        """Begin without any channel."""
        self._choices: dict[tuple[str, ChannelRef], _Choice] = {}
        self._warned: set[tuple[str, ChannelRef, str]] = set()
        self._notices: list[tuple[int, str]] = []

    def notices(self) -> Iterator[tuple[int, str]]:
        """Yield new messages, each once, with its log level."""
        notices, self._notices = self._notices, []
        yield from notices

    def select(self, kind: str, channel: ChannelRef, direction: DirectionSetting, found: Flows) -> Flow:
        """Return the flow to send of a channel. `kind` is what the channel measures."""
        if direction == "both" or not found.apart:
            return found.both
        if direction == "auto":
            return self._auto(kind, channel, found)
        self._check_fixed(kind, channel, direction, found)
        return found[direction]

    def _auto(self, kind: str, channel: ChannelRef, found: Flows) -> Flow:
        """Return the flow of which there was more in all, or the usual one where power contradicts that.

        It turns to the usual one as long as no real power was sent of the other. Energy is that of the greater counter,
        or none: at the turn it would fall.
        """
        choice = self._choice_of(kind, channel)
        more = _larger_direction(kind, found)
        sent = choice.fallback or more
        if _contradicts(found, sent):
            if not choice.flowed and choice.fallback is None and sent != DEFAULT_DIRECTION[kind]:
                choice.fallback = sent = DEFAULT_DIRECTION[kind]
                self._note_fallback(kind, channel, sent, found)
            else:
                self._note_contradiction(kind, channel, sent, found)
        elif sent == more:
            self._note_choice(kind, channel, sent, found)
        choice.flowed = choice.flowed or (found[sent].watts or 0) >= REAL_POWER
        return found[sent] if sent == more else Flow(found[sent].watts, None)

    def _check_fixed(self, kind: str, channel: ChannelRef, sent: Direction, found: Flows) -> None:
        other = OTHER[sent]
        if found[sent].energy == 0 and found[other].energy:
            self._note(
                (kind, channel, "idle"),
                f'{kind}: meter {channel.serial} has never counted anything as "{sent}" on {channel.label}, only as'
                f' "{other}"; if that is not what you expect, leave out {kind}_direction',
            )
        elif _contradicts(found, sent):
            grid = "if it lies between the grid and the house, name it as grid; " if kind == "consumption" else ""
            self._note(
                (kind, channel, "contradicted"),
                f"{kind}: on {channel} {_describe_power(found, sent)}, and {sent} is sent; {grid}{HINTS[kind]}, write"
                f' {kind}_direction = "{other}"',
            )

    def _note_choice(self, kind: str, channel: ChannelRef, sent: Direction, found: Flows) -> None:
        ours, theirs = found[sent].energy, found[OTHER[sent]].energy
        if ours is None or theirs is None:
            return
        if not ours and not theirs:
            text = f"{kind}: {channel} has counted nothing yet: {sent} is sent until more is counted as {OTHER[sent]}"
            self._note((kind, channel, sent), f"{text}; {kind}_direction fixes it", logging.INFO)
        elif theirs > CLOSE_SHARE * ours:
            self._note(
                (kind, channel, sent),
                f"{kind}: {_describe_counters(channel, sent, found)}: they are close, and {sent} is sent as long"
                f' as it is more. Write {kind}_direction = "export" or "import", whichever is {kind}',
            )
        else:
            text = f"{kind}: {_describe_counters(channel, sent, found)}: {sent} is sent; {kind}_direction fixes it"
            self._note((kind, channel, sent), text, logging.INFO)

    def _note_fallback(self, kind: str, channel: ChannelRef, sent: Direction, found: Flows) -> None:
        other = OTHER[sent]
        self._note(
            (kind, channel, "fallback"),
            f"{kind}: {_describe_counters(channel, other, found)}, but {_describe_power(found, other)}:"
            f" the power of {sent} is sent, and its energy once its counter is the larger one, as PVOutput refuses"
            f' energy that falls. To send both now, write {kind}_direction = "{sent}"; if {other} is {kind}, write'
            f' {kind}_direction = "{other}"',
        )

    def _note_contradiction(self, kind: str, channel: ChannelRef, sent: Direction, found: Flows) -> None:
        self._note(
            (kind, channel, "contradicted"),
            f"{kind}: {_describe_counters(channel, sent, found)}, and {sent} is sent, but"
            f" {_describe_power(found, sent)}; {HINTS[kind]}, write"
            f' {kind}_direction = "{OTHER[sent]}"',
        )

    def _choice_of(self, kind: str, channel: ChannelRef) -> _Choice:
        if len(self._choices) >= MAX_CHANNELS:
            self._choices.clear()
        return self._choices.setdefault((kind, channel), _Choice())

    def _note(self, key: tuple[str, ChannelRef, str], text: str, severity: int = logging.WARNING) -> None:
        if key not in self._warned and len(self._warned) < MAX_CHANNELS:
            self._warned.add(key)
            self._notices.append((severity, text))


def _larger_direction(kind: str, found: Flows) -> Direction:
    """Return the direction with the greater lifetime counter."""
    imported, exported = found.imported.energy or 0, found.exported.energy or 0
    if imported == exported:
        return DEFAULT_DIRECTION[kind]
    return "import" if imported > exported else "export"


def _contradicts(found: Flows, sent: Direction) -> bool:
    """Whether real power flows in the opposite direction, and hardly any in this one."""
    ours, theirs = found[sent].watts, found[OTHER[sent]].watts
    return ours is not None and theirs is not None and theirs >= REAL_POWER and ours < IDLE_SHARE * theirs


def _describe_counters(channel: ChannelRef, sent: Direction, found: Flows) -> str:
    ours, theirs = (_format_energy(found[one].energy) for one in (sent, OTHER[sent]))
    return f"{channel} has counted {ours} as {sent} and {theirs} as {OTHER[sent]}"


def _describe_power(found: Flows, sent: Direction) -> str:
    other = OTHER[sent]
    return f"{found[other].watts or 0:,.0f} W flow as {other} now and {found[sent].watts or 0:,.0f} W as {sent}"


def _format_energy(energy: float | None) -> str:
    """Format an energy in Wh: 5,123 kWh, 0.028 kWh."""
    if energy is None:
        return "an unknown number of kWh"
    kwh = energy / 1000
    return f"{kwh:,.0f} kWh" if kwh >= 10 or not kwh else f"{kwh:.2g} kWh"  # noqa: PLR2004 - two digits tell enough
