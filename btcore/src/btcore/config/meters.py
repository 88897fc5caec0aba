# SPDX-License-Identifier: GPL-3.0-or-later
"""The meters of a configuration: the name of each, and how its packets are identified.

[meters] is read here, and `serial` of a source; the serial number in a packet is translated to that of the meter.
Whether two meters send the same number is decided in `sources/identity.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from btcore.classes import field, frozen
from btcore.config.problems import Problems
from btcore.formats import MAX_NAME
from btcore.settings import light_setting as setting
from btcore.text import nearest
from btcore.values.convert import convert
from btcore.values.invalid_value import ConversionContext, InvalidValue

MeterKind = Literal["ecm1220", "ecm1240", "gem"]
"""What a meter is, by the packets that it sends: the names of their formats begin so."""


@frozen
class Meter:
    """One meter: its name, its serial number, and what identifies its packets.

    `name` is that of its entry; "" for the one that the table of a source names.
    """

    name: str
    serial: str
    sends: frozenset[str]
    source: str
    address: str
    replaces: frozenset[str] = frozenset()
    kind: str = ""

    def matches(self, source: str, address: str, serial: str) -> bool:
        """Whether a packet is this meter's, by its source, address and serial number, whatever kind it is of."""
        if serial in self.replaces:
            return True
        return (
            (not self.source or self.source == source)
            and (not self.address or self.address == address)
            and (not self.sends or serial in self.sends)
        )

    def sends_format(self, form: str) -> bool:
        """Whether a meter of its kind sends packets of this format; "" is one that is not known."""
        return not self.kind or not form or form.startswith(self.kind)

    @property
    def specificity(self) -> int:
        """How many conditions identify it: meters with more are tried first."""
        return sum(map(bool, (self.sends, self.address, self.source, self.kind)))


class Meters:
    """All meters of a configuration."""

    def __init__(self, meters: Iterable[Meter] = ()) -> None:
        """Take the meters in the order of the file."""
        self._meters = sorted(meters, key=lambda meter: -meter.specificity)
        self._cache: dict[tuple[str, str, str, str], str] = {}

    def __iter__(self) -> Iterator[Meter]:
        """Yield the meters, those with the most conditions first."""
        return iter(self._meters)

    @property
    def names(self) -> dict[str, str]:
        """The serial numbers by what else a setting can call a meter: its name, and the meters that it replaces."""
        return {name: meter.serial for meter in self._meters for name in (*meter.replaces, meter.name) if name}

    def find(self, source: str, address: str, sent: str, form: str) -> Meter | None:
        """Return the meter of a packet by its source, address, serial number and format; None if there is no entry."""
        found = self._matching(source, address, sent)
        return next((meter for meter in found if meter.sends_format(form)), None)

    def of_other_kind(self, source: str, address: str, sent: str, form: str) -> Meter | None:
        """Return the meter that a packet would be of, were it not for its kind."""
        if self.find(source, address, sent, form) is not None:
            return None
        return next(self._matching(source, address, sent), None)

    def _matching(self, source: str, address: str, sent: str) -> Iterator[Meter]:
        return (meter for meter in self._meters if meter.matches(source, address, sent))

    def serial_of(self, source: str, address: str, sent: str, form: str = "") -> str:
        """Return the serial number of a packet's meter: the packet's own, if no meter matches.

        Where that is the serial number of a meter of another kind, the packet's kind stands behind it (`300001-gem`).
        """
        if not self._meters:
            return sent
        key = (source, address, sent, form)
        found = self._cache.get(key)
        if found is None:
            found = self._serial_of(*key)
            if len(self._cache) < MAX_CACHED:
                self._cache[key] = found
        return found

    def _serial_of(self, source: str, address: str, sent: str, form: str) -> str:
        meter = self.find(source, address, sent, form)
        if meter is not None:
            return meter.serial
        other = self.of_other_kind(source, address, sent, form)
        return sent if other is None or other.serial != sent else f"{sent}-{kind_of(form)}"

    def current_serial(self, source: str, address: str, sent: str, kept: str, form: str = "") -> str:
        """Return the present serial number of a reading in the journal, which was stored with the serial number `kept`.

        One of several meters with the same serial number (`000000-2`) keeps it.
        """
        if not self._meters:
            return kept
        serial = self.serial_of(source, address, sent, form)
        if serial == sent:
            serial = self.serial_of(source, address, kept, form)
            return kept if serial in (sent, kept) else serial
        return kept if kept == serial or kept.startswith(f"{serial}-") else serial


def kind_of(form: str) -> str:
    """Return the kind of meter that sends packets of a format; the format itself for one of another make."""
    return next((kind for kind in get_args(MeterKind) if form.startswith(kind)), form)


MAX_CACHED = 10_000
"""The most serial numbers that are cached, as packets can contain any."""


EXPECTED = 'expected a table: [meters], and in it house = { serial = "01000777" }'


@frozen(kw_only=True)
class MeterTable:
    """The table of one meter, as the configuration has it."""

    serial: str = setting(default="", help="the serial number that every sink gets; empty: the name of the meter")
    sends: tuple[str, ...] = setting(
        default=(), help="the serial numbers in its packets; empty: any from its source and address, else `serial`"
    )
    source: str = setting(default="", help="the source that receives it, such as panel of [source.panel]")
    address: str = setting(default="", help="its network address, if several meters connect to that source")
    replaces: tuple[str, ...] = setting(
        default=(), help="the serial numbers of the meters that it replaces; their counters are continued"
    )
    kind: MeterKind | None = field(
        default=None,
        metadata={"help": "what it is, by its packets; packets of another kind are another meter's"},
    )


def read_meters(
    data: Mapping[str, Any], findings: Problems, context: ConversionContext, sources: Iterable[str]
) -> Meters:
    """Read [meters]; add the mistakes to the findings."""
    table = data.get("meters", {})
    if not isinstance(table, dict):
        findings.add(("meters",), EXPECTED)
        return Meters()
    meters: list[Meter] = []
    for name, value in table.items():
        try:
            entry: MeterTable = convert(_singles_as_lists(value), MeterTable, context)
        except InvalidValue as error:
            for problem in error.problems:
                findings.add(("meters", name, *problem.path), problem.message)
            continue
        problems = list(_table_problems(name, entry, meters, list(sources)))
        for key, message in problems:
            findings.add(("meters", name, *key), message)
        if not problems:
            meters.append(_meter(name, entry))
    return Meters(meters)


def _singles_as_lists(value: object) -> object:
    """Turn a single serial number into a list."""
    if not isinstance(value, dict):
        return value
    several = ("sends", "replaces")
    return {key: [item] if key in several and isinstance(item, str) else item for key, item in value.items()}


def _meter(name: str, entry: MeterTable) -> Meter:
    serial = entry.serial or name
    somewhere = entry.source or entry.address
    sends = entry.sends or (() if somewhere else (serial,))
    replaces = frozenset(entry.replaces)
    return Meter(name, serial, frozenset(sends), entry.source, entry.address, replaces, entry.kind or "")


def _table_problems(
    name: str, entry: MeterTable, others: Sequence[Meter], sources: list[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    serial = entry.serial or name
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME or any(map(str.isspace, name)):
        yield (), f"expected a name of at most {MAX_NAME} characters, without blanks"
    if not serial.isprintable() or len(serial) > MAX_NAME:
        yield ("serial",), f"expected a serial number of at most {MAX_NAME} characters"
    if not (entry.serial or entry.sends or entry.source or entry.address):
        yield (), 'expected what identifies it: { serial = "01000777" }, or its source: { source = "garage" }'
    if entry.source and entry.source not in sources:
        yield ("source",), f"there is no [source.{entry.source}]{nearest(entry.source, sources)}"
    yield from _replacement_problems(name, entry, others)
    for other in others:
        if serial == other.serial:
            yield ("serial",) if entry.serial else (), f'"{other.name}" already has the serial number {serial}'
        known = (entry.source, entry.address, _meter(name, entry).sends, entry.kind or "")
        if known == (other.source, other.address, other.sends, other.kind):
            yield (
                (),
                f'the same conditions identify "{other.name}"; add another one, such as `sends`, `address` or `kind`',
            )


def _replacement_problems(
    name: str, entry: MeterTable, others: Iterable[Meter]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield problems of a meter that is replaced, but is still in the configuration."""
    serial, replaced = entry.serial or name, {*entry.replaces}
    if own := {serial, *entry.sends} & replaced:
        yield (
            ("replaces",),
            f"{min(own)} is the meter's own serial number; expected that of a meter that is no longer there",
        )
    for other in others:
        for one, gone in ((name, {serial, name} & other.replaces), (other.name, {other.serial, other.name} & replaced)):
            if gone:
                yield (
                    (),
                    f'{min(gone)} is replaced, but "{one}" has it; `replaces` lists meters that are no longer there',
                )


def add_sources(meters: Meters, serials: Mapping[str, str], findings: Problems) -> Meters:
    """Return the meters with those that the tables of sources name by `serial`; add the mistakes to the findings."""
    own = [Meter("", serial, frozenset(), source, "") for source, serial in serials.items() if serial]
    for one in own:
        key = ("source", one.source, "serial")
        for message in _clashes(one, meters):
            findings.add(key, message)
        if others := [other.source for other in own if other.serial == one.serial and other.source < one.source]:
            findings.warn(key, f"source.{others[0]} has the same one: right only where both receive the same meter")
    return Meters([*meters, *own])


def _clashes(one: Meter, meters: Iterable[Meter]) -> Iterator[str]:
    """Yield how entries of [meters] contradict what a source says of its meter."""
    for other in meters:
        if other.source == one.source and not (other.address or other.sends or other.kind):
            yield f'"{other.name}" in [meters] names the meter of this source already; remove one of the two'
        elif other.serial == one.serial and other.source not in {"", one.source}:
            yield f'"{other.name}" in [meters] has this serial number, and comes by source "{other.source}"'
        elif one.serial in other.replaces:
            yield f'{one.serial} is replaced by "{other.name}" in [meters]; `replaces` lists meters that are gone'
