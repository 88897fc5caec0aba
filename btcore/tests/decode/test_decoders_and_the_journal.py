# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets out of the journal again, by the decoders that there are then; and the formats that a source takes."""

import pytest
from helpers.acme_decoder import FINE, OTHER, Acme, acme, entry, failing, making
from helpers.fake_plugins import RecordingSink
from helpers.packets import packet
from helpers.running_sink import RunningSink
from helpers.times import NOON, START

from btcore import Packet
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry, Journal


def test_what_cannot_be_unpacked_any_more_is_passed_over_alone(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink is given all readings but those that a new version of the decoder cannot read; it is not parked."""
    journal.append([entry(n, 13 if n in (1, 3) else n) for n in range(5)])
    taken = RecordingSink()
    with RunningSink(journal, taken, decoders=Decoders([making(acme(unpack=failing))])) as work:
        work.finish()
    assert taken.offsets == [1, 3, 5]
    assert work.worker.stop_reason == ""
    assert "2 passed over, as no decoder reads them" in str(work.worker)
    assert (
        caplog.text.count("passing over readings of format acme that cannot be unpacked: RuntimeError: 13 is no") == 1
    )


def test_nothing_is_left_to_fail_in_a_sink(journal: Journal) -> None:
    """What a sink is given was unpacked before: a decoder that fails later cannot harm it."""
    broken: list[bool] = []

    def unpack(raw: bytes) -> tuple[int, int]:
        if broken:
            raise RuntimeError("too late")
        return raw[1], raw[2]

    found = Decoders([making(acme(unpack=unpack))]).read_entry(entry(1, 2))
    assert found is not None
    broken.append(True)
    assert found.values == {"secs": 1, "level": 2}


def test_a_whole_reading_that_makes_no_sense_any_more_is_passed_over(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """An entry that was written by another version, or is damaged, costs only itself."""
    damaged = [b"", b"{", b"[]", b"{}", b'{"labels": ["secs"], "numbers": [NaN]}', b"[" * 5000]
    wholes = [Entry(START + n, "old", "7", "meter", raw, packetless=True) for n, raw in enumerate(damaged)]
    journal.append([*wholes, entry(9)])
    taken = RecordingSink()
    with RunningSink(journal, taken, decoders=Decoders([making(acme())])) as work:
        work.finish()
    assert [batch.readings[0].format.name for batch in taken.taken] == ["acme"]
    assert "passing over readings of format meter that cannot be unpacked" in caplog.text


def test_an_entry_is_read_by_the_decoder_that_knows_its_format() -> None:
    """Of two decoders that claim the same bytes, the one that has the entry's format makes the reading."""
    other = acme("other")
    decoders = Decoders([making(other), making(FINE)])
    found = [decoders.read_entry(entry(1, name=name)) for name in ("fine", "other", "gone")]
    assert [one and one.format for one in found] == [FINE, other, other]


# --- formats that a source takes


def test_formats_are_chosen_whoever_decodes_them() -> None:
    """`formats` of a source leaves out what it does not name, of every decoder: its bytes are junk, not damage."""
    both = Acme(make=lambda raw: Packet(3, FINE if raw[2:] == b"f" else OTHER, "7", raw))
    for formats, expected, junk in ((("other",), ["other"], 46), (("ecm1220bin", "fine"), ["fine", "ecm1220bin"], 3)):
        decoders = Decoders([both, Brultech()], formats)
        stream = decoders.stream()
        found = [one.format.name for one, _ in stream.feed(b"*af*ao" + packet(), NOON)]
        assert (found, stream.counts.junk, stream.counts.damaged) == (expected, junk, 0)
