# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of meters, and what their answers mean: both ways, and for any bytes."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest
from helpers.property_tests import hundred_examples
from hypothesis import given
from hypothesis import strategies as st

from btcore import pack
from btcore.device import ecm, gem
from btcore.device.answers import AnswerBytes
from btcore.device.settings import (
    FORMAT_NUMBERS,
    Change,
    ChangeRefused,
    ChannelSettings,
    check_changes,
    read_changes,
)

NOON = datetime(2026, 6, 21, 12, 0, 5)  # noqa: DTZ001 - a meter's clock has no zone
BYTES = st.integers(0, 255)
PACKET = pack("gem48ptbin", "01000101", {"volts": 120.0, "secs": 7})

TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(lambda time: time.replace(microsecond=0))  # noqa: DTZ001 - as above


@given(TIMES)
@hundred_examples
def test_a_time_is_read_as_it_is_written(time: datetime) -> None:
    """Every time of a GEM's clock is the same after it was written and read."""
    assert gem.decode_time(gem.encode_time(time)) == time


def test_a_year_that_a_clock_cannot_show_is_refused() -> None:
    """A GEM's clock has two digits for the year."""
    with pytest.raises(ValueError, match="2000 to 2099"):
        gem.encode_time(datetime(1999, 12, 31))  # noqa: DTZ001 - as above


@pytest.mark.parametrize(
    ("word", "words", "answer"),
    [
        ("interval=5", "SYSIVL005", "IVL"),
        ("interval=120s", "SYSIVL120", "IVL"),
        ("format=gem48ptbin", "SYSPKT04", "PKT"),
        ("format=5", "SYSPKT05", "PKT"),
        ("secondary_format=gem32abin", "SYSPKF09", "PKF"),
        ("real_time=on", "SYS_ON", "_ON"),
        ("real_time=off", "SYSOFF", "OFF"),
        ("keep_alive=0", "SYSKAI0", "OK"),
        ("clock=now", "SYSDTM26,06,21,12,00,05\r", "DTM"),
        ("clock=2025-01-02T03:04:05", "SYSDTM25,01,02,03,04,05\r", "DTM"),
        ("ch1.ct_type=211", "C01TYP211", ""),
        ("ch12.ct_range=4", "C12RNG4", ""),
    ],
)
def test_a_change_is_the_command_of_the_vendor(word: str, words: str, answer: str) -> None:
    """Each change of a GEM is the command, and has the acknowledgement, of GEM-CMD 10.0."""
    (change,) = read_changes([word])
    assert gem.order(change, NOON) == gem.Order(words, answer)


def test_a_command_may_be_addressed() -> None:
    """Of several GEMs on a line, one is addressed by the last five digits of its serial number."""
    assert (gem.command("RQSSRN"), gem.command("RQSSRN", "01130567")) == (b"^^^RQSSRN", b"^^^NMB30567RQSSRN")


@given(st.lists(BYTES, min_size=gem.SETTINGS_SIZE, max_size=gem.SETTINGS_SIZE))
@hundred_examples
def test_the_settings_of_a_gem_are_where_they_belong(data: list[int]) -> None:
    """Whatever the 512 bytes are, each channel has its own type, range, metering and polarity."""
    data[gem.CHANNEL_COUNT] = 48
    (line,) = gem.answer_lines(gem.encode_settings(data))[1:]
    found = gem.parse_settings(line)
    ranges = [nibble for byte in data[97:121] for nibble in (byte & 15, byte >> 4)]
    expected = [
        ChannelSettings(f"ch{n + 1}", data[49 + n], ranges[n], not data[1 + n] & 0x40, bool(data[1 + n] & 0x80))
        for n in range(48)
    ]
    assert (list(found.channels), found.interval) == (expected, data[124])


def reason(read: Callable[[], object]) -> str:
    """Return why something cannot be read, or that it can."""
    try:
        read()
    except (ValueError, ChangeRefused) as error:
        return str(error)
    return "it can be read"


@given(st.binary(max_size=1600))
@hundred_examples
def test_no_answer_breaks_a_reader(data: bytes) -> None:
    """Whatever comes instead of an answer, a reader returns a value or says what was expected."""
    text = data.decode("latin-1")
    readers = (gem.parse_serial, gem.parse_firmware, gem.parse_real_time, gem.parse_number, gem.parse_settings)
    assert all(reason(partial(read, text)) for read in (*readers, gem.decode_time))
    assert reason(partial(ecm.parse_settings, data))


@pytest.mark.parametrize(
    ("text", "serial"), [("01000101", "01000101"), ("1000101", "01000101"), ("SRN 00013", "00000013")]
)
def test_a_serial_number_has_eight_digits(text: str, serial: str) -> None:
    """A GEM may leave the zeros in front out."""
    assert gem.parse_serial(text) == serial


def test_keep_alives_are_no_answers() -> None:
    """A keep-alive that stands before an answer, or alone, is left out; a line that is not complete is none yet."""
    assert gem.answer_lines(b"$$OFF\r\nAlive\r\n$\r\nAliveON\r\nPKT\r") == ["OFF", "ON"]


@given(st.tuples(*[BYTES] * 8), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
@hundred_examples
def test_the_settings_of_an_ecm_are_read_as_they_are_written(
    values: tuple[int, ...], firmware: int, number: int
) -> None:
    """The block of an ECM is the same after it was written and read."""
    channels = (ChannelSettings("ch1", values[0], values[1]), ChannelSettings("ch2", values[2], values[3]))
    settings = ecm.EcmSettings(channels, values[4], values[5], values[6], firmware, values[7], number)
    assert ecm.parse_settings(ecm.encode_settings(settings)) == settings


@given(st.data())
@hundred_examples
def test_one_wrong_byte_of_an_ecm_s_settings_is_found(data: st.DataObject) -> None:
    """The checksum finds each single byte that is another one."""
    channels = (ChannelSettings("ch1", 144, 2), ChannelSettings("ch2", 146, 3))
    block = bytearray(ecm.encode_settings(ecm.EcmSettings(channels, 187, 3, 10, 1024, 3, 101)))
    place = data.draw(st.integers(0, len(block) - 1))
    block[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="checksum"):
        ecm.parse_settings(bytes(block))


@given(st.lists(st.sampled_from([PACKET, b"PKT\r\n", b"$", b"\xfc"]), max_size=6), st.integers(1, 700))
@hundred_examples
def test_answers_are_found_between_packets(parts: list[bytes], size: int) -> None:
    """However the bytes come in, what is left without the packets is the answers, in order."""
    came, data = AnswerBytes(), b"".join(parts)
    for start in range(0, len(data), size):
        came.feed(data[start : start + size])
    assert came.outside == b"".join(part for part in parts if part != PACKET)
    assert came.packets == parts.count(PACKET)


@given(st.integers(1, len(PACKET) - 1), st.integers(1, 700))
@hundred_examples
def test_an_answer_behind_the_beginning_of_a_packet_is_found(cut: int, size: int) -> None:
    """Where a packet was never completed, the answer behind it is there once the line is quiet."""
    came, data = AnswerBytes(), PACKET[:cut] + b"OFF\r\n"
    for start in range(0, len(data), size):
        came.feed(data[start : start + size])
    came.settle()
    assert came.outside.endswith(b"OFF\r\n")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("interval=0", "seconds from 1 to 255"),
        ("interval=256", "seconds from 1 to 255"),
        ("interval", "seconds from 1 to 255"),
        ("interval=²", "seconds from 1 to 255"),
        ("format=2", "a format that btcore reads"),
        ("format=gem", "gem48ptbin (4)"),
        ("real_time=maybe", "on or off"),
        ("clock=noon", "now, or a time"),
        ("keep_alive=8", "from 0 to 7"),
        ("ct_type=211", "no such setting"),
        ("ch1.interval=5", "no such setting"),
        ("ch0.ct_type=211", "a channel such as"),
        ("reset=1", "no such setting"),
        ("=1", "no such setting"),
    ],
)
def test_a_mistake_in_a_change_is_explained(word: str, expected: str) -> None:
    """Each change that cannot be is refused with what was expected."""
    with pytest.raises(ChangeRefused) as refused:
        read_changes([word])
    assert expected in str(refused.value)


def test_all_mistakes_are_told_at_once() -> None:
    """Each mistake among several changes is in the message; a setting that is there twice, too."""
    with pytest.raises(ChangeRefused) as refused:
        read_changes(["interval=0", "interval=5", "interval=6", "format=x"])
    assert all(word in str(refused.value) for word in ("interval: expected", "format: expected", "twice"))


@given(st.lists(st.text(max_size=20), max_size=4))
@hundred_examples
def test_any_words_are_changes_or_refused(words: list[str]) -> None:
    """Whatever is written, it is understood or refused with a reason."""
    assert reason(partial(read_changes, words))


@pytest.mark.parametrize("name", FORMAT_NUMBERS)
def test_an_ecm_has_no_command_for_its_format(name: str) -> None:
    """An ECM sends one format: what a GEM can be told is refused, with what an ECM can be told."""
    with pytest.raises(ChangeRefused, match="of an ECM; those that there are set interval"):
        check_changes([Change("format", name)], "ecm", may_lose=True)


def test_the_calibration_is_changed_only_where_that_is_meant() -> None:
    """A current transformer's type or range is refused without --yes-lose-counters, and an unknown channel always."""
    change = Change("ch2.ct_type", 211)
    check_changes([change], "ecm", may_lose=True)
    with pytest.raises(ChangeRefused, match="--yes-lose-counters"):
        check_changes([change], "ecm", may_lose=False)
    with pytest.raises(ChangeRefused, match="ch1 to ch2"):
        check_changes([Change("ch3.ct_type", 211)], "ecm", may_lose=True)
