# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands to simulated meters: what they answer, and what they send after that."""

import itertools
import logging
from datetime import UTC, datetime, timedelta, timezone
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import FORMATS, Chunk, Context, Duration, MeterCommand
from btcore.decode.brultech import Brultech
from btmon_simulator.ecm import SimulatedEcm
from btmon_simulator.gem import SimulatedGem
from btmon_simulator.meter import make_meters
from btmon_simulator.simulator import Simulator

NOW = datetime(2026, 6, 21, 12, tzinfo=UTC)
ZONE = timezone(timedelta())


def gem() -> SimulatedGem:
    """Return a GEM."""
    return SimulatedGem(make_meters("gem48ptbin", "01000101", 1, 1, ZONE)[0], 10)


def ecm(device: int = 0xFC) -> SimulatedEcm:
    """Return an ECM."""
    return SimulatedEcm(make_meters("ecm1240bin", "300101", 1, 1, ZONE)[0], 10, device)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"^^^RQSSRN", b"01000101\r\n"),
        (b"^^^NMB00101RQSSRN", b"01000101\r\n"),
        (b"^^^NMB00102RQSSRN", b""),
        (b"^^^RQSITV", b"010\r\n"),
        (b"^^^RQSRTF", b"04\r\n"),
        (b"^^^RQSRTL", b"ON\r\n"),
        (b"^^^SYSOFF^^^RQSRTL", b"OFF\r\nOFF\r\n"),
        (b"^^^SYS_ON", b"_ON\r\n"),
        (b"^^^SYSIVL030^^^RQSITV", b"IVL\r\n030\r\n"),
        (b"^^^SYSPKT05^^^RQSRTF", b"PKT\r\n05\r\n"),
        (b"^^^SYSPKT77", b""),
        (b"^^^SYSDTM26,06,21,12,00,00\r", b"DTM\r\n"),
        (b"^^^SYSDTM26,99,21,12,00,00\r", b""),
        (b"^^^SYSPDL", b""),
        (b"^^^XYZ", b""),
    ],
)
def test_a_gem_answers_as_the_vendor_says(command: bytes, answer: bytes) -> None:
    """Each command has its answer, in whatever pieces it comes; what is no command, or not for this meter, has none."""
    assert gem().receive(command, NOW) == answer


def test_a_gem_sends_all_its_settings() -> None:
    """RQSALL is answered with 512 bytes in hexadecimal: 1542 characters, with the line in front and the line's end."""
    assert len(gem().receive(b"^^^RQSALL", NOW)) == 1542


def test_an_ecm_acknowledges_each_word() -> None:
    """Each word is acknowledged, and the settings are 32 bytes and a checksum; another device byte chooses another."""
    meter = ecm()
    assert [meter.receive(word, NOW) for word in (b"\xfc", b"SET", b"IV2", b"\xfc")] == [b"\xfc"] * 4
    assert meter.meter.interval == timedelta(seconds=0xFC)
    assert meter.receive(b"\xfd", NOW) == b""
    assert meter.receive(b"SET", NOW) == b""
    block = meter.receive(b"\xfcSETRCV", NOW)
    assert (block[:3], len(block), sum(block[3:-1]) & 0xFF) == (b"\xfc\xfc\xfc", 3 + 33, block[-1])


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"^^^", b"SYSPKT", b"\xfc", b"SET", b"CT1"]), max_size=8))
def test_no_bytes_break_a_meter(pieces: list[bytes]) -> None:
    """Whatever is sent to a meter, it answers or is silent."""
    for meter in (gem(), ecm()):
        for piece in pieces:
            assert isinstance(meter.receive(piece, NOW), bytes)


def formats(chunks: list[Chunk]) -> list[str]:
    """Return the formats of the packets."""
    found = (Brultech().decode_packet(memoryview(chunk.data)) for chunk in chunks)
    return [packet.format.name for packet in found if packet is not None and hasattr(packet, "format")]


def collected(*commands: bytes, packets: int = 3) -> list[Chunk]:
    """Return what a simulated GEM sends that gets commands before its first packet."""
    source = Simulator(pace="fast", packets=packets, interval=Duration(10), start="2026-06-21T06:00:00")
    context = Context("source.demo", logging.getLogger("test"))
    source.open(context=context)
    for command in commands:
        context.commands.post(MeterCommand(command))
    return [item for item in source.collect(Event()) if isinstance(item, Chunk)]


def test_a_command_changes_what_is_sent() -> None:
    """After a command the packets have the new format, interval and real-time mode; the answer comes before them."""
    assert formats(collected()) == ["gem48ptbin"] * 3
    changed = collected(b"^^^SYSPKT05", b"^^^SYSIVL020")
    assert [chunk.data for chunk in changed[:2]] == [b"PKT\r\n", b"IVL\r\n"]
    assert formats(changed) == ["gem48pbin"] * 3
    times = [chunk.time for chunk in changed if chunk.time and chunk.data]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [timedelta(seconds=20)] * 2
    assert formats(collected(b"^^^SYSOFF")) == []


def test_a_gem_may_pose_as_an_ecm() -> None:
    """With packet format 1, a GEM's packets are those of an ECM, with the last digit of its unit id."""
    assert formats(collected(b"^^^SYSPKT01")) == ["ecm1240bin"] * 3


def test_a_clock_that_was_set_is_shown() -> None:
    """After SYSDTM, the packets of a GEM show that time."""
    meter, show = gem(), FORMATS["gem48ptbin"].clock
    meter.receive(b"^^^SYSDTM20,01,02,03,04,05\r", NOW)
    assert show is not None
    assert show(meter.meter.packet(NOW)) == datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001 - a meter's clock has no zone
