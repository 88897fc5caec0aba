# SPDX-License-Identifier: GPL-3.0-or-later
"""Works on one packet, in this process: as a source and a sink do them, and as the peer does."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle

from bench.program import packet
from bench.rows import Must, Row
from bench.timing import Spread, Work, take_turns
from siobrultech_protocols.gem.packets import BIN48_NET_TIME, ECM_1240

from btcore import FORMATS, Reading, Sample, pack
from btcore.calculate.chains import Chains
from btcore.calculate.samples import between
from btcore.calculate.sampling import Consecutive, SampleCache
from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.journal import Entry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = 1_767_225_600_000_000
"""Microseconds since 1970 of that time."""

MANY = 1000
GEM, LATER = packet(7, 0), packet(7, 10)
PIECE = 30
PARSE = 163.0
"""µs that the peer took for a packet where what must be reached was set; see `bench/reference.py`."""
CHANNELS = 32


def ecm(second: int) -> bytes:
    """Make a packet of an ECM-1240."""
    values = {f"ch{one}_aws": 10_000_000 + 700 * one * second for one in (1, 2)}
    return pack("ecm1240bin", "355555", {"volts": 120.0, "secs": 100 + second, **values})


ECM, ECM_LATER = ecm(0), ecm(10)


def decoders() -> Decoders:
    """Return decoders as a worker has them."""
    made = Decoders([Brultech()])
    made.open()
    return made


def framing(pieces: int) -> Work:
    """Return work that feeds packets to a stream, so many bytes at once (0: all)."""
    stream, data = decoders().stream(), GEM * 100
    parts = [data[at : at + pieces] for at in range(0, len(data), pieces)] if pieces else [data]

    def work() -> int:
        return sum(len(stream.feed(part, NOW)) for part in parts)

    return work


def entry(form: str, raw: bytes, seconds: int, offset: int) -> Entry:
    """Return the journal entry of a packet."""
    return Entry(START + seconds * 1_000_000, "panel", "1", form, raw, offset=offset)


def calculating(form: str, packets: Sequence[bytes]) -> Work:
    """Return work that recalls the packets of a meter, follows it, and reads all values of packets and samples."""
    made = decoders()
    entries = [entry(form, raw, 10 * number, number + 1) for number, raw in enumerate(packets)]

    def work() -> int:
        sampler, done = Consecutive("brultech", Chains({}), SampleCache(1)), 0
        for one in entries:
            reading = made.read_entry(one)
            assert reading is not None
            for step in sampler.feed(reading):
                done += sum(len(sample.values) > 0 for sample in step.samples) * (len(reading.values) > 0)
        return done

    return work


def decoding_and_calculating(form: str, older: bytes, newer: bytes, *, is_dict: bool = False) -> Work:
    """Return work that decodes a packet, and calculates all values since one that is decoded; both named.

    The power of the channels is asked for by name, as it is of the peer; or all values are put into a dict.
    """
    made = FORMATS[form]
    labels = [f"{one.name}_w" for one in made.channels if one.directional][:CHANNELS]
    before = Reading(NOW, made, "1", older, offset=1)
    later = NOW + timedelta(seconds=10)

    def work() -> int:
        reading = Reading(later, made, "1", newer, offset=2)
        sample = between(before, reading)
        assert isinstance(sample, Sample)
        found = sample.values if is_dict else [sample.get(label) for label in labels]
        return int(len(found) * len(reading.values) > 0)

    return work


def recalling() -> Work:
    """Return work that recalls packets, as the first sink does: more of them than are kept."""
    made, entries = decoders(), cycle([entry("gem48ptbin", GEM, 0, offset) for offset in range(1, MANY)])
    return lambda: int(made.read_entry(next(entries)) is not None)


def recalling_again() -> Work:
    """Return work that recalls a packet that another sink has recalled."""
    made, one = decoders(), entry("gem48ptbin", GEM, 0, 1)
    return lambda: int(made.read_entry(one) is not None)


def decoding() -> int:
    """Decode a packet into named values."""
    return int(bool(Reading(NOW, FORMATS["gem48ptbin"], "00100007", GEM).values))


def peer_parse() -> int:
    """Decode a packet with the peer."""
    BIN48_NET_TIME.parse(GEM)
    return 1


def peer_power() -> int:
    """Decode a packet with the peer, and ask for the mean power of all channels, since one that is decoded."""
    found = BIN48_NET_TIME.parse(LATER)
    for channel in range(CHANNELS):
        found.get_average_power(channel, PEER_OLDER)
    return 1


def peer_ecm() -> int:
    """Do the same with a packet of an ECM-1240."""
    found = ECM_1240.parse(ECM_LATER)
    for channel in range(2):
        found.get_average_power(channel, PEER_ECM_OLDER)
    return 1


PEER_OLDER, PEER_ECM_OLDER = BIN48_NET_TIME.parse(GEM), ECM_1240.parse(ECM)


def rows() -> list[Row]:
    """Measure all, with the peer in the same turns."""
    gem = calculating("gem48ptbin", [packet(7, 10 * number) for number in range(MANY)])
    works: list[Work] = [
        *(peer_parse, peer_power, peer_ecm),
        *(framing(0), decoding, decoding_and_calculating("gem48ptbin", GEM, LATER)),
        decoding_and_calculating("ecm1240bin", ECM, ECM_LATER),
        *(recalling(), recalling_again(), framing(1), framing(PIECE)),
        *(gem, calculating("ecm1240bin", [ecm(10 * number) for number in range(MANY)])),
        decoding_and_calculating("gem48ptbin", GEM, LATER, is_dict=True),
    ]
    found = take_turns(works)
    parse, power, of_ecm, *ours = [Spread.of([1e6 * each for each in one]) for one in found]
    speed = PARSE / parse.median
    times = [Spread.of([len(GEM) / each / 1e6 for each in one]) for one in (found[3], found[9], found[10])]
    return [
        Row("GEM: frame, checksum, keep", "µs", ours[0], Must(80, times=True), parse.median),
        Row("GEM: all named values decoded", "µs", ours[1], Must(12, times=True), parse.median),
        Row("GEM: a packet decoded, all 480 values, named", "µs", ours[2], Must(5, times=True), power.median),
        Row("GEM: the same, all in a dict", "µs", ours[10]),
        Row("ECM-1240: a packet decoded, all 40 values, named", "µs", ours[3], Must(5, times=True), of_ecm.median),
        Row("GEM: recalled, followed, all values", "µs", ours[8]),
        Row("ECM-1240: recalled, followed, all values", "µs", ours[9]),
        Row("recall of a journal entry, the first sink", "µs", ours[4]),
        Row("recall of a journal entry, every other sink", "µs", ours[5]),
        Row("framing, byte by byte", "MB/s", times[1], Must(5), there=times[1].median / speed),
        Row("framing, in pieces of 30 bytes", "MB/s", times[2], Must(50), there=times[2].median / speed),
        Row("framing, all at once", "MB/s", times[0], Must(300), there=times[0].median / speed),
    ]
