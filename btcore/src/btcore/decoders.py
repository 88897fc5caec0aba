"""The decoders of a site: what finds packets in bytes, and what makes readings of journal entries again.

The one place where `decode_packet` is called. A decoder that raises is that plugin's fault: its answer counts as "not
mine".
"""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import attrs
import pluggy

from btcore.formats import Channel, Format
from btcore.framing import Counts, Stream
from btcore.hookspecs import PROJECT, Hooks
from btcore.journal import Entry
from btcore.records import Damaged, More, Packet, Reading

log = logging.getLogger("btcore.decoders")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_COMPLAINTS = 100
"""Different failures of decoders that are told, and remembered."""


def manager(plugins: Sequence[object]) -> pluggy.PluginManager:
    """Make a hook manager of these instances, in this order."""
    made = pluggy.PluginManager(PROJECT)
    made.add_hookspecs(Hooks)
    for instance in reversed(plugins):  # pluggy calls the last registered first
        made.register(instance)
    return made


class Decoders:
    """The decoder plugins that one source's bytes go through, in order: the first answer counts."""

    def __init__(self, instances: Sequence[object]) -> None:
        """Register the instances."""
        self._hook = manager(instances).hook
        headers = [getattr(instance, "header", None) for instance in instances]
        self._headers = tuple(h for h in headers if isinstance(h, bytes) and h) if all(headers) else ()
        self._failed: set[str] = set()

    def stream(self, counts: Counts | None = None) -> Stream:
        """Make the framing buffer of a new stream."""
        return Stream(self.decode, self._headers, counts)

    def decode(self, buffer: memoryview) -> Packet | More | Damaged | None:
        """Ask the decoders about the start of a buffer."""
        try:
            answer: Packet | More | Damaged | None = self._hook.decode_packet(buffer=buffer)
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not stop the source
            self._complain(error)
            return None
        return answer

    def _complain(self, error: Exception) -> None:
        kind = f"{type(error).__name__}: {error}"
        if kind not in self._failed and len(self._failed) < MOST_COMPLAINTS:
            self._failed.add(kind)
            log.error('a decoder plugin failed and was taken to answer "not mine": %s', kind, exc_info=error)

    def recall(self, entry: Entry) -> Reading | None:
        """Make the reading of a journal entry again; None when no decoder of this site knows its packet."""
        time = EPOCH + timedelta(microseconds=entry.key)
        if entry.whole:
            return _from_values(entry, time)
        packet = self.decode(memoryview(entry.raw))
        if not isinstance(packet, Packet):
            return None
        return Reading(time, packet.format, entry.serial, entry.raw, entry.source, entry.seq)


def to_values(reading: Reading) -> bytes:
    """Make bytes for the journal of a whole reading, which came without a packet: it describes itself."""
    form = reading.format
    record = {
        "labels": form.labels,
        "numbers": reading.numbers,
        "channels": [attrs.astuple(channel) for channel in form.channels],
        "seconds_bits": form.seconds_bits,
        "reset": [form.reset_label, form.reset_mask],
    }
    return json.dumps(record, separators=(",", ":")).encode()


def _from_values(entry: Entry, time: datetime) -> Reading:
    record: dict[str, Any] = json.loads(entry.raw)
    numbers = tuple(record.pop("numbers"))
    described = _described(entry.format, json.dumps(record))
    return Reading(time, described, entry.serial, entry.raw, entry.source, entry.seq, numbers=numbers)


@lru_cache(maxsize=64)
def _described(name: str, description: str) -> Format:
    """Make one Format for all readings of the same description: formats are compared by identity."""
    record: dict[str, Any] = json.loads(description)
    return Format(
        name=name,
        labels=tuple(record["labels"]),
        channels=tuple(Channel(*channel) for channel in record["channels"]),
        unpack=_packed_elsewhere,
        seconds_bits=record["seconds_bits"],
        reset_label=record["reset"][0],
        reset_mask=record["reset"][1],
    )


def _packed_elsewhere(_raw: bytes) -> tuple[()]:
    """Stand where a packet's format would unpack it: a whole reading has its numbers from the start."""
    return ()
