# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of docs/reference/plugins.md: each begins with a line `# The example of NAME`.

A test runs them all.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Literal

from btcore import (
    FORMATS,
    Batch,
    Channel,
    Chunk,
    Claim,
    Context,
    Damaged,
    Delivery,
    DiagnosisContext,
    Discovered,
    Duration,
    Finding,
    Format,
    Incomplete,
    Packet,
    Piece,
    Problem,
    Reading,
    Reject,
    Retry,
    Sample,
    Secret,
    Serial,
    SourceCheckpoint,
    Stop,
    hookimpl,
    pack,
    plugin,
    setting,
)
from btcore.testing import make_batch, make_readings


# The example of plugin
@plugin(api=1, delivery=Delivery(interval=Duration(300), batch_size=30))
class Printer:
    """Prints a line for each meter, every five minutes."""

    colour: Literal["red", "black"] = setting(default="black", help="of the ink")
    key: Secret = setting(help="the word that opens the printer", example="PRINTER_KEY")

    # The example of open
    @hookimpl
    def open(self, context: Context) -> None:
        self.log, self.name = context.log, context.channel_name
        self.log.info("the printer prints in %s", self.colour)

    # The example of process_batch
    @hookimpl
    def process_batch(self, batch: Batch) -> int:
        for sample in batch.samples:
            if sample.get("ch1_w") is None:  # not known: the meter restarted
                raise Reject("there is no power to print")
            self.log.info("%s: %.0f W", self.name(sample.serial, "ch1"), sample.get("ch1_w"))
        return batch.sampled

    # The example of preview_batch
    @hookimpl
    def preview_batch(self, batch: Batch) -> Iterable[str]:
        return [f"{sample.serial}: {sample.get('ch1_w')} W" for sample in batch.samples]

    # The example of close
    @hookimpl
    def close(self) -> None:
        self.log.info("the printer is closed")


# The example of collect
@plugin(api=1)
class Recording:
    """Reads a file of packets."""

    path: Path = setting(help="the file")

    @hookimpl
    def collect(self, stop: Event) -> Iterator[Chunk | Reading | SourceCheckpoint]:
        with self.path.open("rb") as file:
            while not stop.is_set() and (data := file.read(4096)):
                yield Chunk(data, stream=self.path.name)


# The example of Format
WATTCH = Format(
    name="wattch",
    labels=("secs", "volts", "pv1_ws"),
    channels=(Channel("pv1", absolute="pv1_ws", bits=32, directional=False),),
    unpack=lambda raw: (raw[1], None, int.from_bytes(raw[2:6])),
    seconds_bits=8,
)

# The example of Channel
GRID = Channel("grid", absolute="grid_aws", polarized="grid_pws", bits=40)  # has two directions


# The example of decode_packet
@plugin(api=1)
class Wattch:
    """Decodes packets of six bytes that begin with W."""

    header = b"W"
    packet_formats = (WATTCH,)

    @hookimpl
    def decode_packet(self, buffer: memoryview) -> Packet | Incomplete | Damaged | None:
        if not buffer or buffer[0] != ord("W"):
            return None
        if len(buffer) < 6:
            return Incomplete()
        return Packet(size=6, format=WATTCH, serial="17", raw=bytes(buffer[:6]))


@plugin(api=1)
class Accounts:
    """Keeps a file for each meter."""

    # The example of split
    dir: Path = setting(help="the directory")
    keys: dict[Serial, Secret] = setting(help="each meter's serial number and the key of its account")

    @hookimpl
    def split(self) -> Mapping[str, object]:
        return {serial: Accounts(dir=self.dir, keys={serial: key}) for serial, key in self.keys.items()}

    # The example of create_storage
    @hookimpl
    def create_storage(self, context: Context, formats: tuple[Format, ...]) -> Iterable[str]:
        if not self.dir.exists():
            self.dir.mkdir(parents=True)
            yield f"created the directory {self.dir}"

    # The example of find_stored
    @hookimpl
    def find_stored(self, batch: Batch) -> Iterable[tuple[str, int]]:
        return [(one.serial, one.key) for one in batch.readings if (self.dir / f"{one.serial}-{one.key}").exists()]

    @hookimpl
    def process_batch(self, batch: Batch) -> None:
        for one in batch.readings:
            (self.dir / f"{one.serial}-{one.key}").touch()

    # The example of Problem
    def check(self) -> Iterator[Problem]:
        if not self.keys:
            yield Problem("expected the key of a meter's account", key="keys")

    # The example of Claim
    def claims(self) -> Iterator[Claim]:
        yield Claim(f"directory {self.dir}", key="dir")


# The example of Chunk
chunk = Chunk(b"\xfe\xff", stream="10.0.0.7:4711#1", address="10.0.0.7")
assert Chunk(b"", stream="10.0.0.7:4711#1", end=True).end

# The example of Packet
packet = Packet(size=6, format=WATTCH, serial="17", raw=b"W\x07\x00\x00\x03\xe8")
assert packet.format.numbers(packet.raw) == (7, None, 1000)

# The example of Incomplete
assert Wattch().decode_packet(memoryview(b"W\x07")) == Incomplete()

# The example of Damaged
assert Damaged("its checksum does not fit", size=6).size == 6

# The example of Piece
piece = Piece(packet.raw, packet)  # of a Splitter: the bytes of a packet, or with None those between two
assert piece.packet is packet

# The example of Reading
reading = Reading(
    datetime(2026, 6, 21, 12, tzinfo=UTC),
    FORMATS["ecm1240bin"],
    "312345",
    pack("ecm1240bin", "312345", {"secs": 10, "volts": 120.0, "ch1_aws": 12_500}),
)
assert (reading.get("volts"), reading.seconds, reading.key) == (120.0, 10, 1_782_043_200_000_000)

# The example of SourceCheckpoint
assert SourceCheckpoint("2.bin").state == "2.bin"  # any text of the source's own

# The example of Batch
batch: Batch = make_batch(make_readings(3))  # the core makes it; in a test, this does
assert (len(batch.readings), len(batch.samples), batch.sampled) == (3, 2, 2)

# The example of Sample
sample: Sample = batch.samples[0]
assert (sample.get("ch1_w"), sample.get("ch1_pw"), sample.get("ch1_nw")) == (750.0, 1000.0, 250.0)
assert (sample.seconds, round(sample.values["ch1_dwh"] or 0, 3), sample.reset) == (10, 2.083, False)

# The example of Context
context = Context("sink.roof", logging.getLogger("sink.roof"), channels={"312345_ch1": "solar"})
assert (context.channel_name("312345", "ch1"), context.channel_name("312345", "ch2")) == ("solar", "312345_ch2")

# The example of Delivery
assert Delivery(interval=Duration(300), max_calls_per_hour=60).batch_size == 500

# The example of Retry
later = Retry("the service is busy", after=17)

# The example of Reject
never = Reject("the row is older than 14 days", whole_batch=True)

# The example of Stop
until_a_person_acts = Stop("the key is wrong: set `key` anew")

# The example of DiagnosisContext
asked = DiagnosisContext(name="source.panel", failure="connection refused", kind="nothing")  # the core makes it
assert asked.find_packets(b"\xfe\xff") == ()

# The example of Discovered
offer = Discovered(kind="sink", text="the printer at /dev/lp0", settings={"path": "/dev/lp0"}, ask=("colour",))
assert offer.is_present

# The example of Finding
finding = Finding("port-in-use", "TCP port 8083 is held by nginx (1234)", "Stop it, or choose another port")
