# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device is asked when, and who answers: several meters on one line, some of which are silent."""

import logging

import pytest
from helpers.asked_line import ACK, ECM, GEM, SPK, Drop, Line, poll_of
from hypothesis import given
from hypothesis import strategies as st

from btcore import Poll, pack
from btcore.polling.schedule import next_due, validate_devices


@pytest.mark.parametrize("devices", [["fc", "FC"], ["21234", "01021234"]])
def test_a_device_twice(devices: list[str]) -> None:
    """A device that is named twice, even in two spellings, is refused."""
    with pytest.raises(ValueError, match="expected each device once"):
        validate_devices(None, None, devices)


@pytest.mark.parametrize("devices", [[], ["fc", "fd", "fe", "ff"], ["21234", "30567"]])
def test_good_devices(devices: list[str]) -> None:
    """No device, four ECMs and several GEMs are all accepted."""
    validate_devices(None, None, devices)


def test_all_devices_in_turn() -> None:
    """Every device is asked in the order given, whether the one before answered or not."""
    line = Line({b"\xfd": [ACK], SPK: [ACK, ECM], b"^^^NMB21234APISPK": [GEM]})
    came = poll_of(line, ["fe", "fd", "21234"])()
    assert (came, line.sent) == (ECM + GEM, [b"\xfe", b"\xfd", SPK, b"^^^NMB21234APISPK"])


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A device that stops answering is logged once, and once more when it answers again."""
    caplog.set_level(logging.INFO)
    line = Line({})
    poll = poll_of(line, ["21234"])
    for answers in ({}, {}, {b"^^^NMB21234APISPK": [GEM]}, {b"^^^NMB21234APISPK": [GEM]}, {}):
        line.answers = answers
        poll()
    firsts = [(record.levelname, record.getMessage().split(",")[0]) for record in caplog.records]
    failed, again = ("WARNING", "meter 21234 was asked"), ("INFO", "meter 21234 answers again")
    assert [failed, again, failed] == firsts


@given(st.integers(0, 10**9), st.integers(1, 10**5), st.integers(0, 10**9))
def test_the_next_time(due: int, interval: int, later: int) -> None:
    """The next time is later than now, at most one interval, and a whole number of intervals after the one before."""
    after = next_due(due, interval, due + later)
    assert (0 < after - (due + later) <= interval, (after - due) % interval) == (True, 0)


def test_a_missed_time() -> None:
    """Times that passed while the meters answered are left out."""
    assert next_due(100.0, 10.0, 134.5) == 140.0


def test_each_device_by_its_own_interval() -> None:
    """A device with an interval of its own is asked by that, the others by the common one."""
    line = Line({b"\xfc": [ACK], b"\xfd": [ACK], SPK: [ACK, ECM]})
    poll = Poll(
        devices=["fc", "fd"],
        timeout=1,
        log=logging.getLogger("test"),
        clock=line.now,
        interval=10,
        intervals={"fd": 30},
    )
    asked = []
    for _ in range(7):
        before = len(line.sent)
        line.time = max(line.time, poll.next_due)
        list(poll.ask_due(line.send, line.receive))
        asked.append([word.hex() for word in line.sent[before:] if word != SPK])
    assert asked == [["fc", "fd"], ["fc"], ["fc"], ["fc", "fd"], ["fc"], ["fc"], ["fc", "fd"]]


def test_a_device_is_asked_again_after_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """One that answered before is asked again when it does not; one that is known as silent is not."""
    line = Line({b"\xfd": [ACK], SPK: [ACK, ECM]})
    poll = Poll(devices=["fc", "fd"], timeout=1, log=logging.getLogger("test"), clock=line.now, retries=2)
    rounds = []
    for _ in range(2):
        before = len(line.sent)
        list(poll.ask_all(line.send, line.receive))
        rounds.append([word.hex() for word in line.sent[before:] if word != SPK])
    assert rounds == [["fc", "fd", "fc", "fc"], ["fc", "fd"]]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


# --- who answers ------------------------------------------------------------------------------------------------------


def ecm(serial: str, secs: int = 5) -> bytes:
    """Make an ECM's packet."""
    return pack("ecm1240bin", serial, {"secs": secs})


ONE, OTHER = ecm("412345"), ecm("312345")
FC, FD, FE = b"\xfc", b"\xfd", b"\xfe"


def remarks(caplog: pytest.LogCaptureFixture, rounds: list[dict[bytes, list[bytes]]]) -> list[tuple[str, str]]:
    """Poll once for each of these answers; return what was told: how, and until the first full stop."""
    caplog.set_level(logging.INFO)
    line = Drop({})
    poll = poll_of(line, ["fc", "fd"])
    for packets in rounds:
        line.packets = packets
        poll()
    return [(record.levelname, record.getMessage().split(". ")[0]) for record in caplog.records]


def test_another_meter_that_answers_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """One meter that answers for two devices is told once, by its serial number; its packets are kept all the same."""
    line = Drop({FC: [ONE], FD: [ONE]})
    poll = poll_of(line, ["fc", "fd"])
    assert [poll() for _ in range(9)] == [ONE * 2] * 9
    (told,) = caplog.messages
    expected = (
        'device "fd" was asked, and meter 412345 answered, as it does when "fc" is asked: one of them has sent no'
    )
    assert told.startswith(expected)


def test_a_device_that_answers_for_itself_again_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once the device has sent a packet of its own, that is told, and a second time is news again."""
    wrong, right = {FC: [ONE], FD: [ONE]}, {FC: [OTHER], FD: [ONE]}
    told = remarks(caplog, [wrong, wrong, wrong, right, right, wrong, wrong, wrong])
    assert [level for level, _ in told] == ["WARNING", "INFO", "WARNING"]
    assert told[1][1] == 'device "fd" answers with a packet of its own: meter 412345'


@pytest.mark.parametrize(
    "rounds",
    [
        [{FC: [OTHER], FD: [ONE]}] * 4,
        [{FC: [OTHER, ONE], FD: [ONE]}] * 4,  # fc's neighbour is in real-time mode ...
        [{FC: [OTHER, ecm("500001")], FD: [ONE, ecm("500001")]}] * 4,  # ... or a third one is, which nobody asks
        [{FC: [OTHER], FD: [ONE]}, {FC: [ONE], FD: [ONE]}, {FC: [OTHER], FD: [ONE]}] * 3,  # one stray answer
    ],
)
def test_real_time_packets_in_an_answer_are_no_mistake(
    caplog: pytest.LogCaptureFixture, rounds: list[dict[bytes, list[bytes]]]
) -> None:
    """A packet of a meter that was not asked, beside the own one or once in its place, is nothing to tell."""
    assert remarks(caplog, rounds) in ([], [("INFO", "")])


def test_a_gem_of_another_serial_number_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A GEM that answers in place of the one that was asked is told once, and when the right one does."""
    caplog.set_level(logging.INFO)
    line = Line({b"^^^NMB30567APISPK": [GEM]})
    poll = poll_of(line, ["01130567"])
    for answers in ([GEM], [GEM], [pack("gem48ptbin", "01130567", {})], [pack("gem48ptbin", "01130567", {})]):
        line.answers = {b"^^^NMB30567APISPK": answers}
        poll()
    assert [(record.levelname, record.getMessage().split(". ")[0]) for record in caplog.records] == [
        ("WARNING", 'device "01130567" was asked, and meter 01021234 answered'),
        ("INFO", 'device "01130567" answers with a packet of its own: meter 01130567'),
    ]


@pytest.mark.parametrize("devices", [["21234"], ["01021234"], []])
def test_a_gem_that_poses_as_ecms_or_is_the_only_one_is_no_mistake(
    caplog: pytest.LogCaptureFixture, devices: list[str]
) -> None:
    """A GEM's last five digits are what it is asked by; as ECM-1240s it has other serial numbers."""
    word = b"^^^NMB21234APISPK" if devices else b"^^^APISPK"
    for packets in ([GEM], [ecm("312345"), ecm("412346")]):
        poll_of(Line({word: packets}), devices)()
    assert caplog.messages == []
