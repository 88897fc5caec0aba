# SPDX-License-Identifier: GPL-3.0-or-later
"""The recorded streams in `golden/`: their bytes, their packets, and what btmon 3.4.0 made of them."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from btcore.decode.brultech import Brultech
from btcore.decode.decoders import Decoders
from btcore.decode.framing import StreamCounts
from btcore.records import Packet, Reading
from helpers.folders import GOLDEN
from helpers.pieces import pieces_of

STREAM_NAMES = sorted(path.stem for path in (GOLDEN / "streams").glob("*.json"))
VALUE_NAMES = sorted(path.stem for path in (GOLDEN / "values").glob("*.json"))
RECORDED_AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
TOLERANCE = 1e-9


def stream_file(name: str) -> Path:
    """Return the file of a recorded stream."""
    return GOLDEN / "streams" / f"{name}.bin"


def decode_in_pieces(data: bytes, sizes: list[int]) -> tuple[list[Packet], StreamCounts]:
    """Feed a stream in pieces of these sizes, over and over; return what was found."""
    stream = Decoders([Brultech()]).stream()
    found = [one for piece in pieces_of(data, sizes) for one in stream.feed(piece, RECORDED_AT)]
    found += stream.close()
    return [packet for packet, _ in found], stream.counts


@cache
def golden_stream(stream: str) -> tuple[bytes, dict[str, Any]]:
    """Return a stream's bytes and what is in them."""
    path = GOLDEN / "streams" / stream
    return path.with_suffix(".bin").read_bytes(), json.loads(path.with_suffix(".json").read_text())


def recorded_packets(stream: str) -> list[bytes]:
    """Return the packets of a recorded stream, without what is between them."""
    data, described = golden_stream(stream)
    return [data[at["offset"] : at["offset"] + at["length"]] for at in described["packets"]]


def recorded_readings(stream: str) -> list[Reading]:
    """Return the readings of a recorded stream, at the times at which they were received; offsets count from 1."""
    times = [packet["receive_time"] for packet in golden_stream(stream)[1]["packets"]]
    return [
        Reading(datetime.fromtimestamp(time, UTC), packet.format, packet.serial, packet.raw, "golden", offset)
        for offset, (time, packet) in enumerate(zip(times, map(_decoded, recorded_packets(stream)), strict=True), 1)
    ]


def _decoded(raw: bytes) -> Packet:
    packet = Brultech().decode_packet(memoryview(raw))
    assert isinstance(packet, Packet)
    return packet


@cache
def btmon_values(name: str) -> dict[str, Any]:
    """Return what btmon made of a stream or capture."""
    content: dict[str, Any] = json.loads((GOLDEN / "values" / f"{name}.json").read_text())
    return content


def input_of(name: str) -> bytes:
    """Return the bytes that a file of values was made from."""
    content = btmon_values(name)
    if "capture" in content:
        return (GOLDEN / "captures" / f"{name.removeprefix('capture_')}.bin").read_bytes()
    return golden_stream(content["stream"])[0]


@cache
def golden_readings(name: str) -> list[Reading]:
    """Return the readings of a file of values, at the times that btmon gave them."""
    times = [
        datetime.fromtimestamp(packet["compiled"]["time_created"], UTC) for packet in btmon_values(name)["packets"]
    ]
    packets = decode_in_pieces(input_of(name), [len(input_of(name))])[0]
    return [Reading(t, p.format, p.serial, p.raw) for t, p in zip(times, packets, strict=True)]
