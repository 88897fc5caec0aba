"""`btcore decode`: what is in a capture, for people and for other programs."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from btcore.brultech import FORMATS
from btcore.capture import CaptureError, read_capture
from btcore.cli import OK, UNAVAILABLE, USAGE
from btcore.decoders import Decoders
from btcore.discovery import find, installed
from btcore.framing import Counts, Stream
from btcore.records import Packet, Reading, Sample
from btcore.sampling import Consecutive, SampleCache


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", help="a capture: lines of JSON, or plain bytes; - for standard input")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--samples", action="store_true", help="power and energy between readings, not the readings")
    parser.add_argument("--polarity", choices=("brultech", "btmon"), default="brultech", help="which sign is positive")
    parser.add_argument("--formats", default="", metavar="A,B", help=f"only these of {', '.join(FORMATS)}")
    parser.add_argument(
        "--start", type=_time, metavar="TIME", help="of the first packet of plain bytes: ISO 8601 or epoch"
    )
    parser.add_argument(
        "--interval", type=float, default=10.0, metavar="S", help="seconds between packets of plain bytes"
    )


def main(args: argparse.Namespace) -> int:
    """Decode a file; damaged input is counted, and no failure."""
    formats = tuple(name for name in args.formats.split(",") if name)
    if unknown := [name for name in formats if name not in FORMATS]:
        sys.stderr.write(f"btcore: no packet format {', '.join(unknown)}; there are {', '.join(FORMATS)}\n")
        return USAGE
    counts = Counts()
    try:
        readings = _readings(args, Decoders([find("brultech", installed()).load()(formats=formats)]), counts)
        for record in _samples(readings, args.polarity) if args.samples else readings:
            print(json.dumps(_object(record), allow_nan=False) if args.json else _text(record))
        sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        sys.stderr.write(f"btcore: cannot read {args.file}: {error.strerror}\n")
        return UNAVAILABLE
    sys.stderr.write(f"{counts}\n")
    return OK


def _readings(args: argparse.Namespace, decoders: Decoders, counts: Counts) -> Iterator[Reading]:
    streams: dict[str, Stream] = {}
    interval = timedelta(seconds=args.interval)
    for chunk in read_capture(args.file, start=args.start, interval=interval, damaged=_damaged):
        stream = streams.setdefault(chunk.stream, decoders.stream(counts))
        yield from map(_reading, stream.feed(chunk.data, chunk.clock or chunk.time or datetime.now(UTC)))
    for stream in streams.values():
        yield from map(_reading, stream.close())


def _damaged(error: CaptureError) -> None:
    sys.stderr.write(f"{error}\n")


def _reading(found: tuple[Packet, datetime]) -> Reading:
    packet, time = found
    return Reading(time, packet.format, packet.serial, packet.raw)


def _samples(readings: Iterator[Reading], polarity: str) -> Iterator[Sample]:
    sampler = Consecutive("btmon" if polarity == "btmon" else "brultech", {}, SampleCache(1))
    for place, reading in enumerate(readings, 1):
        reading.seq = place
        for step in sampler.feed(reading):
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
        head = f"{record.time:%Y-%m-%d %H:%M:%SZ} {record.serial} {record.format.name}"
        return "\n  ".join([head, *_columns(list(record.values.items()))])
    length = "restarted" if record.seconds is None else f"{record.seconds} s"
    head = f"{record.start:%Y-%m-%d %H:%M:%SZ} to {record.end:%H:%M:%SZ} {record.serial} {length}"
    return "\n  ".join([head, *_columns(list(record.values.items()))])


def _columns(values: Sequence[tuple[str, object]], across: int = 4) -> Iterator[str]:
    """Lay out label and value, four a line; zeros are left out, as most channels of a panel are unused."""
    cells = [f"{label:>9} {_shown(value):<14}" for label, value in values if value != 0]
    for at in range(0, len(cells), across):
        yield "".join(cells[at : at + across]).rstrip()


def _shown(value: object) -> str:
    return (
        "none" if value is None else f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    )


def _time(text: str) -> datetime:
    """Read a time: seconds since 1970, or ISO 8601 (UTC where it names no zone)."""
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except ValueError:
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.replace(tzinfo=UTC)
