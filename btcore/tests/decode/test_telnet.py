# SPDX-License-Identifier: GPL-3.0-or-later
"""A telnet port between meter and computer: its changes are undone where that is certain, and nowhere else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from helpers.folders import GOLDEN
from helpers.golden_streams import stream_file
from helpers.pieces import pieces_of
from helpers.property_tests import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from btcore import FORMATS, Packet, pack
from btcore.decode.brultech import HEADER, Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import Stream, StreamCounts
from btcore.decode.telnet import MIN_PACKET, Doubled, Stuffed, Transformer

START = datetime(2026, 6, 21, 6, tzinfo=UTC)
REPORTED = GOLDEN / "reported" / "telnet_doubled.bin"
quick = settings(max_examples=examples(100), deadline=None)


def doubled(data: bytes) -> bytes:
    """Send every FF twice."""
    return data.replace(b"\xff", b"\xff\xff")


def stuffed(data: bytes) -> bytes:
    """Send a NUL after every CR, as a telnet port does that is not in its binary mode, and every FF twice."""
    return doubled(data).replace(b"\r", b"\r\0")


def packet(name: str, seed: int) -> bytes:
    """Make a packet full of FF and CR."""
    rng = Random(seed)
    values = {label: rng.choice([0xFFFF, 0x0DFF0D, 0x0D00, 0xFE]) for label in ("ch1_aws", "ch2_aws", "ch1_pws")}
    return pack(name, "312345", {"secs": seed % (1 << 24), "volts": 120.5, **values})


names = st.sampled_from(sorted(FORMATS))
packets = st.builds(packet, names, st.integers(0, 2**32))
negotiation = st.sampled_from(
    [b"\xff\xfd\x00", b"\xff\xfb\x03", b"\xff\xfe\xff", b"\xff\xf1", b"\xff\xfa\x2c\x64\x01\xff\xff\xff\xf0", b""]
)
sizes = st.lists(st.integers(1, 300), min_size=1, max_size=12)


def run(pieces: Sequence[bytes]) -> tuple[list[tuple[Packet, datetime]], Stream]:
    """Feed pieces, one a second, and close."""
    stream = Decoders([Brultech()]).stream()
    found = [each for at, piece in enumerate(pieces) for each in stream.feed(piece, START + timedelta(seconds=at))]
    return found + stream.close(), stream


def raws(pieces: Sequence[bytes]) -> list[bytes]:
    """Return the packets found."""
    return [one.raw for one, _ in run(pieces)[0]]


# --- the transformers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("transformer", "change"), [(Doubled, doubled), (Stuffed, lambda d: d.replace(b"\r", b"\r\0"))]
)
@quick
@given(data=st.lists(st.sampled_from([b"\xff", b"\r", b"\0", b"ab", b"\xfe"])).map(b"".join), sizes=sizes)
def test_what_was_changed_is_undone(transformer: type[Transformer], change, data: bytes, sizes: list[int]) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - bytes to bytes
    """Whatever the bytes and however they are split, what the change made of them becomes them again."""
    long = bytes(MIN_PACKET) + data + b"\xff"  # where no FF is doubled, there is nothing to undo
    undo = transformer()
    assert long == b"".join(piece or b"" for part in pieces_of(change(long), sizes) for piece in undo.undo(part))


@quick
@given(
    st.binary(max_size=200) | st.lists(negotiation | st.sampled_from([b"\xff", b"x" * MIN_PACKET])).map(b"".join), sizes
)
def test_any_bytes_give_the_same_however_they_are_split(data: bytes, sizes: list[int]) -> None:
    """Of bytes that were not changed so, too, the pieces between breaks do not depend on the splitting."""

    def runs(parts: list[bytes]) -> list[bytes]:
        undo, result = Doubled(), [b""]
        for part in parts:
            for piece in undo.undo(part):
                result = [*result, b""] if piece is None else [*result[:-1], result[-1] + piece]
        return result

    assert runs([data]) == runs(pieces_of(data, sizes))


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_reported_recording_is_decoded_whole() -> None:
    """Of the recording of a telnet port, every packet from the first on is found; the doubled bytes are junk."""
    data = REPORTED.read_bytes()
    for pieces in ([data], pieces_of(data, [100]), pieces_of(data, [1])):
        found, stream = run(pieces)
        assert (len(found), stream.undone, stream.counts) == (40, 40, StreamCounts(40, 120, 0))


@pytest.mark.parametrize("change", [doubled, stuffed])
@quick
@example(line=[(b"\xff\xfd\x00", packet("ecm1220bin", 3464))], sizes=[1])  # four CRs, a NUL behind each by chance
@given(line=st.lists(st.tuples(negotiation, packets), min_size=1, max_size=4), sizes=sizes)
def test_every_packet_of_a_telnet_port_is_found(change, line: list[tuple[bytes, bytes]], sizes: list[int]) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - bytes to bytes
    """With negotiation between the packets, and however the bytes are split, all packets are found."""
    data = b"".join(between + change(packet) for between, packet in line)
    expected = [packet for _, packet in line]
    assert expected == raws([data])
    assert expected == raws(pieces_of(data, sizes))


def test_six_nuls_do_not_make_another_format() -> None:
    """A NET packet to which a telnet port has added six NULs has the length and the checksum of a NET-TIME one."""
    net = pack("gem48pbin", "01000777", {"secs": 5, "ch1_aws": 0x0DFF0D, "ch2_aws": 0x0DFF0D, "ch3_pws": 0x0D010D})
    assert len(stuffed(net)) - stuffed(net).count(b"\xff\xff") == 625
    assert raws([stuffed(net) * 2]) == [net, net]


@quick
@given(st.lists(st.tuples(packets, st.booleans()), min_size=1, max_size=5), sizes)
def test_a_stream_may_change(line: list[tuple[bytes, bool]], sizes: list[int]) -> None:
    """A stream that is doubled and is not in turns loses no packet, and what is found does not depend on splitting."""
    data = b"".join(doubled(packet) if twice else packet for packet, twice in line)
    assert [packet for packet, _ in line] == raws([data]) == raws(pieces_of(data, sizes))


def test_a_packet_has_the_time_of_its_last_byte() -> None:
    """An undone packet's time is that of the piece with its last byte, also where it is found later."""
    one = doubled(packet("gem48pbin", 1))
    found, _ = run([b"\xff\xfb\x01" + one[:300], one[300:] + one[:100], one[100:]])
    assert [(time - START).seconds for _, time in found] == [1, 2]


def test_damage_costs_only_itself() -> None:
    """A doubled packet that is cut, or has lost an FF, costs no other."""
    whole = [packet("gem48ptbin", seed) for seed in range(5)]
    sent = [doubled(each) for each in whole]
    data = sent[0] + sent[1][:200] + sent[2] + sent[3].replace(b"\xff\xff", b"\xff", 1) + sent[4]
    assert [whole[0], whole[2], whole[4]] == raws([data])


def test_the_bytes_since_the_last_packet() -> None:
    """How long a stream has been without a packet is told of one that is undone, too."""
    stream = Decoders([Brultech()]).stream()
    stream.feed(doubled(packet("ecm1240bin", 5)) + b"abc", START)
    assert stream.bytes_since_packet == 3


@quick
@given(st.lists(packets | st.binary(max_size=60) | st.just(HEADER + b"\x05"), max_size=6), st.randoms(), sizes)
def test_a_stream_with_damage_is_not_taken_for_a_telnet_port(parts: list[bytes], rng: Random, sizes: list[int]) -> None:
    """Whatever is damaged, lost or put in between: nothing is found that was not sent, and nothing counts as undone."""
    data = bytearray(b"".join(parts))
    for _ in range(rng.randrange(6) if data else 0):
        data[rng.randrange(len(data))] = rng.choice(b"\xff\xfe\x0d\x00")
    assert run(pieces_of(bytes(data), sizes))[1].undone == 0


@pytest.mark.parametrize(
    "name", ["corrupt_gem48ptbin", "corrupt_ecm1240bin", "corrupt_gem48pbin", "corrupt_ecm1220bin"]
)
def test_recorded_damage_is_not_taken_for_a_telnet_port(name: str) -> None:
    """In recordings with every kind of damage nothing is undone."""
    assert run([stream_file(name).read_bytes()])[1].undone == 0


def test_bytes_that_only_look_doubled_prove_nothing() -> None:
    """A header and a footer with doubled FF, of the right length but with another checksum, are junk."""
    one = doubled(packet("gem48pbin", 3))
    found, stream = run([one[:-1] + bytes([one[-1] ^ 1])])
    assert (found, stream.undone, stream.counts.packets) == ([], 0, 0)
