# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking one meter: the requests of both kinds, against meters that answer, chatter, stall and die."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.asked_line import ACK, ECM, GEM, SPK, Answers, Line, TwoWires, poll_of
from hypothesis import given
from hypothesis import strategies as st

from btcore import Poll, hookimpl, pack, plugin
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.polling import asking
from btcore.polling.asking import NoAnswer, Request, poll_requests

ECM_OF_ACKS = pack("ecm1240bin", "312345", {"ch1_aws": 0xFCFCFCFCFC, "ch2_pws": 0xFCFCFCFCFC, "secs": 0xFCFCFC})


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


def failure(answer: Iterator[bytes]) -> tuple[list[bytes], str]:
    """All that came, and the text of the failure."""
    pieces: list[bytes] = []
    with pytest.raises((NoAnswer, OSError)) as raised:
        pieces.extend(answer)
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

    monkeypatch.setattr(asking, "_DECODER", Counting())
    monkeypatch.setattr(asking, "_DECODERS", Decoders([Counting()]))
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
