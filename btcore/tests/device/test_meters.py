# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversations with meters: simulated ones that answer, and what is at the far end where no answer comes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest
from helpers.meter_lines import FarEnd, MeterLine

from btcore import FORMATS, pack
from btcore.device.conversation import Conversation, NoAnswer
from btcore.device.meters import Target, _Ecm, _Gem, change_settings, read_settings
from btcore.device.settings import read_changes
from btmon_simulator.ecm import SimulatedEcm
from btmon_simulator.gem import SimulatedGem
from btmon_simulator.meter import make_meters

NOW = datetime(2026, 6, 21, 12, 0, 5, tzinfo=UTC)
LOCAL = NOW.replace(tzinfo=None)
ZONE = timezone(timedelta())
GEM = Target(serial="01000101", family="gem")
ECM = Target(serial="300101", family="ecm")


def gem(serial: str = "01000101") -> SimulatedGem:
    """Return a GEM."""
    (meter,) = make_meters("gem48ptbin", serial, 1, 1, ZONE)
    return SimulatedGem(meter, 10)


def ecm(device: int = 0xFC, serial: str = "300101") -> SimulatedEcm:
    """Return an ECM."""
    (meter,) = make_meters("ecm1240bin", serial, 1, 1, ZONE)
    return SimulatedEcm(meter, 10, device)


def line_of(*meters: SimulatedGem | SimulatedEcm) -> MeterLine:
    """Return a line with these meters."""
    return MeterLine(lambda data: b"".join(meter.receive(data, NOW) for meter in meters))


def conversation(far_end: FarEnd, name: str = "the meter") -> Conversation:
    """Return a conversation with a far end; time passes only by waiting."""
    line = MeterLine(far_end)
    return Conversation(line, name, clock=line.clock)


def test_a_gem_tells_its_settings() -> None:
    """A GEM's serial number, firmware, format, interval, real-time mode and channels are read."""
    settings = read_settings(line_of(gem()), GEM)
    assert (settings.meter, settings.firmware, settings.format) == ("01000101", "4.63", "gem48ptbin")
    assert (settings.interval, settings.real_time, len(settings.channels)) == (10, True, 48)
    assert settings.channels[0].values() == {
        "channel": "ch1",
        "ct_type": 211,
        "ct_range": 4,
        "ct_model": "Micro-40",
        "net_metering": True,
        "polarity": "reversed",
    }


def test_an_ecm_tells_its_settings() -> None:
    """An ECM's serial number, firmware, interval and current transformers are read."""
    settings = read_settings(line_of(ecm()), ECM)
    assert (settings.meter, settings.device, settings.firmware, settings.interval) == ("300101", "fc", "1024", 10)
    assert [(one.channel, one.ct_type, one.ct_range) for one in settings.channels] == [("ch1", 144, 2), ("ch2", 146, 3)]


@pytest.mark.parametrize(("meter", "target", "word"), [(gem(), GEM, "interval=30"), (ecm(), ECM, "interval=30")])
def test_a_line_whose_echo_comes_back(meter: SimulatedGem | SimulatedEcm, target: Target, word: str) -> None:
    """On RS-485 with two wires, where what is sent comes back first, settings are read and changed all the same."""
    line = MeterLine(lambda data: data + meter.receive(data, NOW))
    assert read_settings(line, target).meter == target.serial
    assert change_settings(line, target, read_changes([word]), lambda: LOCAL).interval == 30


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("interval=30", "interval", 30),
        ("format=gem48pbin", "format", "gem48pbin"),
        ("secondary_format=gem32pbin", "secondary_format", "gem32pbin"),
        ("real_time=off", "real_time", False),
    ],
)
def test_a_gem_has_what_it_was_told(word: str, key: str, value: object) -> None:
    """After a change, the GEM says so itself."""
    after = change_settings(line_of(gem()), GEM, read_changes([word]), lambda: LOCAL)
    assert getattr(after, key) == value


def test_a_gem_s_clock_is_set() -> None:
    """After `clock=now`, its packets show the time."""
    meter = gem()
    meter.meter.clock_shift = timedelta(days=-4000)
    change_settings(line_of(meter), GEM, read_changes(["clock=now"]), lambda: LOCAL)
    show = FORMATS["gem48ptbin"].clock
    assert show is not None
    assert show(meter.meter.packet(NOW)) == LOCAL


def test_current_transformers_are_changed() -> None:
    """One of a GEM and one of an ECM is changed, the others stay; of an ECM's the number that is not given stays."""
    changes = read_changes(["ch2.ct_type=210", "ch2.ct_range=3"])
    after = change_settings(line_of(gem()), GEM, changes, lambda: LOCAL)
    assert [(one.ct_type, one.ct_range) for one in after.channels[:3]] == [(211, 4), (210, 3), (211, 4)]
    after = change_settings(line_of(ecm()), ECM, changes[:1], lambda: LOCAL)
    assert [(one.ct_type, one.ct_range) for one in after.channels] == [(144, 2), (210, 3)]


def test_a_meter_that_is_not_known_is_found() -> None:
    """Without a serial number, a GEM is asked first, then an ECM."""
    assert read_settings(line_of(gem()), Target()).family == "gem"
    assert read_settings(line_of(ecm()), Target()).family == "ecm"


def test_one_of_several_ecms_is_found_by_its_serial_number() -> None:
    """Of several ECMs on a line, the one that is meant is found under its device byte."""
    line = line_of(ecm(), ecm(0xFE, "400777"))
    assert read_settings(line, Target(serial="400777", family="ecm")).device == "fe"


def test_one_of_several_gems_is_addressed() -> None:
    """Of several GEMs on a line, only the one that is meant answers."""
    first, second = gem(), gem("01000202")
    change_settings(
        line_of(first, second),
        Target(serial="01000202", family="gem", shared=True),
        read_changes(["interval=7"]),
        lambda: LOCAL,
    )
    assert (first.meter.interval, second.meter.interval) == (None, timedelta(seconds=7))


def test_another_meter_is_not_changed() -> None:
    """Where another meter answers than was meant, nothing is sent that changes it."""
    meter = gem("01000999")
    line = line_of(meter)
    with pytest.raises(NoAnswer, match="01000999 answered: nothing was changed"):
        change_settings(line, GEM, read_changes(["interval=7"]), lambda: LOCAL)
    assert not [data for data in line.sent if b"SYSIVL" in data]


def test_a_gem_that_poses_as_an_ecm_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no ECM answers and a GEM does, the message names the GEM, and how it is asked."""
    monkeypatch.setattr("btcore.device.meters.PROBE_TIMEOUT", 0.01)
    with pytest.raises(NoAnswer, match=r"the GEM 01000101 poses as .* add --device 01000101"):
        read_settings(line_of(gem()), ECM)
    assert read_settings(line_of(gem()), Target(device="01000101", family="gem")).meter == "01000101"


PACKET = pack("gem48ptbin", "01000101", {"volts": 120.0, "secs": 7})


@pytest.mark.parametrize(
    ("far_end", "said"),
    [
        (lambda _data: b"", "nothing else came in: check its power and its line"),
        (lambda _data: PACKET, "swallows commands. A DashBox does that"),
        (lambda _data: b"ERROR 7\r\n", 'what came was "ERROR 7"'),
        (lambda _data: b"\x00\x91\xfe", "what came was 00 91 fe (hexadecimal)"),
        (lambda _data: b"$Alive\r\n", "Alive"),
        (lambda _data: b"0100", 'what came was "0100"'),
        (lambda data: data, "^^^RQSSRN"),
        (lambda _data: b"\xfe\xff\x05" + bytes(100), "what came was fe ff 05"),
    ],
    ids=["silence", "DashBox", "error", "noise", "keep-alive", "cut off", "echo", "beginning of a packet"],
)
def test_an_answer_that_is_none_is_told(far_end: FarEnd, said: str) -> None:
    """What came instead of a GEM's serial number is in the message, within the time that is given."""
    talk = conversation(far_end)
    with pytest.raises(NoAnswer) as failure:
        _Gem(talk, "").identify("")
    assert said in str(failure.value)
    assert 5 <= talk.clock() <= 6


@pytest.mark.parametrize(
    ("far_end", "said"),
    [
        (lambda _data: b"", "the word fc: the meter did not answer within 5 s, and nothing else came in"),
        (lambda _data: PACKET, "swallows commands"),
        (lambda _data: b"\x12\x34", "what came was 12 34 (hexadecimal)"),
        (
            lambda data: b"\xfc" if data != b"RCV" else b"\xfc" + bytes(20),
            "settings (SET RCV): the meter did not answer",
        ),
        (lambda data: b"\xfc" if data != b"RCV" else b"\xfc" + bytes(32) + b"\x01", "whose checksum is 00 (it was 01)"),
    ],
    ids=["silence", "DashBox", "noise", "cut off", "checksum"],
)
def test_an_ecm_s_answer_that_is_none_is_told(far_end: FarEnd, said: str) -> None:
    """What came instead of an acknowledgement, or of an ECM's settings, is in the message."""
    with pytest.raises(NoAnswer) as failure:
        _Ecm(conversation(far_end), "fc").ask_settings()
    assert said in str(failure.value)


def with_a_packet_first(meter: SimulatedGem | SimulatedEcm) -> Callable[[bytes], bytes]:
    """Return a far end whose every answer has a packet in front of it and one behind it."""

    def far_end(data: bytes) -> bytes:
        answer = meter.receive(data, NOW)
        packet = meter.meter.packet(NOW)
        return packet + answer + packet

    return far_end


@pytest.mark.parametrize(("meter", "target"), [(gem(), GEM), (ecm(), ECM)], ids=["GEM", "ECM"])
def test_packets_among_the_answers_do_no_harm(meter: SimulatedGem | SimulatedEcm, target: Target) -> None:
    """A meter in real-time mode may send its packets just before and after an answer."""
    assert read_settings(MeterLine(with_a_packet_first(meter)), target).meter == target.serial
