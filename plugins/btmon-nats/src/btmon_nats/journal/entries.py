# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of the stream as entries of a journal, and entries as messages. Pure.

Nothing of a message is believed that its writer could have invented: its meters have to be in the partition that it
came in, and to be those of its publisher, where it is said who may bring which.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from btcore.decode.packetless import encode_reading
from btcore.journal import Entry
from btmon_nats.journal.offsets import MAX_IN_MESSAGE, offset_of
from btmon_nats.messages import COLUMNS, VERSION, NotAMessage, Row, compress, has_packet, read
from btmon_nats.subjects import partition_of, publisher_of

MAX_KEY = 1 << 53
"""Microseconds since 1970 that a reading may have: beyond it are no times."""

MAX_TEXT = 1000
"""Characters of a source's name or an address."""


OWN = "_journal"
"""The publisher of what a journal appends itself; no house can be called so where the server sees to the names."""


@attrs.frozen
class Trust:
    """Who may bring readings of which meters: `publishers` empty: everybody, of every meter."""

    partitions: int
    publishers: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    report: Callable[[str, str], object] = lambda _text, _kind: None
    """Told what is refused, and a word by which the same is known again."""

    def allows(self, subject: str, serial: str) -> bool:
        """Whether a message of a subject may have readings of a meter."""
        partition, publisher = subject.split(".")[-2], publisher_of(subject)
        if partition_of(serial, self.partitions) != int(partition):
            self.report(
                f"readings of meter {serial} by publisher {publisher} are in a partition that is not its own", serial
            )
            return False
        allowed = self.publishers.get(publisher, ())
        if self.publishers and publisher != OWN and serial not in allowed:
            self.report(
                f"readings of meter {serial} by publisher {publisher} are refused: it is none of its own", serial
            )
            return False
        return True


def entries_of(data: bytes, sequence: int, subject: str, trust: Trust) -> list[Entry]:
    """Return the entries of a message, oldest first; what is no message of ours, or not allowed, is reported."""
    try:
        found = read(data, lambda rows: list(_entries(rows, sequence, publisher_of(subject))))
        return [entry for entry in found if trust.allows(subject, entry.serial)]
    except (NotAMessage, ValueError, IndexError) as error:
        publisher = publisher_of(subject)
        trust.report(f"message {sequence} of publisher {publisher} is passed over: {error}", publisher)
        return []


def _entries(rows: Iterator[Row], sequence: int, publisher: str) -> Iterator[Entry]:
    for index, row in enumerate(rows):
        if index >= MAX_IN_MESSAGE:
            raise NotAMessage(f"it has more than {MAX_IN_MESSAGE} readings")
        yield _entry(row, offset_of(sequence, index), publisher)


def _entry(row: Row, offset: int, publisher: str) -> Entry:
    _check(row)
    if row.packetless or row.numbers is None:
        raw, packetless = row.raw, row.packetless
    else:
        reading = row.reading()
        raw, packetless = (reading.raw, False) if has_packet(reading) else (encode_reading(reading), True)
    return Entry(
        row.key,
        row.source,
        row.serial,
        row.format,
        raw,
        packetless,
        offset,
        row.monotonic,
        abs(row.boot),  # a negative one would have everybody wait for a clock that is not ours
        _address(publisher, row.address),
        row.origin,
    )


def _check(row: Row) -> None:
    """Raise NotAMessage where something is not what it should be."""
    numbers = (row.key, row.monotonic, row.boot)
    texts = (row.serial, row.format, row.source, row.address, row.origin)
    if not all(type(one) is int and abs(one) < MAX_KEY * 1024 for one in numbers) or not 0 <= row.key < MAX_KEY:
        raise NotAMessage("a number is not as it should be")
    if not all(isinstance(one, str) and len(one) <= MAX_TEXT and one.isprintable() for one in texts):
        raise NotAMessage("a text is not as it should be")
    if not row.serial:
        raise NotAMessage("a reading is of no meter")


def _address(publisher: str, address: str) -> str:
    """Return an address that says who published it; what a journal of the same kind wrote has it already."""
    if publisher == OWN:
        return address
    return f"{publisher}/{address}" if address else publisher


def message_of(entries: Sequence[Entry]) -> bytes:
    """Return the message with these entries."""
    names = [name for name in COLUMNS if name not in ("size", "boot")]
    head: dict[str, Any] = {
        "version": VERSION,
        "formats": {},
        **{name: [getattr(one, name) for one in entries] for name in names},
    }
    head["boot"] = [one.boot for one in entries]
    head["size"] = [len(one.raw) for one in entries]
    head["numbers"] = [None] * len(entries)
    head["packetless"] = [one.packetless for one in entries]
    return compress(head, [one.raw for one in entries])
