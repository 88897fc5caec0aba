"""The decoders of a site: what finds packets in bytes, and what makes readings of journal entries again.

The one place where `decode_packet` is called. A decoder that raises is that plugin's fault: its answer counts as "not
mine".
"""

import json
import logging
import traceback
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
from btcore.outcome import told
from btcore.records import Damaged, More, Packet, Reading

log = logging.getLogger("btcore.decoders")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MOST_DESCRIPTIONS = 1024
"""Formats of whole readings that are remembered; two readings of one that was forgotten give no sample."""


def hooks(instance: object) -> Any:  # noqa: ANN401 - pluggy's calls are made by name
    """Return the hooks of one instance, to be called: what it does not implement returns None."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(instance)
    return manager.hook


class Decoders:
    """The decoder plugins that one source's bytes go through, in order: the first answer counts."""

    def __init__(self, instances: Sequence[object]) -> None:
        """Register the instances, each by itself: one that raises must not keep the others from answering."""
        self._hooks = [hooks(instance) for instance in instances]
        headers = [getattr(instance, "header", None) for instance in instances]
        self._headers = tuple(h for h in headers if isinstance(h, bytes) and h) if all(headers) else ()
        self._failed: set[tuple[type, str, int]] = set()

    def stream(self, counts: Counts | None = None) -> Stream:
        """Make the framing buffer of a new stream."""
        return Stream(self.decode, self._headers, counts)

    def decode(self, buffer: memoryview) -> Packet | More | Damaged | None:
        """Ask the decoders about the start of a buffer."""
        for calls in self._hooks:
            try:
                answer: Packet | More | Damaged | None = calls.decode_packet(buffer=buffer)
            except Exception as error:  # noqa: BLE001 - a plugin's bug must not stop the source
                self._complain(error)
            else:
                if answer is not None:
                    return answer
        return None

    def _complain(self, error: Exception) -> None:
        """Tell each fault once: it is known by its type and its place in the plugin."""
        place = list(traceback.walk_tb(error.__traceback__))[-1]
        fault = (type(error), place[0].f_code.co_filename, place[1])
        if fault not in self._failed:
            self._failed.add(fault)
            log.error('a decoder plugin failed and was taken to answer "not mine": %s', told(error), exc_info=error)

    def recall(self, entry: Entry) -> Reading | None:
        """Make the reading of a journal entry again; None when no decoder of this site knows its packet."""
        time = EPOCH + timedelta(microseconds=entry.key)
        if entry.whole:
            return _from_values(entry, time)
        packet = self.decode(memoryview(entry.raw))
        if not isinstance(packet, Packet):
            return None
        return Reading(time, packet.format, entry.serial, entry.raw, entry.source, entry.seq, entry.steady, entry.boot)


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
    return Reading(
        time, described, entry.serial, entry.raw, entry.source, entry.seq, entry.steady, entry.boot, numbers=numbers
    )


@lru_cache(maxsize=MOST_DESCRIPTIONS)
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
