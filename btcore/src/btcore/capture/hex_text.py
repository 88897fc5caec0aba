# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes written as text: hex digits in any spacing, or a dump of a tool with its offsets.

This is what people paste into a report: `feff0504...`, `FE FF 05`, `0xfe, 0xff`, a line of a log that ends in hex, and
the output of `xxd`, `hexdump`, `od`, tcpdump and Wireshark. What the bytes mean, and what else a file may be, is not
looked at here. Memory is bounded: a long line is read in parts.
"""

import codecs
import io
import re
from collections.abc import Callable, Iterator

from btcore.classes import define

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""Byte order marks, with which text of Windows programs may begin, and its encoding."""

MAX_PART = 1 << 16
"""Characters of a line that are read at once."""

MIN_BYTES = 8
"""The fewest bytes that must be near the beginning of hex text: fewer may be words."""

MAX_REPEATED = 1 << 20
"""The most bytes that one `*` of a dump may stand for."""

HEADER = "feff"
"""How the line of a packet starts: a digit left over from the line before does not belong to it."""

_OFFSET = re.compile(r"\s*(?:0x)?([0-9a-f]{4,16})(:?)(\s+)(?=[0-9a-f])", re.IGNORECASE)
_GROUP = re.compile(r"( *)([0-9a-f]{2,16})(?= |\||$)", re.IGNORECASE)
_ONE_BYTE = re.compile(r"[0-9a-f]{2}(?: |$)", re.IGNORECASE)
_STAMP = re.compile(r"\W*(?:\d{4}-\d\d-\d\d[T ]?)?\d\d?:\d\d:\d\d(?:[.,]\d+)?Z?(?=[\s\])])")
_PUNCTUATION = re.compile(r"0x|\\x|[\s,;:{}()\[\]<>|=\"'-]+", re.IGNORECASE)
_AT_THE_END = re.compile(r"(?:^|[\s:=>\"'(\[])((?:(?:0x|\\x)?[0-9a-f]{2}[ ,:-]{0,2}){8,})\W*$", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_JSON = re.compile(r'\s*(?:\[[\s\d,.-]+(?:\]|\Z)|\[?\s*\{\s*")')
"""JSON: a list of numbers, which are decimal, or objects."""

_COMMENT = re.compile(r"\s*(?:#|//|$)")


def is_hex(head: bytes) -> bool:
    """Whether a file that begins so is hex text: most of its beginning is."""
    text = _text(head)
    if text is None or _JSON.match(text):
        return False
    lines = [line for line in text.splitlines()[:100] if not _COMMENT.match(line)]
    if not text.endswith("\n") and len(lines) > 1:
        lines.pop()  # it may be cut
    reader = _Reader()
    found = [(line, reader.line(_whole_tokens(line))) for line in lines]
    size = sum(len(data) for _, data in found if data)
    return size >= MIN_BYTES and 2 * sum(len(line) for line, data in found if data is not None) > sum(map(len, lines))


def read_hex(file: io.BufferedReader, damaged: Callable[[int, str], None]) -> Iterator[bytes]:
    """Yield the bytes of the text, line by line; `damaged` gets the number of a line that is not hex, and why."""
    text = io.TextIOWrapper(file, _encoding(file.peek()), errors="replace")
    reader = _Reader()
    try:
        for number, line in _parts(text):
            found = reader.line(line)
            if reader.trouble:
                damaged(number, reader.trouble)
            elif found is None and not _COMMENT.match(line):
                damaged(number, "not hex")
            yield from _repeat(reader.repeated)
            if found:
                yield found
    finally:
        text.detach()


def _parts(text: io.TextIOWrapper) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers, very long ones in parts that end between two bytes."""
    number, held = 1, ""
    while line := text.readline(MAX_PART):
        ends = line.endswith("\n")
        line = held + line
        held = "" if ends else line[len(_whole_tokens(line)) :]
        yield number, line[: len(line) - len(held)]
        number += ends
    if held:
        yield number, held


def _whole_tokens(line: str) -> str:
    """Return a long line without its last token, which may be cut; all of a line that is a single token."""
    last = max(line.rfind(" "), line.rfind(","), line.rfind("\t"))
    return line[: last + 1] if last > 0 and len(line) >= MAX_PART else line


def _text(head: bytes) -> str | None:
    """Return the text of these bytes; None if they are not all text."""
    if not head.startswith(tuple(bom for bom, _ in BOMS)):
        plain = head.isascii() and not head.translate(None, _PRINTABLE)
        return head.decode("ascii") if plain else None
    text = head[: len(head) & ~1 or None].decode(_encoding(head), errors="replace")
    return text if text.isascii() else None


_DIGITS_OF_OD = 7
"""Digits of the offsets of od, which are octal. Those of hexdump before words are as long, and hexadecimal."""

_PRINTABLE = bytes(range(32, 127)) + b"\t\r\n\f"


def _encoding(head: bytes) -> str:
    return next((encoding for bom, encoding in BOMS if head.startswith(bom)), "ascii")


def _repeat(repeated: tuple[bytes, int]) -> Iterator[bytes]:
    row, count = repeated
    for _ in range(count):
        yield row


@define
class _Reader:
    """Reads line after line. A dump leaves out equal lines (`*`); its offsets tell how many.

    `repeated` is the row that was left out before the last line, and how often. `trouble` is what is wrong with the
    last line, although it is hex.
    """

    repeated: tuple[bytes, int] = (b"", 0)
    trouble: str = ""
    _is_dump: bool = False
    _base: int = 16
    _next: int = 0
    _row: bytes = b""
    _is_same: bool = False
    _nibble: str = ""

    def line(self, line: str) -> bytes | None:
        """Return the bytes of a line; None if it is not hex."""
        self.repeated, self.trouble = (b"", 0), ""
        if line.strip() == "*":
            self._is_same = self._is_dump
            self.trouble = (
                "" if self._is_dump else "* leaves out lines, and there are no offsets (hexdump -v shows all)"
            )
            return b""
        found = self._with_offset(line)
        return self._without_offset(line) if found is None else found

    # --- with offsets

    def _with_offset(self, line: str) -> bytes | None:
        match = _OFFSET.match(line) or (re.fullmatch(r"\s*([0-9a-f]{6,16})()()\s*", line) if self._is_dump else None)
        if match is None:
            return None
        digits, colon, gap = match.groups()
        offset = self._offset(digits)
        is_first = offset == self._next and (len(digits) > 4 or len(gap) > 1)  # noqa: PLR2004 - four digits may be two bytes
        if not (self._is_dump or colon or is_first):
            return None
        row = _row(line[match.end() :], has_colon=bool(colon))
        if row is None:
            return None
        is_bytes = line[match.end() + 2 :][:1] in {" ", ""}
        if not self._is_dump and len(digits) == _DIGITS_OF_OD and len(row) and is_bytes:
            self._base = 8
        self._skip_to(offset)
        self._is_dump = True
        self._next, self._row = offset + len(row), row or self._row
        return row

    def _offset(self, digits: str) -> int:
        """Read an offset: of hexdump it is hexadecimal, of od octal or decimal. The base that fits is kept."""
        fitting = [base for base in (self._base, 16, 8, 10) if _number(digits, base) == self._next]
        if fitting and not self._is_same:  # after a *, the offset is not the next one
            self._base = fitting[0] if self._next else self._base
            return self._next
        return _number(digits, self._base)

    def _skip_to(self, offset: int) -> None:
        """Set the rows that a `*` stands for, or the trouble that bytes are missing before an offset."""
        missing, size = offset - self._next, len(self._row)
        if missing > 0 and self._is_same and size and missing <= MAX_REPEATED:
            self.repeated = (self._row, missing // size)
        elif missing > 0 and self._is_dump:
            self.trouble = f"expected the offset {self._next:#x}, found {offset:#x}: bytes are missing"
        self._is_same = False

    # --- without

    def _without_offset(self, line: str) -> bytes | None:
        stamp = _STAMP.match(line)
        rest = line[stamp.end() :] if stamp else line
        tokens = _PUNCTUATION.sub(" ", rest).split()
        if len(tokens) == 1 and _DIGITS.fullmatch(tokens[0]):
            return self._digits(tokens[0])
        if tokens and all(map(_is_byte, tokens)) and max(map(len, tokens)) > 1:
            return bytes.fromhex("".join(token.rjust(2, "0") for token in tokens))
        found = _AT_THE_END.search(rest)
        return bytes.fromhex("".join(_PUNCTUATION.sub(" ", found[1]).split())) if found else None

    def _digits(self, digits: str) -> bytes:
        """Read digits without spaces: a byte may be split over two lines."""
        if self._nibble and digits[:4].lower() == HEADER and len(digits) % 2 == 0:
            self.trouble, self._nibble = "a digit is missing in the line before", ""
        digits = self._nibble + digits
        self._nibble = digits[-1] if len(digits) % 2 else ""
        return bytes.fromhex(digits[: len(digits) & ~1])


def _number(digits: str, base: int) -> int:
    try:
        return int(digits, base)
    except ValueError:
        return int(digits, 16)


def _is_byte(token: str) -> bool:
    return _DIGITS.fullmatch(token) is not None and (len(token) == 1 or len(token) % 2 == 0)


def _row(text: str, *, has_colon: bool) -> bytes | None:
    """Read the bytes of a dump's line after its offset, without the text that stands beside them."""
    found, at = bytearray(), 0
    is_swapped = False
    while group := _GROUP.match(text, at):
        gap, digits = len(group[1]), group[2]
        if at and gap > 1 and (has_colon or gap > 2 or len(found) != 8):  # noqa: PLR2004 - hexdump's gap after eight bytes
            break
        if len(digits) % 2:
            break
        one = bytes.fromhex(digits)
        is_swapped = is_swapped or (not has_colon and len(one) == 2)  # noqa: PLR2004 - hexdump and od swap the bytes of words
        found += one[::-1] if is_swapped else one
        at = group.end()
    return bytes(found) if found or not text.strip() else None
