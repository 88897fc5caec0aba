# SPDX-License-Identifier: GPL-3.0-or-later
"""The text formats: what is read of each, and that no other bytes keep it from being found."""

import re
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from helpers.gem_texts import HOUSE, Circuit, ascii_wh, cosm, emon, http_get, on_a_stream, seg
from helpers.property_tests import examples, hundred_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Damaged, Incomplete, Number, Packet, pack
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import StreamCounts
from btmon_ascii import MAX_SIZE, find_packet
from btmon_ascii.decoder import TEXTS, Ascii

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ASCII = Ascii()
BINARY = pack("gem48pbin", "01000011", {"volts": 120.1, "secs": 77, "ch1_aws": 5})
PANEL = tuple(Circuit(10**11 + index, index, index, index / 10) for index in range(1, 49))
PIECES = (*on_a_stream().values(), BINARY)


def look(data: bytes) -> Packet | Incomplete | Damaged | None:
    """Ask the decoder."""
    answer: Packet | Incomplete | Damaged | None = ASCII.decode_packet(memoryview(data))
    return answer


def packet_of(data: bytes) -> Packet:
    """Return the packet that is in some bytes."""
    found = find_packet(data)
    assert found is not None
    return found


def values_of(data: bytes) -> dict[str, Number]:
    """Return what is known of the packet in some bytes, by label."""
    packet = packet_of(data)
    numbers = zip(packet.format.labels, packet.format.numbers(packet.raw), strict=True)
    return {label: value for label, value in numbers if value is not None}


def found_in(*pieces: bytes) -> list[tuple[str, str]]:
    """Return format and serial number of the packets that a stream has in which these bytes come in, one by one."""
    stream = Decoders([Brultech(), ASCII]).stream()
    found = [each for piece in pieces for each in stream.feed(piece, NOW)] + stream.close()
    return [(packet.format.name, packet.serial) for packet, _ in found]


def test_ascii_with_wh() -> None:
    """ASCII with Wh has energy in whole Ws, power, current, sensors and volts, and values may begin with a bare dot."""
    assert values_of(ascii_wh((Circuit(803_484, 0, 3065, 28.28), Circuit(2952, 0, -5, 0.05)))) == {
        "ch1_aws": 803_484,
        "ch1_watts": 3065,
        "ch1_a": 28.28,
        "ch2_aws": 2952,
        "ch2_watts": -5,
        "ch2_a": 0.05,
        "t1": 21,
        "p1": 7,
        "volts": 114.4,
    }


def test_http_get_has_what_a_binary_packet_has() -> None:
    """HTTP GET has the labels and channels of BIN48-NET, so the readings of both continue each other."""
    binary = FORMATS["gem48pbin"]
    form = packet_of(http_get()).format
    assert (form.labels, form.channels, form.seconds_bits) == (binary.labels, binary.channels, binary.seconds_bits)
    assert values_of(http_get()) == {
        "secs": 5_956_977,
        "volts": 114.9,
        "ch1_aws": 356_116_610_095,
        "ch1_pws": 1000,
        "ch1_a": 28.28,
        "ch2_aws": 2952,
        "ch2_pws": 0,
        "ch2_a": 0.05,
        "p1": 1,
        "p2": 0,
        "p3": 0,
        "p4": 0,
        "t1": 21,
        "t2": 27,
    }


def test_http_get_without_current_and_direction() -> None:
    """What a meter is not set to include is not known, and no zero."""
    assert "ch1_a" not in values_of(http_get(amps=False))
    found = values_of(b"SN=01000123&SC=13399560&V=1202&c1=5000&c2=7 HTTP/1.1")
    assert found == {"secs": 13_399_560, "volts": 120.2, "ch1_aws": 5000, "ch2_aws": 7}


def test_seg() -> None:
    """New SEG has energy, SEG has none; the meter is its node, and the token is not kept."""
    assert packet_of(seg(token="SECRET")).serial == "house"
    assert b"SECRET" not in packet_of(seg(token="SECRET")).raw
    found = values_of(seg((Circuit(1_001_628, 0, 3155, 29.1),)))
    assert found == {"ch1_aws": 1_001_628, "ch1_watts": 3155, "ch1_a": 29.1, "t1": 21, "volts": 114.2}
    assert "ch1_aws" not in values_of(seg(energy=False))


def test_emon() -> None:
    """Emon has the seconds counter and the energy in Ws."""
    assert values_of(emon(HOUSE[:1])) == {
        "secs": 5_959_577,
        "volts": 114.4,
        "ch1_aws": 356_116_610_095,
        "ch1_watts": 3065,
        "t1": 21,
    }


def test_cosm() -> None:
    """COSM has power; the meter is its feed, and the key is not kept. The unit of its energy is not known."""
    packet = packet_of(cosm(HOUSE[:1], key="SECRET"))
    assert (packet.serial, b"SECRET" in packet.raw) == ("504", False)
    assert values_of(cosm(HOUSE[:1])) == {"ch1_watts": 3065, "volts": 114.4}


@pytest.mark.parametrize("name", on_a_stream())
def test_each_beginning_is_waited_for(name: str) -> None:
    """What is cut off at any byte is the beginning of a packet."""
    text = on_a_stream(PANEL)[name]
    start = next(at for at in range(len(text)) if isinstance(look(text[at:]), Packet))
    packet = look(text[start:])
    assert isinstance(packet, Packet)
    assert packet.size < MAX_SIZE // 2
    for size in range(1, packet.size):
        assert isinstance(look(text[start : start + size]), Incomplete), text[start : start + size]


@pytest.mark.parametrize("name", on_a_stream())
def test_what_is_kept_makes_the_same_packet(name: str) -> None:
    """The journal's bytes of a packet are decoded to that packet again."""
    packet = packet_of(on_a_stream(PANEL)[name])
    assert attrs_of(look(packet.raw)) == attrs_of(packet)


def attrs_of(packet: Packet | Incomplete | Damaged | None) -> tuple[object, ...]:
    """Return what must be the same of a packet that is decoded again."""
    assert isinstance(packet, Packet)
    return packet.format, packet.serial, packet.raw


def test_what_no_counter_shows_is_not_known() -> None:
    """An energy below zero costs its channel alone: the rest of the packet is taken."""
    found = values_of(b"n=01000010&m=4&wh_1=-2.5&p_1=-900&wh_2=1&p_2=40&v=114.4\r\n")
    assert found == {"ch1_watts": -900, "ch2_aws": 3600, "ch2_watts": 40, "volts": 114.4}


DAMAGED = {
    "a field is there twice": b"n=01000010&m=4&wh_1=2&wh_1=3\r\n",
    "a counter out of its range": b"SN=01000010&SC=99999999&V=1149&c1=1,0&Resp= ",
    "a text that ends within a value": b"n=01000010&m=4&wh_1=2" + ascii_wh()[:60],
    "a list with a sign within a number": b"SN=01000010&SC=9&V=1149&c1=1,0&T=1-2&Resp= ",
    "a temperature of 40 digits": b"SN=01000010&SC=9&V=1149&c1=1,0&T=" + b"9" * 40 + b"&Resp= ",
    "more bytes than a text has": b"n=01000010&m=4" + b"&wh_1=1" * 2000,
    "no channel": b"SN=01000010&SC=9&V=1149 ",
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_what_is_no_packet_is_damaged(data: bytes) -> None:
    """What cannot be a packet is one for nobody, and nothing waits for its end."""
    assert isinstance(look(data), Damaged)


def test_a_cut_text_costs_itself_alone() -> None:
    """A text that is cut off within a number is not completed with the next one, which is found."""
    for text in (ascii_wh(), http_get() + b" ", seg(), emon(), cosm()):
        for cut in (text[: len(text) // 2], text[: len(text) // 3]):
            assert found_in(cut, text) == found_in(text)


def test_keep_alives_and_answers_between_texts() -> None:
    """The words that a GEM says between its packets cost none of them."""
    words = (b"$", b"Alive", b"_ON\r\n", b"IVL\r\n", b"Alive\r\n", b"\0", b"PKT\r\nOFF\r\n")
    pieces = [piece for word in words for piece in (word, ascii_wh(end=""), word, http_get(), BINARY)]
    assert len(found_in(*pieces)) == 3 * len(words)


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", " "])
def test_each_end_of_a_line_is_part_of_its_text(end: str) -> None:
    """Whatever ends a line, no byte of it is junk, and what comes after it is found."""
    counts = StreamCounts()
    stream = Decoders([Brultech(), ASCII]).stream(counts)
    texts = b"".join(ascii_wh(end=end) for _ in range(3)) + BINARY
    found = [each for byte in texts for each in stream.feed(bytes([byte]), NOW)]
    assert (len(found), counts.junk) == (4, 0)


def test_texts_without_a_line_end() -> None:
    """A text without a line end is complete where the next one begins."""
    texts = [ascii_wh(serial=serial, end="") for serial in ("01000001", "01000002", "01000003")]
    assert [serial for _, serial in found_in(*texts, b"\n")] == ["01000001", "01000002", "01000003"]


@hundred_examples
@given(st.lists(st.sampled_from(PIECES), max_size=6), st.data())
def test_any_splitting_gives_the_same_packets(pieces: list[bytes], data: st.DataObject) -> None:
    """Text and binary packets on one stream are found, however their bytes are split."""
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    split = [whole[a:b] for a, b in pairwise([0, *cuts, len(whole)])]
    expected = [kind for piece in pieces for kind in found_in(piece)]
    assert found_in(*split) == expected
    assert len(expected) == len(pieces)


@settings(max_examples=examples(2000), deadline=None)
@given(st.lists(st.binary(max_size=40) | st.text("n=&{}SNC:/v2feds()ite_ \r\n0123.,", max_size=60).map(str.encode)))
def test_junk_loses_no_packet(junk: list[bytes]) -> None:
    """Whatever comes before a line end, the text behind it is found, once there is more than a text or the end."""
    assert found_in(*junk, b"\xfe\r\n", ascii_wh())[-1] == ("gemascii", "01000010")


@settings(max_examples=examples(2000), deadline=None)
@given(st.sampled_from(list(on_a_stream().values())), st.data())
def test_a_changed_text_raises_nothing(text: bytes, data: st.DataObject) -> None:
    """A text with bytes changed, cut or put in is a packet that can be unpacked, or none: nothing is raised."""
    at, end = sorted((data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))))
    changed = text[:at] + data.draw(st.binary(max_size=8) | st.just(text[:20])) + text[end:]
    for begin in (found.start() for found in re.finditer(b"|".join(re.escape(one.header) for one in TEXTS), changed)):
        answer = look(changed[begin:])
        if isinstance(answer, Packet):
            answer.format.numbers(answer.raw)
            assert attrs_of(look(answer.raw)) == attrs_of(answer)


def test_the_energy_of_cosm_is_kept_and_not_read() -> None:
    """Its unit is not documented: no number comes of it, but the text that the journal keeps has it."""
    packet = packet_of(cosm([Circuit(36_942, 0, 3020)]))
    assert b"\nE1,36942\n" in packet.raw
    assert packet.format.channels == ()
    assert {36_942, 36_942 * 3600} & set(packet.format.numbers(packet.raw)) == set()
