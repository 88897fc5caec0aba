# SPDX-License-Identifier: GPL-3.0-or-later
"""Obfuscation: replaces the serial numbers of meters in the chunks of a capture, to attach it to a report.

Pure. Numbers are replaced in the order in which they appear, the first by 1: the same capture always gives the same,
and a capture that was obfuscated stays as it is. Unit ids stay. Everything else stays too, and every replacement is as
long as what it replaces, so chunks keep their sizes; the checksum of a packet is moved by as much as its number: what
was right stays right, what was damaged stays damaged. Packets of other meters than Brultech's are left alone.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Literal

from btcore.classes import define, evolve, field
from btcore.decode.brultech import FOOTER, HEADER, LAYOUTS, Layout, is_frame
from btcore.records import Chunk

NUMBERS = 1 << 16
"""How many numbers there are: two bytes of a packet."""

TEXT = re.compile(rb"(?:\bn=|\bSN=|\bSN:|\"SN\":|NMB)(\d{5,8})(?=[&,\s}A]|\Z)")
"""Where the text formats and the commands of a GEM have its serial number (protocol: ASCII, HTTP GET, Emon)."""

SECRETS = re.compile(
    rb"(?i:\bapikey=|X-PachubeApiKey: ?)([^&\s]{4,200})|\(site (\S{4,200}) \(node|(?:PUT )/?sites/(\S{4,200})(?=\s)"
)
"""Where they have the key of an account."""

HIDDEN = b"x"

_BY_CODE = {code: [layout for layout in LAYOUTS if layout.code == code] for code in {row.code for row in LAYOUTS}}


@define
class Obfuscation:
    """What was replaced: `numbers` by what, and how many `bytes` of the chunks were outside of any packet."""

    numbers: dict[int, int] = field(factory=dict)
    outside: int = 0
    _free: Iterator[int] = field(factory=lambda: count(1), init=False)

    def of(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Return the chunks with other serial numbers; sizes, times and streams stay."""
        chunks = list(chunks)
        streams: dict[str, bytearray] = {}
        for chunk in chunks:
            streams.setdefault(chunk.stream, bytearray()).extend(chunk.data)
        for data in streams.values():
            self._replace(data)
        taken = dict.fromkeys(streams, 0)
        return [self._cut(chunk, streams[chunk.stream], taken) for chunk in chunks]

    def _cut(self, chunk: Chunk, data: bytearray, taken: dict[str, int]) -> Chunk:
        begin = taken[chunk.stream]
        taken[chunk.stream] = end = begin + len(chunk.data)
        return evolve(chunk, data=bytes(data[begin:end]))

    def _replace(self, data: bytearray) -> None:
        """Replace the numbers in the bytes of one stream."""
        at = 0
        for begin, layout in frames(data):
            self._text(data, at, begin)
            self._number(data, begin, layout)
            at = begin + layout.size
        self._text(data, at, len(data))

    def _number(self, data: bytearray, begin: int, layout: Layout) -> None:
        at, order = number_at(layout)
        field = slice(begin + at, begin + at + 2)
        before = bytes(data[field])
        after = self._of_number(int.from_bytes(before, order)).to_bytes(2, order)
        data[field] = after
        checksum = begin + layout.size - 1
        data[checksum] = (data[checksum] + sum(after) - sum(before)) % 256

    def _text(self, data: bytearray, begin: int, end: int) -> None:
        """Replace the numbers in text between packets."""
        self.outside += end - begin
        text = bytes(data[begin:end])
        for found in TEXT.finditer(text):
            number = int(found[1][-5:])
            after = b"%05d" % self._of_number(number) if number < NUMBERS else b"00000"
            data[begin + found.end(1) - 5 : begin + found.end(1)] = after
        for found in SECRETS.finditer(text):
            (group,) = (index for index, given in enumerate(found.groups(), 1) if given)
            data[begin + found.start(group) : begin + found.end(group)] = HIDDEN * len(found[group])

    def _of_number(self, number: int) -> int:
        """Return what stands for a number: the next one, from 1 on; 0, which has no meaning, stays."""
        if number == 0:
            return 0
        if number not in self.numbers:
            self.numbers[number] = next(self._free)
        return self.numbers[number]


def frames(data: bytes | bytearray) -> Iterator[tuple[int, Layout]]:
    """Yield where packets begin, intact or damaged, and their layout: header, code and footer say so.

    A damaged one within which an intact one begins is none.
    """
    at = 0
    while (begin := data.find(HEADER, at)) >= 0:
        layout = _intact(data, begin) or _damaged(data, begin)
        if layout is None:
            at = begin + 1
        else:
            yield begin, layout
            at = begin + layout.size


def _intact(data: bytes | bytearray, begin: int) -> Layout | None:
    view = memoryview(data)[begin:]
    return next((row for row in _ended(data, begin) if is_frame(view, row.size)), None)


def _damaged(data: bytes | bytearray, begin: int) -> Layout | None:
    layout = next(_ended(data, begin), None)
    if layout is None:
        return None
    inner = begin
    while (inner := data.find(HEADER, inner + 1, begin + layout.size)) >= 0:
        if _intact(data, inner):
            return None
    return layout


def _ended(data: bytes | bytearray, begin: int) -> Iterator[Layout]:
    """Yield the layouts of the code that is here whose footer is where it should be."""
    for row in _BY_CODE.get(data[begin + 2], ()) if begin + 2 < len(data) else ():
        end = begin + row.size
        if end <= len(data) and data[end - 3 : end - 1] == FOOTER:
            yield row


def number_at(layout: Layout) -> tuple[int, Literal["big", "little"]]:
    """Return where the serial number stands in a packet, and in which order its two bytes are."""
    return (5 + 5 * layout.counters, "big") if layout.gem else (29, "little")
