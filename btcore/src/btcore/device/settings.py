# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be read of a meter, and what can be changed: names, values, and the text of both.

The bytes of commands are in `gem.py` and `ecm.py`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from btcore.classes import frozen, values_of
from btcore.errors import WrongUse

Family = Literal["gem", "ecm"]

FORMAT_NUMBERS = {
    "ecm1240bin": 1,
    "gem48ptbin": 4,
    "gem48pbin": 5,
    "gem48abin": 7,
    "gem32pbin": 8,
    "gem32abin": 9,
}
"""The number of each packet format that btcore reads, in the commands of a GEM (the vendor's "option")."""

OTHER_FORMATS = {
    0: "list",
    2: "ascii-wh",
    3: "http-get",
    6: "seg",
    10: "emon",
    11: "isy",
    13: "cosm",
    14: "new-seg",
}
"""Formats of a GEM that btcore does not read."""

CT_MODELS = {
    (211, 4): "Micro-40",
    (210, 4): "Micro-50/80",
    (212, 3): "Micro-100",
    (205, 4): "Split-30",
    (180, 4): "Split-60",
    (146, 3): "Split-100",
    (144, 2): "Split-200",
    (146, 1): "Split-400",
}
"""The current transformers of the vendor, by type and range."""

MAX_INTERVAL = 255
MAX_BYTE = 255
MAX_RANGE = 15
MAX_KEEP_ALIVE = 7


class ChangeRefused(WrongUse):
    """A change that the meter does not know, or that would lose something; the text says what is possible."""


@frozen
class ChannelSettings:
    """One channel: its current transformer, and its options where the meter tells them."""

    channel: str
    ct_type: int
    ct_range: int
    net_metering: bool | None = None
    is_reversed: bool | None = None

    @property
    def ct_model(self) -> str:
        """The current transformer that has this type and range, or ""."""
        return CT_MODELS.get((self.ct_type, self.ct_range), "")

    def values(self) -> dict[str, Any]:
        """Return it for JSON."""
        polarity = None if self.is_reversed is None else "reversed" if self.is_reversed else "normal"
        return {
            "channel": self.channel,
            "ct_type": self.ct_type,
            "ct_range": self.ct_range,
            "ct_model": self.ct_model,
            "net_metering": self.net_metering,
            "polarity": polarity,
        }


@frozen(kw_only=True)
class DeviceSettings:
    """What a meter says of itself. None: it has no such setting, or does not tell.

    `clock` is what the clock of its last packet showed, as text, and `clock_error` by how many seconds that was ahead.
    """

    meter: str
    family: Family
    device: str = ""
    firmware: str | None = None
    format: str | None = None
    secondary_format: str | None = None
    interval: int | None = None
    real_time: bool | None = None
    clock: str | None = None
    clock_error: float | None = None
    pt_type: int | None = None
    pt_range: int | None = None
    channels: tuple[ChannelSettings, ...] = ()

    def values(self) -> dict[str, Any]:
        """Return it for JSON."""
        found = values_of(self)
        return {**found, "channels": [channel.values() for channel in self.channels]}


def format_name(number: int) -> str:
    """Return the name of a packet format by its number in the commands of a GEM."""
    names = {known: name for name, known in FORMAT_NUMBERS.items()}
    return names.get(number) or f"{OTHER_FORMATS.get(number, 'format')} ({number})"


@frozen
class Change:
    """One setting to change: its name as it was written, `ch1.ct_type`, and its value."""

    name: str
    value: int | bool | str | datetime

    @property
    def channel(self) -> str:
        """The channel that it is a setting of, or ""."""
        return self.name.rpartition(".")[0]

    @property
    def key(self) -> str:
        """The name without the channel."""
        return self.name.rpartition(".")[2]

    @property
    def text(self) -> str:
        """The value as it is written."""
        if isinstance(self.value, bool):
            return "on" if self.value else "off"
        return self.value.isoformat(" ") if isinstance(self.value, datetime) else str(self.value)


def _interval(text: str) -> int:
    return _number(text.removesuffix("s"), 1, MAX_INTERVAL, "seconds")


def _number(text: str, low: int, high: int, what: str = "a whole number") -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text) or not low <= int(text) <= high:
        raise ValueError(f"expected {what} from {low} to {high}, found {text!r:.60}")
    return int(text)


def _format(text: str) -> str:
    if text in FORMAT_NUMBERS:
        return text
    if text.isascii() and text.isdigit() and (name := format_name(int(text))) in FORMAT_NUMBERS:
        return name
    names = ", ".join(f"{name} ({number})" for name, number in FORMAT_NUMBERS.items())
    raise ValueError(f"expected a format that btcore reads: {names}; found {text!r:.60}")


def _switch(text: str) -> bool:
    words = {"on": True, "true": True, "off": False, "false": False}
    if text.lower() not in words:
        raise ValueError(f"expected on or off, found {text!r:.60}")
    return words[text.lower()]


def _clock(text: str) -> datetime | str:
    if text == "now":
        return text
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None, microsecond=0)
    except ValueError:
        raise ValueError(f"expected now, or a time such as 2026-06-21T06:00:00; found {text!r:.60}") from None


READERS: Mapping[str, Callable[[str], int | bool | str | datetime]] = {
    "interval": _interval,
    "format": _format,
    "secondary_format": _format,
    "real_time": _switch,
    "clock": _clock,
    "keep_alive": lambda text: _number(text, 0, MAX_KEEP_ALIVE),
    "ct_type": lambda text: _number(text, 0, MAX_BYTE),
    "ct_range": lambda text: _number(text, 0, MAX_RANGE),
}
"""Reads the value of each setting that can be changed. Raises ValueError with what was expected."""

OF_CHANNEL = ("ct_type", "ct_range")
"""Settings of one channel, written `ch1.ct_type`."""

OF_FAMILY: Mapping[Family, tuple[str, ...]] = {
    "gem": ("interval", "format", "secondary_format", "real_time", "clock", "keep_alive", *OF_CHANNEL),
    "ecm": ("interval", *OF_CHANNEL),
}
"""What can be changed in a meter of each family."""

CHANNELS: Mapping[Family, int] = {"gem": 48, "ecm": 2}
"""How many channels have a current transformer."""

LOSES_CALIBRATION = frozenset(OF_CHANNEL)
"""Settings by which a meter calculates its counters: a wrong one spoils them, and no old value is as good as new."""


def read_changes(words: Iterable[str]) -> tuple[Change, ...]:
    """Read `name=value` words. Raises ChangeRefused with everything that is wrong."""
    changes, wrong = [], []
    for word in words:
        name, equals, text = word.partition("=")
        try:
            changes.append(_read(name.strip(), text.strip()) if equals else _read(word, ""))
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    names = [change.name for change in changes]
    wrong += [f"{name}: it is there twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if wrong:
        raise ChangeRefused("; ".join(wrong))
    return tuple(changes)


def _read(name: str, text: str) -> Change:
    channel, _, key = name.rpartition(".")
    known = [f"ch1.{one}" if one in OF_CHANNEL else one for one in READERS]
    if key not in READERS or bool(channel) != (key in OF_CHANNEL):
        raise ValueError(f"no such setting; the settings are {', '.join(known)}")
    if channel and not re.fullmatch(r"ch[1-9][0-9]?", channel):
        raise ValueError(f"expected a channel such as ch1.{key}, found {channel!r:.60}")
    return Change(name, READERS[key](text))


def check_changes(changes: Sequence[Change], family: Family, *, may_lose: bool) -> None:
    """Raise ChangeRefused for what a meter of this family does not know, and for what loses its calibration."""
    meter = "a GEM" if family == "gem" else "an ECM"
    for change in changes:
        if change.key not in OF_FAMILY[family]:
            known = ", ".join(OF_FAMILY[family])
            raise ChangeRefused(f"{change.name}: no such command of {meter}; those that there are set {known}")
        if change.channel and int(change.channel[2:]) > CHANNELS[family]:
            raise ChangeRefused(f"{change.name}: this meter has the channels ch1 to ch{CHANNELS[family]}")
    check_loss(changes, may_lose=may_lose)


def check_loss(changes: Iterable[Change], *, may_lose: bool) -> None:
    """Raise ChangeRefused for what loses the calibration of a meter, unless it may."""
    for change in changes:
        if change.key in LOSES_CALIBRATION and not may_lose:
            raise ChangeRefused(
                f"{change.name} is a part of the meter's calibration: from then on its counters rise at another rate."
                " Add --yes-lose-counters if that is meant"
            )


def old_values(changes: Iterable[Change], settings: DeviceSettings) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the old value and the new value of each change; a value that is not known is "?"."""
    for change in changes:
        yield change.name, current_text(change, settings), change.text


def current_text(change: Change, settings: DeviceSettings) -> str:
    """Return the value that a setting has, as it is written; "?" where the meter does not tell."""
    found: object = getattr(settings, change.key, None)
    if change.channel:
        of_channel = [one for one in settings.channels if one.channel == change.channel]
        found = getattr(of_channel[0], change.key) if of_channel else None
    if found is None:
        return "?"
    return ("on" if found else "off") if isinstance(found, bool) else str(found)
