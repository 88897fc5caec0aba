# SPDX-License-Identifier: GPL-3.0-or-later
"""A message of the stream: readings of one partition, oldest first. What is in it tells them apart; pure, no I/O.

A message is compressed by zlib. It is one line of JSON, columns of what identifies and describes each reading, and then
their packets, one after the other. A reading that came without a packet, or in a format that is not Brultech's, has its
numbers in the line, and the line has its format. Names that a reader does not know it passes over.
"""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import attrs

from btcore import FORMATS, Channel, Format, Reading

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
    line = json.dumps(head, separators=(",", ":")).encode()
    return zlib.compress(b"\n".join((line, b"".join(packets))), LEVEL)


def message_id(subject: str, message: bytes) -> str:
    """Return what a stream knows a message by that comes again: the same bytes of the same publisher have the same."""
    return hashlib.blake2b(message, digest_size=16, key=subject.encode()[:64]).hexdigest()


def decode(message: bytes) -> list[Reading]:
    """Return the readings of a message, oldest first. Raises NotAMessage."""
    line, _, packets = _inflate(message).partition(b"\n")
    try:
        return list(_readings(json.loads(line), packets))
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


def _readings(head: dict[str, Any], packets: bytes) -> Iterator[Reading]:
    if head["version"] != VERSION:
        raise NotAMessage(f"it is of version {head['version']!r:.20}; this btcore knows version {VERSION}")
    known = {name: _format(name, json.dumps(one)) for name, one in head["formats"].items()}
    at = 0
    columns = [head[name] for name in COLUMNS]
    for key, serial, form_name, size, *more, numbers in zip(*columns, head["numbers"], strict=True):
        form = known.get(form_name) or FORMATS.get(form_name)
        if form is None:
            raise NotAMessage(f"format {form_name!r:.80} is not known, and not described")
        if not isinstance(size, int) or not 0 <= size <= len(packets) - at:
            raise NotAMessage("its packets are cut off")
        raw, at = packets[at : at + size], at + size
        yield _reading(form, key, serial, raw, numbers, more)


def _reading(form: Format, key: int, serial: str, raw: bytes, numbers: Any, more: Sequence[Any]) -> Reading:  # noqa: ANN401 - JSON
    source, address, origin, monotonic, boot = more
    return Reading(
        time=EPOCH + timedelta(microseconds=key),
        format=form,
        serial=serial,
        raw=raw,
        source=source,
        address=address,
        origin=origin,
        monotonic=monotonic,
        boot=boot,
        numbers=tuple(numbers) if numbers is not None else tuple(form.numbers(raw)),
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
