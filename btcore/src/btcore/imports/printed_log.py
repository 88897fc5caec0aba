# SPDX-License-Identifier: GPL-3.0-or-later
"""What btmon printed, or the sink `print`: a block of lines for each reading, the time before each line.

Of an ECM it has both directions of each channel, and the reset count: all but the seconds counter. Of a GEM it has the
net energy of each channel. Energies have a millionth of a kWh, 3.6 Ws. Other lines, such as a program's log between
the blocks, are passed over.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from btcore.classes import define, field
from btcore.decode.brultech import FORMATS
from btcore.formats import Number
from btcore.imports.assembly import assemble
from btcore.imports.energies import EnergyCounters
from btcore.imports.file_times import FileTimes
from btcore.imports.options import ImportOptions
from btcore.records import Reading

Damaged = Callable[[int, str], None]
"""Is given the number of a line, and what is wrong from there on."""

MAX_LINES = 1000
"""Lines of one block."""

KWH = 3_600_000
"""Ws."""

_LINE = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d): (.*\S)\s*")
_SERIAL = re.compile(r"Serial: (\S+)")
_ENERGY = re.compile(r"(.+): *(-?\d+\.\d+)KWh \( *(?:-?\d+|\?)W\)(?: \( *(-?\d+\.\d+|\?)A\))?")
_VALUE = re.compile(r"(.+): *(-?\d+(?:\.\d+)?)([VA]?)")
_CHANNEL = re.compile(r"(Ch|Aux|ch|aux)0*(\d+)|([pt]\d+)")
_ECM_TITLE = re.compile(r"(.+?)( Positive| Negative)? Watts")


def is_printed_log(head: str) -> bool:
    """Whether a file that begins so has what was printed of readings."""
    lines = (_LINE.fullmatch(line) for line in head.splitlines())
    return any(line is not None and _SERIAL.fullmatch(line[2]) for line in lines)


@define
class _Block:
    """The lines of one reading."""

    number: int
    time: str
    serial: str
    lines: list[str] = field(factory=list)


def read_printed_log(
    lines: Iterable[tuple[int, str]], options: ImportOptions, counters: EnergyCounters, damaged: Damaged
) -> Iterator[Reading]:
    """Yield the readings of a log, in its order."""
    reader = _BlockReader(options, counters, FileTimes(options))
    for block in _blocks(lines):
        try:
            yield reader.reading(block)
        except (ValueError, OverflowError) as error:
            damaged(block.number, str(error))


def _blocks(lines: Iterable[tuple[int, str]]) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in lines:
        found = _LINE.fullmatch(line)
        serial = _SERIAL.fullmatch(found[2]) if found else None
        if block and (serial or not line.strip()):
            yield block
            block = None
        if found and serial:
            block = _Block(number, found[1], serial[1])
        elif found and block and len(block.lines) < MAX_LINES:
            block.lines.append(found[2])
    if block:
        yield block


@define
class _BlockReader:
    """Makes readings of blocks."""

    options: ImportOptions
    counters: EnergyCounters
    times: FileTimes

    def reading(self, block: _Block) -> Reading:
        """Return the reading of a block. Raises ValueError for one that was cut, or is of an unknown meter."""
        is_ecm = any(line.startswith("Counter:") for line in block.lines)
        if not any(line.startswith("Voltage:") for line in block.lines):
            raise ValueError("a reading without its voltage: it was cut off, or is not of an ECM or a GEM")
        time = self.times.read(block.serial, block.time)
        known = self._ecm(block) if is_ecm else self._gem(block, time)
        return assemble(FORMATS[_format(known, is_ecm=is_ecm)], block.serial, time, known)

    def _ecm(self, block: _Block) -> dict[str, Number]:
        known: dict[str, Number] = {}
        ways: dict[str, dict[str, int]] = {}
        for line in block.lines:
            if (energy := _ENERGY.fullmatch(line)) and (title := _ECM_TITLE.fullmatch(energy[1])):
                way = (title[2] or "").strip()
                ways.setdefault(self._channel(block.serial, title[1]), {})[way] = _ws(energy[2])
            elif value := _VALUE.fullmatch(line):
                known |= self._measured(block.serial, value[1].removesuffix(" Current"), value[2], value[3])
        for channel, way in ways.items():
            known |= self._both_ways(channel, way)
        return known

    def _both_ways(self, channel: str, way: dict[str, int]) -> dict[str, Number]:
        """Return the counters of a channel of an ECM; none where a line of it is missing."""
        if channel.startswith("aux"):
            return {f"{channel}_ws": abs(way[""])} if "" in way else {}
        if not {"Positive", "Negative"} <= way.keys():
            return {}
        exported = way["Negative" if self.options.polarity == "brultech" else "Positive"]
        return {f"{channel}_aws": way["Positive"] + way["Negative"], f"{channel}_pws": exported}

    def _gem(self, block: _Block, time: datetime) -> dict[str, Number]:
        known: dict[str, Number] = {}
        for line in block.lines:
            if energy := _ENERGY.fullmatch(line):
                channel = self._channel(block.serial, energy[1])
                net = _ws(energy[2]) * (1 if self.options.polarity == "brultech" else -1)
                both = self.counters.of_net(block.serial, channel, time, net)
                known[f"{channel}_aws"], known[f"{channel}_pws"] = both
                known[f"{channel}_a"] = float(energy[3]) if energy[3] not in (None, "?") else None
            elif value := _VALUE.fullmatch(line):
                known |= self._measured(block.serial, value[1], value[2], value[3])
        return known

    def _measured(self, serial: str, title: str, number: str, unit: str) -> dict[str, Number]:
        if title == "Counter":
            return {"flag": int(number)}
        if title == "Voltage" and unit == "V":
            return {"volts": float(number)}
        name = self._channel(serial, title)
        if unit == "A":
            return {f"{name}_a": float(number)}
        return {name: int(float(number)) if name.startswith("p") else float(number)}

    def _channel(self, serial: str, title: str) -> str:
        """Return the channel of a title: its own, or the one whose name it is."""
        if found := _CHANNEL.fullmatch(title):
            return found[3] or f"{found[1].lower()}{found[2]}"
        return self.options.names.get((serial, title), title)


def _format(known: Iterable[str], *, is_ecm: bool) -> str:
    """Return the name of the packet format that has all that is known."""
    if not is_ecm:
        return "gem48pbin"
    return "ecm1240bin" if any(label.startswith("aux") for label in known) else "ecm1220bin"


def _ws(kwh: str) -> int:
    return round(float(kwh) * KWH)
