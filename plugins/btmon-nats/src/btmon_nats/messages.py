# SPDX-License-Identifier: GPL-3.0-or-later
"""A message of the stream: readings of one partition, oldest first. What is in it tells them apart; pure, no I/O.

A message is compressed by zlib. It is one line of JSON, columns of what identifies and describes each reading, and then
their packets, one after the other. A reading that came without a packet, or in a format that is not Brultech's, has its
numbers in the line, and the line has its format. Names that a reader does not know it passes over.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import attrs

from btcore import FORMATS, Channel, Format, Reading

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

VERSION = 1

MAX_READINGS = 100
"""Readings of a message: of more, a message saves nothing any more."""

MAX_BYTES = 4 << 20
"""Bytes of a message that is not compressed any more: what is larger, or claims to be, is no message of ours."""

LEVEL = 1
"""Of zlib: a GEM's packets take a third of their bytes at 1, and at 6 a twentieth less in four times the time."""

MAX_FORMATS = 1024
"""Formats that are remembered."""

COLUMNS = ("key", "serial", "format", "size", "source", "address", "origin", "monotonic", "boot")


class NotAMessage(ValueError):
    """Bytes that no btcore has written as a message, or one of a later version; the text says which."""


def encode(readings: Sequence[Reading]) -> bytes:
    """Return the message with these readings."""
    packets = [reading.raw if has_packet(reading) else b"" for reading in readings]
    head: dict[str, Any] = {"version": VERSION}
    for name in COLUMNS:
        if name not in ("format", "size"):
            head[name] = [getattr(reading, name) for reading in readings]
    head["format"] = [reading.format.name for reading in readings]
    head["size"] = [len(packet) for packet in packets]
    head["numbers"] = [None if packet else reading.numbers for reading, packet in zip(readings, packets, strict=True)]
    head["formats"] = {
        reading.format.name: _describe(reading.format)
        for reading in readings
        if FORMATS.get(reading.format.name) is not reading.format
    }
    return compress(head, packets)


def compress(head: dict[str, Any], packets: Sequence[bytes]) -> bytes:
    """Return the message with these columns and packets."""
    line = json.dumps(head, separators=(",", ":")).encode()
    return zlib.compress(b"\n".join((line, b"".join(packets))), LEVEL)


def message_id(subject: str, message: bytes) -> str:
    """Return what a stream knows a message by that comes again: the same bytes of the same publisher have the same."""
    return hashlib.blake2b(message, digest_size=16, key=subject.encode()[:64]).hexdigest()


@attrs.frozen
class Row:
    """A reading of a message as it is there: `numbers` is None where `raw` says all of it.

    `packetless`: `raw` is what a journal keeps of a reading that came without a packet.
    """

    key: int
    serial: str
    form: Format | None
    format: str
    raw: bytes
    numbers: Any
    source: str
    address: str
    origin: str
    monotonic: int
    boot: int
    packetless: bool

    def reading(self, *, is_unpacked: bool = True) -> Reading:
        """Return it as a reading; with its numbers at once, or with the first use. Raises ValueError and its kind."""
        if self.form is None:
            raise NotAMessage("a reading is a journal's own")
        unpacked = tuple(self.form.numbers(self.raw)) if is_unpacked and self.numbers is None else None
        return Reading(
            time=EPOCH + timedelta(microseconds=self.key),
            format=self.form,
            serial=self.serial,
            raw=self.raw,
            source=self.source,
            address=self.address,
            origin=self.origin,
            monotonic=self.monotonic,
            boot=self.boot,
            numbers=tuple(self.numbers) if self.numbers is not None else unpacked,
        )


def decode(message: bytes) -> list[Reading]:
    """Return the readings of a message, oldest first. Raises NotAMessage.

    Those that a journal has appended without a packet are left out: they are for journals.
    """
    return read(message, lambda rows: [row.reading() for row in rows if not row.packetless])


def read(message: bytes, make: Callable[[Iterator[Row]], T]) -> T:
    """Return what is made of the rows of a message; what is wrong with them raises NotAMessage."""
    line, _, packets = _inflate(message).partition(b"\n")
    try:
        return make(_rows(json.loads(line), packets))
    except NotAMessage:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise NotAMessage(f"its content is not as it should be ({type(error).__name__})") from None


def has_packet(reading: Reading) -> bool:
    """Whether the packet of a reading says all of it: it is one of Brultech's, and its numbers are those of it."""
    form = reading.format
    # a reading without a packet has a description of its numbers there, in JSON
    return FORMATS.get(form.name) is form and reading.raw[:1] not in (b"", b"{")


def _inflate(message: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(message, MAX_BYTES)
    except zlib.error:
        raise NotAMessage("it is not compressed as btcore does") from None
    if not inflate.eof:
        raise NotAMessage(f"it is cut off, or has more than {MAX_BYTES >> 20} MB")
    return data


def _rows(head: dict[str, Any], packets: bytes) -> Iterator[Row]:
    if head["version"] != VERSION:
        raise NotAMessage(f"it is of version {head['version']!r:.20}; this btcore knows version {VERSION}")
    known = {name: _format(name, json.dumps(one)) for name, one in head["formats"].items()}
    at = 0
    columns = [head[name] for name in COLUMNS]
    own = head.get("packetless") or [False] * len(head["key"])
    for key, serial, form_name, size, *way, numbers, packetless in zip(*columns, head["numbers"], own, strict=True):
        form = known.get(form_name) or FORMATS.get(form_name)
        if form is None and not packetless:
            raise NotAMessage(f"format {form_name!r:.80} is not known, and not described")
        if not isinstance(size, int) or not 0 <= size <= len(packets) - at:
            raise NotAMessage("its packets are cut off")
        raw, at = packets[at : at + size], at + size
        source, address, origin, monotonic, boot = way
        yield Row(
            key, serial, form, form_name, raw, numbers, source, address, origin, monotonic, boot, bool(packetless)
        )


def _describe(form: Format) -> dict[str, Any]:
    return {
        "labels": form.labels,
        "channels": [attrs.astuple(channel) for channel in form.channels],
        "seconds_bits": form.seconds_bits,
        "reset_label": form.reset_label,
        "reset_mask": form.reset_mask,
        "family": form.family,
        "pulses": form.pulses,
    }


@lru_cache(maxsize=MAX_FORMATS)
def _format(name: str, description: str) -> Format:
    """Return one Format for all messages with the same description, as formats are compared by identity."""
    found = json.loads(description)
    channels = tuple(Channel(*channel) for channel in found.pop("channels"))
    return Format(name=name, channels=channels, unpack=_no_packet, **found)


def _no_packet(_raw: bytes) -> tuple[()]:
    """Unpack nothing: the numbers came with the reading."""
    return ()
