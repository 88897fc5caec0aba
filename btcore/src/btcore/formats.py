# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet formats: the names of the numbers in a reading, and how its counters are read.

A `Format` describes all readings of one packet format. The seven formats of Brultech are in `decode/brultech.py`; a
plugin that decodes another meter makes its own, so everything in it is checked when it is made. Arithmetic is not here
(`calculate/samples.py`), nor are bytes.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Literal, TypeVar

from btcore.classes import field, frozen
from btcore.numbers_by_label import ByLabel, by_label

T = TypeVar("T")

Number = int | float | None
"""A measured number; None if the meter says that there is none (a temperature sensor that is not connected)."""


MAX_NAME = 64
"""The most characters of a serial number, or of the name of a format, channel or label: they fit into a table."""

MAX_BITS = 63
"""Bits of the widest counter: no meter lives long enough to fill it, and a database can store it."""

PULSE_BITS = 24
"""Bits of a pulse counter."""

SECONDS = "secs"
"""The label of the meter's seconds counter, by which intervals are measured."""

CALCULATED = ("w", "pw", "nw", "wh", "pwh", "nwh", "dwh", "wh_total", "pwh_total", "nwh_total")
"""The units of what is calculated of a channel: `ch1_w` and so on. No measured number may have such a label."""

_CALCULATED_ENDS = tuple(f"_{unit}" for unit in CALCULATED)

_NUMBERS = frozenset({int, float, type(None)})
_LARGEST = 1 << 63
"""Integers below this, and not below its negative, fit into a database."""


@frozen
class Channel:
    """One measured circuit, and the labels of the counters of its energy.

    `absolute` counts watt-seconds in both directions, `polarized` those in one direction; None if the meter has no such
    counter. Both overflow at 2 to the power `bits`. The energy of a `directional` channel has a sign, which the site's
    polarity decides; that of an auxiliary channel has none.

    Raises TypeError or ValueError for a name that cannot be printed, or `bits` that are not from 1 to 63.
    """

    name: str
    absolute: str
    polarized: str | None = None
    bits: int = 40
    directional: bool = True

    def __attrs_post_init__(self) -> None:
        """Check it."""
        check_name(self.name, "a channel's name")
        check_name(self.absolute, f'the label "absolute" of channel {self.name}')
        if self.polarized is not None:
            check_name(self.polarized, f'the label "polarized" of channel {self.name}')
        _check_bits(self.bits, f"bits of channel {self.name}")
        if not isinstance(self.directional, bool):
            what = f"directional of channel {self.name}"
            raise TypeError(f"{what}: expected True or False, found {describe_type(self.directional)}")


def describe_type(value: object) -> str:
    """Return the type of a value, for a message that must not show the value."""
    name = type(value).__name__
    return "None" if value is None else f"an {name}" if name[:1] in "aeiouAEIOU" else f"a {name}"


def _labels(given: Iterable[str]) -> tuple[str, ...]:
    return _tuple(given, "labels")


def _pulses(given: Iterable[str]) -> tuple[str, ...]:
    return _tuple(given, "pulses")


def _channels(given: Iterable[Channel]) -> tuple[Channel, ...]:
    return _tuple(given, "channels")


def _tuple(given: Iterable[T], what: str) -> tuple[T, ...]:
    """Make a tuple of an iterable. Raises TypeError for text and bytes, which are iterable only by accident."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise TypeError(f"{what}: expected a tuple, found {describe_type(given)}")
    return tuple(given)


@frozen(eq=False)
class Format:
    """A packet format: its name, the label of each number, in order, and its channels.

    `unpack` returns the numbers of one raw packet, in the order of `labels`. `clock` returns the time that the meter's
    own clock shows in a raw packet (without a zone), or None if the clock is not set; `clock` itself is None if the
    format has no clock. `labels` must contain `secs`, the meter's seconds counter, which overflows at 2 to the power
    `seconds_bits`; 0 says that the meter sends none, and that intervals are those between arrivals. `reset_label` names
    a number that changes whenever the meter's counters restart (ECM: the flag byte; only the bits of `reset_mask`
    count). `family` says how btmon's tables and printed lines show readings of it: as those of an `ecm`, of a `gem`, or
    "" for a meter that btmon did not know. `pulses` are the labels of pulse counters, which overflow at 2 to the power
    `PULSE_BITS`.

    Raises TypeError or ValueError for a format that contradicts itself: with `seconds_bits` and without `secs`, with a
    label or channel twice, with a channel whose counter is not among the labels, or with the label of a calculated
    value (`ch1_w`). Labels that differ only in case are the same to a database, so they are here.
    """

    name: str
    labels: tuple[str, ...] = field(converter=_labels)
    channels: tuple[Channel, ...] = field(converter=_channels)
    unpack: Callable[[bytes], Sequence[Number]]
    clock: Callable[[bytes], datetime | None] | None = None
    seconds_bits: int = 24
    reset_label: str | None = None
    reset_mask: int = 0
    family: Literal["", "ecm", "gem"] = ""
    pulses: tuple[str, ...] = field(default=(), converter=_pulses)
    index: Mapping[str, int] = field(init=False, repr=False)
    counters: Mapping[str, int] = field(init=False, repr=False)
    """The label of each counter of the channels, and how many bits it has."""
    _seconds: int = field(init=False, repr=False)
    _reset: int = field(init=False, repr=False)
    _by_label: ByLabel | None = field(default=None, init=False, repr=False)
    _is_certain: bool = field(default=False, init=False, repr=False)

    @index.default
    def _index(self) -> Mapping[str, int]:
        return MappingProxyType({label: index for index, label in enumerate(self.labels)})

    @counters.default
    def _bits(self) -> Mapping[str, int]:
        labels = [(c.absolute, c.polarized, c.bits) for c in self.channels if isinstance(c, Channel)]
        return MappingProxyType({label: bits for *names, bits in labels for label in names if label is not None})

    @_seconds.default
    def _index_of_seconds(self) -> int:
        return self.labels.index(SECONDS) if SECONDS in self.labels else -1

    @_reset.default
    def _index_of_reset(self) -> int:
        return -1 if self.reset_label is None or self.reset_label not in self.labels else self.index[self.reset_label]

    def __attrs_post_init__(self) -> None:
        """Check that it does not contradict itself."""
        _check_format_name(self.name)
        try:
            _check_labels(self.labels)
            _check_seconds(self.seconds_bits, self.labels)
            _check_channels(self.channels, self.labels)
            _check_reset(self.reset_label, self.reset_mask, self.labels)
            _check_functions(self.unpack, self.clock)
            _check_family(self.family)
            _check_pulses(self.pulses, self.labels)
        except (TypeError, ValueError) as error:
            raise type(error)(f'format "{self.name}": {error}') from None

    def numbers(self, raw: bytes) -> tuple[Number, ...]:
        """Unpack a raw packet and check its numbers: see `checked`. What `unpack` raises is passed on."""
        numbers = self.unpack(raw)
        return numbers if self._is_certain and type(numbers) is tuple else self.checked(numbers)

    def by_label(self, numbers: tuple[Number, ...]) -> dict[str, Number]:
        """Return a dict of the numbers of a packet."""
        make = self._by_label
        if make is None:
            make = by_label(self.labels)
            object.__setattr__(self, "_by_label", make)
        return make(numbers)

    @property
    def is_certain(self) -> bool:
        """Whether its numbers are right whatever the bytes of a packet are, so that nobody has to check them."""
        return self._is_certain

    def checked(self, numbers: Iterable[Number]) -> tuple[Number, ...]:
        """Return these numbers, one for each label. Raises ValueError for too few or many, and for one that is invalid.

        A number is an int, a finite float, or None; `secs`, if there is one, is an integer below 2 to the power
        `seconds_bits`.
        """
        found = tuple(numbers)
        if len(found) != len(self.labels):
            raise ValueError(f"{len(found)} numbers for the {len(self.labels)} labels of format {self.name}")
        # a few microseconds for the 158 numbers of a GEM: no loop in Python
        if not _NUMBERS.issuperset(map(type, found)) or not _fit_database(found):
            raise ValueError(self._describe_invalid(found))
        if self.has_seconds:
            self._check_seconds_counter(found[self._seconds])
        return found

    @property
    def has_seconds(self) -> bool:
        """Whether the meter sends its seconds counter."""
        return self._seconds >= 0

    def _check_seconds_counter(self, seconds: Number) -> None:
        if seconds is None or not 0 <= seconds < 1 << self.seconds_bits or seconds != int(seconds):
            expected = f"a whole number from 0 to {(1 << self.seconds_bits) - 1}"
            raise ValueError(f"{SECONDS} of format {self.name}: expected {expected}, found {seconds}")

    def _describe_invalid(self, numbers: Sequence[Number]) -> str:
        index = next(i for i, n in enumerate(numbers) if type(n) not in _NUMBERS or not _fit_database((n,)))
        label, number = self.labels[index], numbers[index]
        if type(number) not in _NUMBERS:
            return f"{label} of format {self.name}: expected an int, a float or None, found {describe_type(number)}"
        found = number if isinstance(number, float) else "one of more than 64 bits"
        return f"{label} of format {self.name}: expected a finite number, or None for no value, found {found}"

    def __repr__(self) -> str:
        """Return a short text, as a format has hundreds of labels."""
        return f"Format({self.name!r})"


def certain(format: Format) -> Format:
    """Return a format of the core's own, from now on without a check of its numbers: it takes 5 µs for a GEM's 158.

    They are right whatever the bytes are, and its counters are never None.
    """
    object.__setattr__(format, "_is_certain", True)
    return format


def check_name(text: object, what: str) -> None:
    """Raise TypeError or ValueError unless this is a short text that can be printed, without control characters."""
    if not isinstance(text, str):
        raise TypeError(f"{what}: expected text, found {describe_type(text)}")
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{what}: expected text that can be printed, found {text[:MAX_NAME]!r}")
    if len(text) > MAX_NAME:
        raise ValueError(f"{what}: expected at most {MAX_NAME} characters, found {len(text)}")


def packet_formats(plugin: object) -> tuple[Format, ...] | None:
    """Return the formats that a plugin, or its class, declares as `packet_formats`; None if it declares none.

    Raises TypeError or ValueError for anything but formats, and for two formats with one name.
    """
    declared = getattr(plugin, "packet_formats", None)
    if declared is None:
        return None
    formats: tuple[Format, ...] = _tuple(declared, "packet_formats")
    for form in formats:
        if not isinstance(form, Format):
            raise TypeError(f"packet_formats: expected Formats, found {describe_type(form)}")
    if twice := _twice(form.name for form in formats):
        raise ValueError(f'packet_formats: "{twice}" is there twice')
    return formats


def _fit_database(numbers: Sequence[Number]) -> bool:
    """Whether all are finite, and no integer is too large for a database."""
    try:
        if sum(map(abs, filter(None, numbers))) < _LARGEST:  # not so where one is NaN or infinite
            return True
    except OverflowError:  # an integer larger than any float is added to a float
        return False
    return all(isfinite(n) if isinstance(n, float) else -_LARGEST <= n < _LARGEST for n in numbers if n is not None)


def _check_format_name(name: object) -> None:
    check_name(name, "a format's name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", str(name)):
        raise ValueError(f'a format\'s name: expected letters, digits and "_", "-" or ".", found {name!r}')


def _check_labels(labels: tuple[str, ...]) -> None:
    for label in labels:
        check_name(label, "a label")
    if twice := _twice(labels):
        raise ValueError(f'labels: "{twice}" is there twice')


def _check_seconds(bits: object, labels: tuple[str, ...]) -> None:
    if type(bits) is int and bits == 0:
        if SECONDS in labels:
            raise ValueError(f'seconds_bits: 0 says that there is no seconds counter, and labels has "{SECONDS}"')
        return
    if SECONDS not in labels:
        what = f'labels: "{SECONDS}" is missing, the seconds counter by which intervals are measured'
        raise ValueError(f"{what}; for a meter that sends none, seconds_bits=0")
    _check_bits(bits, "seconds_bits")


def _check_channels(channels: tuple[Channel, ...], in_order: tuple[str, ...]) -> None:
    labels = frozenset(in_order)
    calculated = {label for label in in_order if label.endswith(_CALCULATED_ENDS)}  # nearly always none
    for channel in channels:
        if not isinstance(channel, Channel):
            raise TypeError(f"channels: expected Channels, found {describe_type(channel)}")
        for label in (channel.absolute, channel.polarized):
            if label is not None and label not in labels:
                raise ValueError(
                    f'channel "{channel.name}" counts by the label "{label}", which the format does not have'
                )
        for label in [f"{channel.name}{end}" for end in _CALCULATED_ENDS] if calculated else ():
            if label in calculated:
                what = f'the label "{label}" is that of what is calculated of channel "{channel.name}"'
                raise ValueError(f"{what}; give what the meter measures another one")
    if twice := _twice(channel.name for channel in channels):
        raise ValueError(f'channels: "{twice}" is there twice')


def _check_reset(label: str | None, mask: int, labels: tuple[str, ...]) -> None:
    if type(mask) is not int or mask < 0:
        raise ValueError(f"reset_mask: expected the bits that count, as a whole number, found {mask!r:.80}")
    if label is None:
        return
    if label not in labels:
        raise ValueError(f"reset_label: the format has no label {label!r:.80}")
    if not mask:
        raise ValueError(f'reset_mask: say which bits of "{label}" count')


def _check_functions(unpack: object, clock: object) -> None:
    if not callable(unpack) or not (clock is None or callable(clock)):
        raise TypeError("unpack and clock: expected functions of the raw packet")


def _check_family(family: object) -> None:
    if family not in ("", "ecm", "gem"):
        raise ValueError(f'family: expected "", "ecm" or "gem", found {family!r:.80}')


def _check_pulses(pulses: tuple[str, ...], labels: tuple[str, ...]) -> None:
    for label in pulses:
        if label not in labels:
            raise ValueError(f"pulses: the format has no label {label!r:.80}")
        if f"{label}_total" in labels:
            what = f'the label "{label}_total" is that of what is calculated of the pulse counter "{label}"'
            raise ValueError(f"{what}; give what the meter measures another one")


def _check_bits(bits: object, what: str) -> None:
    if type(bits) is not int or not 1 <= bits <= MAX_BITS:
        raise ValueError(f"{what}: expected a whole number from 1 to {MAX_BITS}, found {bits!r:.80}")


def _twice(names: Iterable[str]) -> str:
    """Return the first name that was there before, or nothing."""
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            return name
        seen.add(name.casefold())
    return ""
