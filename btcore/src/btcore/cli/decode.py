"""`btcore decode`: what is in a capture, for people and for other programs."""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import attrs

from btcore.brultech import FORMATS
from btcore.capture import CaptureError, read_capture
from btcore.chains import Chains
from btcore.cli import OK
from btcore.decoders import Decoders
from btcore.discovery import find, installed
from btcore.errors import Unavailable
from btcore.formats import Number
from btcore.framing import Counts, Stream
from btcore.records import Chunk, Packet, Reading, Sample
from btcore.sampling import Consecutive, SampleCache
from btcore.settings import Polarity

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Between these, a time that somebody gives is meant."""

DAY = 86_400

NOTHING = "expected a capture of one of the binary formats; a meter that sends text has to be set to one of them"

MOST_STREAMS = 4096
"""Framing buffers; beyond this the one unused for longest is closed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="a capture: lines of JSON, or plain bytes; - for standard input")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--samples", action="store_true", help="power and energy between readings, not the readings")
    parser.add_argument("--polarity", choices=("brultech", "btmon"), default="brultech", help="which sign is positive")
    parser.add_argument(
        "--formats", type=_formats, default=(), metavar="A,B", help=f"only these of {', '.join(FORMATS)}"
    )
    parser.add_argument(
        "--start", type=_time, metavar="TIME", help="of the first packet of plain bytes: ISO 8601 or epoch"
    )
    parser.add_argument(
        "--interval",
        type=_interval,
        default=timedelta(seconds=10),
        metavar="S",
        help="seconds between packets of plain bytes (10)",
    )


def main(args: argparse.Namespace) -> int:
    """Decode a file; damaged input is counted, and no failure."""
    counts = Counts()
    readings = _readings(args, counts)
    for record in _samples(readings, args.polarity) if args.samples else readings:
        print(json.dumps(_object(record), allow_nan=False) if args.json else _text(record))
    sys.stdout.flush()
    if not counts.packets:
        sys.stderr.write(f"no packet in {args.file}: {NOTHING}\n")
    sys.stderr.write(f"{counts}\n")
    return OK


def _readings(args: argparse.Namespace, counts: Counts) -> Iterator[Reading]:
    decoders = Decoders([find("brultech", installed()).load()(formats=args.formats)])
    streams: dict[str, Stream] = {}
    for chunk in _chunks(args):
        stream = streams.pop(chunk.stream) if chunk.stream in streams else decoders.stream(counts)
        streams[chunk.stream] = stream  # the last used is the last closed
        yield from map(_reading, stream.feed(chunk.data, chunk.clock or chunk.time or datetime.now(UTC)))
        if len(streams) > MOST_STREAMS:
            yield from map(_reading, streams.pop(next(iter(streams))).close())
    for stream in streams.values():
        yield from map(_reading, stream.close())


def _chunks(args: argparse.Namespace) -> Iterator[Chunk]:
    try:
        yield from read_capture(args.file, start=args.start, interval=args.interval, damaged=_damaged)
    except OSError as error:
        raise Unavailable(f"cannot read {args.file}: {error.strerror or error}") from error


def _damaged(error: CaptureError) -> None:
    sys.stderr.write(f"{error}\n")


def _reading(found: tuple[Packet, datetime]) -> Reading:
    packet, time = found
    return Reading(time, packet.format, packet.serial, packet.raw)


def _samples(readings: Iterator[Reading], polarity: Polarity) -> Iterator[Sample]:
    sampler = Consecutive(polarity, Chains({}), SampleCache(1))
    for place, reading in enumerate(readings, 1):
        for step in sampler.feed(attrs.evolve(reading, seq=place)):
            yield from step.samples


def _object(record: Reading | Sample) -> dict[str, object]:
    if isinstance(record, Reading):
        return {
            "serial": record.serial,
            "format": record.format.name,
            "time": record.timestamp,
            "seconds": record.seconds,
            "values": record.values,
        }
    return {
        "serial": record.serial,
        "start": record.start.timestamp(),
        "end": record.end.timestamp(),
        "seconds": record.seconds,
        "values": dict(record.values),
    }


def _text(record: Reading | Sample) -> str:
    if isinstance(record, Reading):
        head = f"{_moment(record.time)} {record.serial} {record.format.name}"
    else:
        length = "restarted" if record.seconds is None else f"{record.seconds} s"
        head = f"{_moment(record.start)} to {_moment(record.end)} {record.serial} {length}"
    return "\n  ".join([head, *_columns(record.values)])


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%SZ}"


def _columns(values: Mapping[str, Number], across: int = 4) -> Iterator[str]:
    """Lay out label and value, four a line; zeros are left out, as most channels of a panel are unused."""
    cells = [f"{label:>9} {_shown(value):<14}" for label, value in values.items() if value != 0]
    for at in range(0, len(cells), across):
        yield "".join(cells[at : at + across]).rstrip()


def _shown(value: Number) -> str:
    if value is None:
        return "none"
    return f"{value:z.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _formats(text: str) -> tuple[str, ...]:
    """Read the names of packet formats."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in FORMATS]:
        raise argparse.ArgumentTypeError(f"no packet format {', '.join(unknown)}; there are {', '.join(FORMATS)}")
    return names


def _time(text: str) -> datetime:
    """Read a time: seconds since 1970, or ISO 8601 (UTC where it names no zone)."""
    try:
        time = _written(text)
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        time = LAST
    if not FIRST <= time < LAST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; expected seconds since 1970 or ISO 8601, such as 2026-06-21T12:00, before {LAST:%Y}"
        )
    return time


def _written(text: str) -> datetime:
    try:
        seconds = float(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime.fromtimestamp(seconds, UTC)


def _interval(text: str) -> timedelta:
    """Read a number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= DAY:
        raise argparse.ArgumentTypeError(f"{text!r} is no interval; expected seconds, from 0 to {DAY}")
    return timedelta(seconds=seconds)
