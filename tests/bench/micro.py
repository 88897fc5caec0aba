# SPDX-License-Identifier: GPL-3.0-or-later
"""Works on one packet, in this process: as a source and a sink do them, and as the peer does."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from statistics import median

import attrs
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
    """Measure all, each work beside that of the peer in the same turns."""
    works: dict[str, Work] = {
        "bytes": framing(1),
        "pieces": framing(PIECE),
        "keep": framing(0),
        "parse": peer_parse,
        "decode": decoding,
        "gem": decoding_and_calculating("gem48ptbin", GEM, LATER),
        "power": peer_power,
        "dict": decoding_and_calculating("gem48ptbin", GEM, LATER, is_dict=True),
        "ecm": decoding_and_calculating("ecm1240bin", ECM, ECM_LATER),
        "power of an ecm": peer_ecm,
        "recall": recalling(),
        "recall again": recalling_again(),
        "follow": calculating("gem48ptbin", [packet(7, 10 * number) for number in range(MANY)]),
        "follow an ecm": calculating("ecm1240bin", [ecm(10 * number) for number in range(MANY)]),
    }
    found = dict(zip(works, take_turns(list(works.values())), strict=True))

    def cost(work: str, name: str) -> Row:
        return Row(name, "µs", Spread.of([1e6 * each for each in found[work]]))

    def versus(work: str, peer: str, name: str, times: float) -> Row:
        ratio = median(of_peer / each for of_peer, each in zip(found[peer], found[work], strict=True))
        of_peer = 1e6 * median(found[peer])
        return attrs.evolve(cost(work, name), must=Must(times, times=True), peer=of_peer, ratio=ratio)

    def flow(work: str, name: str, least: float) -> Row:
        rates = [len(GEM) / each / 1e6 for each in found[work]]
        there = median(rate * 1e6 * parse / PARSE for rate, parse in zip(rates, found["parse"], strict=True))
        return Row(name, "MB/s", Spread.of(rates), Must(least), there=there)

    return [
        versus("keep", "parse", "GEM: frame, checksum, keep", 80),
        versus("decode", "parse", "GEM: all named values decoded", 12),
        versus("gem", "power", "GEM: a packet decoded, all 480 values, named", 5),
        cost("dict", "GEM: the same, all in a dict"),
        versus("ecm", "power of an ecm", "ECM-1240: a packet decoded, all 40 values, named", 5),
        cost("follow", "GEM: recalled, followed, all values"),
        cost("follow an ecm", "ECM-1240: recalled, followed, all values"),
        cost("recall", "recall of a journal entry, the first sink"),
        cost("recall again", "recall of a journal entry, every other sink"),
        flow("bytes", "framing, byte by byte", 5),
        flow("pieces", "framing, in pieces of 30 bytes", 50),
        flow("keep", "framing, all at once", 300),
    ]
