# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking meters: the requests of both kinds, against meters that answer, chatter, stall and die."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore import hookimpl, plugin
from btcore.decode import polling
from btcore.decode.brultech import Brultech, pack
from btcore.decode.decoders import Decoders
from btcore.decode.polling import NoAnswer, Poll, Request, ask, next_due, poll_requests, validate_devices

ACK = b"\xfc"
ECM = pack("ecm1240bin", "312345", {"volts": 120.1, "secs": 77})
ECM_OF_ACKS = pack("ecm1240bin", "312345", {"ch1_aws": 0xFCFCFCFCFC, "ch2_pws": 0xFCFCFCFCFC, "secs": 0xFCFCFC})
GEM = pack("gem48ptbin", "01021234", {"volts": 121.3, "secs": 5000})
SPK = b"SPK"

Answers = dict[bytes, list[bytes]]


@attrs.define
class Line:
    """A line to meters that answer each word with pieces, one a receive; time passes only where nothing comes."""

    answers: Answers
    sent: list[bytes] = attrs.field(factory=list)
    pieces: list[bytes] = attrs.field(factory=list)
    time: float = 0.0
    waits: list[float] = attrs.field(factory=list)

    def send(self, data: bytes) -> None:
        """Send a word to all meters."""
        self.sent.append(data)
        self.pieces += self.answers.get(data, [])

    def receive(self, seconds: float) -> bytes:
        """Receive the next piece."""
        self.waits.append(seconds)
        if self.pieces and (piece := self.pieces.pop(0)):
            return piece
        self.time += seconds
        return b""

    def now(self) -> float:
        """Tell the time."""
        return self.time

    def ask(self, device: str = "fc") -> Iterator[bytes]:
        """Ask one meter; no name means the GEM."""
        request = poll_requests([device] if device else [])[0]
        return ask(request, self.send, self.receive, timeout=5, clock=self.now)


class Chatter(Line):
    """A line on which the same bytes come eight times a second, for ever."""

    def receive(self, seconds: float) -> bytes:
        """Receive the same again."""
        self.time += min(seconds, 0.125)
        return self.pieces[0]


class Broken(Line):
    """A line that breaks when its pieces are at an end."""

    def receive(self, seconds: float) -> bytes:
        """Receive the next piece, or fail."""
        if self.pieces:
            return super().receive(seconds)
        raise ConnectionResetError


def read_all(line: Line, device: str = "fc") -> bytes:
    """All bytes of an answer."""
    return b"".join(line.ask(device))


def failure(asking: Iterator[bytes]) -> tuple[list[bytes], str]:
    """All that came, and the text of the failure."""
    pieces: list[bytes] = []
    with pytest.raises((NoAnswer, OSError)) as raised:
        pieces.extend(asking)
    return pieces, str(raised.value)


def test_the_request_of_an_ecm() -> None:
    """An ECM is sent its device byte and then SPK, each of which it acknowledges."""
    assert [Request("fd", (b"\xfd", b"SPK"), acknowledged=True)] == list(poll_requests(["fd"]))


def test_the_request_of_a_gem() -> None:
    """A GEM is sent one word, with the last five digits of its serial number, which may be given whole."""
    words = [request.words for request in poll_requests(["21234", "01130567"])]
    assert words == [(b"^^^NMB21234APISPK",), (b"^^^NMB30567APISPK",)]


def test_the_request_without_devices() -> None:
    """Where no device is named, the one GEM on the line is asked."""
    assert (Request("", (b"^^^APISPK",), acknowledged=False),) == poll_requests([])


@pytest.mark.parametrize("device", ["", "fb", " fd", "312345", "1234", "2123a", "٠١٢٣٤", "21234\n"])
def test_a_device_that_is_none(device: str) -> None:
    """A device that is neither an ECM's byte nor a GEM's serial number is refused, with what was expected."""
    with pytest.raises(ValueError, match='expected "fc", "fd", "fe" or "ff"'):
        poll_requests([device])


@pytest.mark.parametrize("devices", [["fc", "FC"], ["21234", "01021234"]])
def test_a_device_twice(devices: list[str]) -> None:
    """A device that is named twice, even in two spellings, is refused."""
    with pytest.raises(ValueError, match="expected each device once"):
        validate_devices(None, None, devices)


@pytest.mark.parametrize("devices", [[], ["fc", "fd", "fe", "ff"], ["21234", "30567"]])
def test_good_devices(devices: list[str]) -> None:
    """No device, four ECMs and several GEMs are all accepted."""
    validate_devices(None, None, devices)


def test_an_ecm_answers() -> None:
    """The packet of an ECM comes out without the acknowledgements that it sends between the words."""
    line = Line({ACK: [ACK], SPK: [ACK, ECM]})
    assert (read_all(line), line.sent) == (ECM, [ACK, SPK])


def test_a_gem_answers() -> None:
    """The packet of a GEM comes out whole."""
    line = Line({b"^^^NMB21234APISPK": [GEM]})
    assert read_all(line, "21234") == GEM


@given(st.lists(st.integers(1, 70), max_size=20), st.sampled_from([ECM, ECM_OF_ACKS]))
def test_an_answer_in_pieces(sizes: list[int], packet: bytes) -> None:
    """However the answer of an ECM is cut, its packet comes out, also when it is full of acknowledge bytes."""
    answer = ACK + packet
    pieces: list[bytes] = []
    for size in sizes:
        pieces, answer = [*pieces, answer[:size]], answer[size:]
    line = Line({ACK: [ACK], SPK: [piece for piece in [*pieces, answer] if piece]})
    assert packet == read_all(line)


def test_real_time_packets_before_the_acknowledgement() -> None:
    """Packets of a meter in real-time mode that come before an acknowledgement go to the decoder, whole."""
    line = Line({ACK: [ECM_OF_ACKS[:30], ECM_OF_ACKS[30:] + ACK], SPK: [ECM, ACK, ECM_OF_ACKS]})
    assert read_all(line) == ECM_OF_ACKS + ECM + ECM_OF_ACKS


def test_a_cut_packet_before_the_acknowledgement() -> None:
    """The beginning of a packet that never ends does not hide the acknowledgement after it, once the line is quiet."""
    line = Line({ACK: [ECM[:30], ACK], SPK: [ACK, ECM]})
    assert (read_all(line), line.sent) == (ECM[:30] + ECM, [ACK, SPK])


def test_several_packets_in_one_answer() -> None:
    """A GEM that answers with several ECM-1240 packets, with short pauses, is heard to the end."""
    line = Line({b"^^^APISPK": [ECM, ECM[:10], b"", ECM[10:], ECM]})
    assert read_all(line, "") == ECM * 3


def test_noise_around_the_packet() -> None:
    """Text and damaged packets around the answer go to the decoder too."""
    damaged = ECM[:-1] + bytes([ECM[-1] ^ 1])
    line = Line({b"^^^APISPK": [b"Alive\r\n" + damaged, ECM + b"\xfe"]})
    assert b"Alive\r\n" + damaged + ECM + b"\xfe" == read_all(line, "")


def test_a_dead_meter() -> None:
    """A meter that sends nothing is given up after the time-out, with what to look at."""
    line = Line({})
    text = "meter fc was asked, but sent nothing within 5 s: check its power, its line and its name here."
    assert (failure(line.ask())[1], line.time) == (text, 5.0)


def test_a_dead_gem_that_may_be_an_ecm() -> None:
    """Where no device was named, the failure says how an ECM is asked."""
    assert '["fc"]' in failure(Line({}).ask(""))[1]


@pytest.mark.parametrize("answers", [{ACK: [ACK]}, {ACK: [ACK], SPK: [ACK]}, {ACK: [b"\xff", b"\xfb"]}])
def test_a_meter_that_stops_halfway(answers: Answers) -> None:
    """A meter that acknowledges, or mutters, but sends no packet is given up too, and not called silent."""
    assert "sent no complete packet within 5 s" in failure(Line(answers).ask())[1]


def test_nothing_is_thrown_away_on_failure() -> None:
    """What came in before giving up goes to the decoder, also when it looks like the start of a packet."""
    hidden = GEM[:30] + ECM
    assert b"".join(failure(Line({b"\xfc": [hidden]}).ask())[0]) == hidden


def test_packets_that_never_end() -> None:
    """A line on which packets never stop coming is left after the time-out: it did answer."""
    line = Chatter({}, pieces=[ECM])
    assert (read_all(line, ""), line.time) == (ECM * 40, 5.0)


def test_junk_that_never_ends() -> None:
    """Junk that never stops coming does not keep a poll from ending in time."""
    line = Chatter({}, pieces=[b"\x00\xfe\xff\x05"])
    text = failure(line.ask())[1]
    assert ("sent no complete packet" in text, line.time) == (True, 5.0)


def test_no_wait_is_long() -> None:
    """No single wait is longer than half a second, and the caller has a turn after each: a stop is soon seen."""
    line = Line({})
    turns = failure(line.ask())[0]
    assert (max(line.waits), len(turns) >= len(line.waits)) == (0.5, True)


def test_a_line_that_breaks() -> None:
    """When the line breaks, what came in goes to the decoder before the failure is passed on."""
    line = Broken({b"^^^APISPK": [GEM[:40]]})
    assert b"".join(failure(line.ask(""))[0]) == GEM[:40]


def test_a_line_that_breaks_after_the_answer() -> None:
    """A gateway that hangs up as soon as it has passed the packet on has answered."""
    line = Broken({b"^^^APISPK": [GEM, b"\xfe\xff"]})
    assert read_all(line, "") == GEM + b"\xfe\xff"


def poll_of(line: Line, devices: list[str]) -> Callable[[], bytes]:
    """Make what polls the devices once."""
    poll = Poll(devices=devices, timeout=5, log=logging.getLogger("test"), clock=line.now)
    return lambda: b"".join(poll.ask_all(line.send, line.receive))


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


def test_junk_between_packets_is_skipped_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much junk a line brings, be it nothing but headers, the decoder is asked only where a packet may be."""
    asked = 0

    @plugin(api=1)
    class Counting(Brultech):
        @hookimpl
        def decode_packet(self, buffer: memoryview) -> Any:  # noqa: ANN401 - as the parent's
            nonlocal asked
            asked += 1
            return super().decode_packet(buffer)

    monkeypatch.setattr(polling, "_DECODER", Counting())
    monkeypatch.setattr(polling, "_DECODERS", Decoders([Counting()]))
    junk = [bytes(4000), b"\xfe\xff\x05abc" * 600, bytes(4000)]
    line = Line({ACK: [ACK, *junk], SPK: [ACK, *junk, ECM]})
    assert read_all(line) == b"".join([*junk, *junk, ECM])
    assert asked < 1000


# --- what comes in place of an answer ---------------------------------------------------------------------------------


TEXT = b"n=01012345&m=16&v=121.1&wh_1=123.4&p_1=50\r\n"


@pytest.mark.parametrize(
    ("came", "seen"),
    [
        (
            TEXT,
            f"{len(TEXT)} bytes came in: text in the GEM's format ASCII with Wh (2). Set the GEM's packet format to",
        ),
        (b"$", "1 byte came in: only the keep-alive of a GEM ($ or Alive))."),
        (GEM[:300], "300 bytes came in: the beginning of a packet, whose rest never came. The connection is cut"),
        (b"Port already in use\r\n", "21 bytes came in: the gateway says that its port is in use. Stop the other"),
    ],
)
def test_what_comes_in_place_of_a_packet_is_told_as_what_it_is(came: bytes, seen: str) -> None:
    """A failure says what came in, and what to do about it where being asked is not the answer."""
    text = failure(Line({b"^^^APISPK": [came]}).ask(""))[1]
    assert text.startswith(f"the GEM was asked, but sent no complete packet within 5 s ({seen}")


def test_keep_alives_and_answers_between_polls_are_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A keep-alive, an OK or text around the packets of a meter that answers is nothing to complain of."""
    line = Line({b"^^^APISPK": [b"$", b"OK\r\n" + GEM[:300], b"", GEM[300:] + b"Alive"]})
    poll = poll_of(line, [])
    assert [poll() for _ in range(3)] == [b"$OK\r\n" + GEM + b"Alive"] * 3
    assert caplog.messages == []


def test_an_answer_through_a_telnet_port_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """Where a telnet port doubles each FF, the meter has answered, at once; the decoder undoes it."""
    sent = GEM.replace(b"\xff", b"\xff\xff")
    line = Line({b"^^^APISPK": [b"\xff\xfb\x01" + sent[:200], sent[200:]]})
    assert poll_of(line, [])() == b"\xff\xfb\x01" + sent
    assert (line.time < 1, caplog.messages) == (True, [])


# --- who answers ------------------------------------------------------------------------------------------------------


def ecm(serial: str, secs: int = 5) -> bytes:
    """Make an ECM's packet."""
    return pack("ecm1240bin", serial, {"secs": secs})


class Drop(Line):
    """A line with several ECMs: what answers depends on who was asked last."""

    def __init__(self, packets: dict[bytes, list[bytes]]) -> None:
        """Take what comes when each device byte is asked."""
        super().__init__({})
        self.packets = packets

    def send(self, data: bytes) -> None:
        """Answer a device byte, or send the packets of the one that was asked."""
        self.sent.append(data)
        asked = [word for word in self.sent if len(word) == 1][-1]
        self.pieces += [ACK] if data != SPK else [ACK, *self.packets[asked]]


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


class TwoWires(Line):
    """A line on which what is sent comes back before the answer."""

    def send(self, data: bytes) -> None:
        """Send a word, which comes back."""
        self.pieces.append(data)
        super().send(data)


def test_a_line_with_an_echo() -> None:
    """An echo is no acknowledgement once it is known: each word waits for its own; the packet comes in each time."""
    line = TwoWires({b"\xfc": [b"", ACK], SPK: [b"", ACK, ECM]})
    poll = Poll(devices=["fc"], timeout=5, log=logging.getLogger("test"), clock=line.now)
    packets = []
    for _ in range(3):
        came = b"".join(poll.ask_all(line.send, line.receive))
        packets.append(came.count(ECM))
        assert line.pieces == []
    assert packets == [1, 1, 1]
    late = TwoWires({b"\xfc": [b"", b"", b"", ACK]})
    poll.clock = late.now
    list(poll.ask_all(late.send, late.receive))
    assert (late.sent, late.time >= 1.5 + poll.timeout) == ([b"\xfc", SPK], True)


@pytest.mark.parametrize("size", [1, 5, 40, 100])
def test_the_last_word_within_a_packet_is_no_echo(size: int) -> None:
    """Where a counter has the bytes of SPK by chance, however the packet is cut, each request gets its packet."""
    odd = pack("ecm1240bin", "312345", {"ch1_aws": int.from_bytes(SPK, "little"), "secs": 9})
    pieces = [odd[at : at + size] for at in range(0, len(odd), size)]
    line = Line({b"\xfc": [ACK], SPK: [ACK, *pieces]})
    poll = Poll(devices=["fc"], timeout=5, log=logging.getLogger("test"), clock=line.now)
    assert [b"".join(poll.ask_all(line.send, line.receive)) for _ in range(3)] == [odd] * 3


def test_an_echo_that_is_no_longer_there() -> None:
    """Where a line has another adapter now, the first request that fails is the last one that waits for an echo."""
    poll = Poll(devices=["fc"], timeout=5, log=logging.getLogger("test"))
    answers = {b"\xfc": [ACK], SPK: [ACK, ECM]}
    counts = []
    for line in (TwoWires(answers), Line(answers), Line(answers)):
        poll.clock = line.now
        counts.append(b"".join(poll.ask_all(line.send, line.receive)).count(ECM))
    assert counts == [1, 0, 1]
