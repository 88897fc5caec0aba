# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore decode`: shows the packets in a capture, for people and for other programs."""

import argparse
import json
import logging
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from btcore.calculate.chains import Chains
from btcore.calculate.sampling import Consecutive, SampleCache
from btcore.capture.files import read_capture
from btcore.capture.inspection import Inspection
from btcore.cli import OK, UNAVAILABLE, write_lines
from btcore.config.meters import Meters
from btcore.decode.decoders import Decoders
from btcore.decode.framing import Stream
from btcore.discovery import DECODERS, DISTRIBUTIONS, Installed, PluginError, find, installed, kinds_of
from btcore.errors import Unavailable, is_interrupt
from btcore.formats import Number
from btcore.logs.handler import say
from btcore.records import Chunk, Packet, Reading, Sample, reading_of
from btcore.settings import Context, Polarity
from btcore.sources.identity import Identities
from btcore.text import describe_error
from btcore.values.channels import known_channels
from btcore.values.describe import settings_of
from btcore.values.durations import parse_duration
from btcore.values.invalid_value import ConversionContext, InvalidValue

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""The earliest and the latest time that an argument can give."""

DAY = 86_400

MAX_STREAMS = 4096
"""The most framing buffers; above it, the least recently used one is closed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "file",
        help="a capture: plain bytes, lines of JSON, hexadecimal text (also from xxd, hexdump, od) or a pcap file (from"
        " tcpdump, Wireshark); -: standard input",
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object per line")
    parser.add_argument(
        "--samples", action="store_true", help="show samples (power and energy between readings) instead of readings"
    )
    parser.add_argument(
        "--polarity",
        choices=("brultech", "btmon"),
        default="brultech",
        help="the sign of a channel's power (default: brultech, consumption is positive)",
    )
    parser.add_argument(
        "--formats",
        type=_split_names,
        default=(),
        metavar="A,B",
        help="decode only these packet formats, such as gem48ptbin",
    )
    parser.add_argument(
        "--start",
        type=_time,
        metavar="TIME",
        help="the time of the first packet, if the capture has no times: ISO 8601 or seconds since 1970",
    )
    parser.add_argument(
        "--interval",
        type=_interval,
        default=timedelta(seconds=10),
        metavar="TIME",
        help="the time between two packets, if the capture has no times, such as 5m (default: 10s)",
    )


def main(args: argparse.Namespace) -> int:
    """Decode a file. Damaged packets are counted, and are not a failure. Return 69 if there is no packet."""
    capture = Inspection("standard input" if args.file == "-" else args.file, args.formats, say)
    decoders = _decoders(args)
    decoders.open(skip_failing=True)
    readings = _readings(args, decoders, capture)
    records = _samples(readings, args.polarity) if args.samples else readings
    write_lines(json.dumps(_object(record), allow_nan=False) if args.json else _text(record) for record in records)
    decoders.close()
    capture.finish()
    say(str(capture.counts))
    return OK if capture.counts.packets else UNAVAILABLE


def _decoders(args: argparse.Namespace) -> Decoders:
    """Create the installed decoders; broken ones are reported and skipped."""
    names = sorted(installed().items(), key=lambda one: one[0] != DECODERS[0])
    classes = {name: cls for name, rivals in names if (cls := _decoder(name, rivals)) is not None}
    channels = known_channels(classes.values())
    if channels.complete and (unknown := [name for name in args.formats if name not in channels.formats]):
        there_are = f"there are {', '.join(channels.formats)}"
        args.usage(f"argument --formats: no packet format {', '.join(unknown)}; {there_are}")
    made = {name: instance for name, cls in classes.items() if (instance := _instance(name, cls)) is not None}
    log = _log()
    return Decoders(list(made.values()), args.formats, [Context(f"decoder.{name}", log) for name in made], log)


def _decoder(name: str, rivals: tuple[Installed, ...]) -> type | None:
    """Load the plugin of a name if it can be a decoder: of the project's own plugins it is known which are."""
    ours = all(plugin.distribution == DISTRIBUTIONS.get(name) for plugin in rivals)
    if ours and name not in DECODERS:
        return None
    try:
        cls = find(name, {name: rivals}).load()
    except PluginError as error:
        say(f"skipped: {error}")
        return None
    return cls if "decoder" in kinds_of(cls) else None


def _instance(name: str, cls: type) -> object | None:
    try:
        needed = [entry.name for entry in settings_of(cls) if entry.required]
        if not needed:
            return cls()  # type: ignore[no-any-return]
        why = f"it has required settings ({', '.join(needed)}), which only a site.toml can set"
    except BaseException as error:
        if is_interrupt(error):
            raise
        why = describe_error(error)
    say(f'skipped: the decoder "{name}": {why}')
    return None


def _log() -> logging.Logger:
    """Return a log that writes warnings of decoders to stderr, a line each."""
    log = logging.Logger("btcore.decode", logging.WARNING)  # noqa: LOG001 - of this run alone
    log.addHandler(_StderrHandler())
    return log


class _StderrHandler(logging.Handler):
    """Writes the message of a record to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        say(record.getMessage())


def _readings(args: argparse.Namespace, decoders: Decoders, capture: Inspection) -> Iterator[Reading]:
    identities = Identities(Meters(), lambda notice: say(str(notice)))
    for packet, time, stream in _packets(args, decoders, capture):
        stamps = ("", identities.next_offset(), 0, 0, stream)
        name = identities.name(reading_of(packet, time, packet.serial, *stamps))
        yield reading_of(packet, time, name, *stamps)


def _packets(
    args: argparse.Namespace, decoders: Decoders, capture: Inspection
) -> Iterator[tuple[Packet, datetime, str]]:
    """Yield the packets, each with its time and the name of its stream."""
    streams: OrderedDict[str, Stream] = OrderedDict()  # the last used is the last closed
    for chunk in _chunks(args, capture):
        name, stream = chunk.stream, streams.get(chunk.stream)
        if stream is None:
            stream = streams[name] = decoders.stream(capture.counts)
        streams.move_to_end(name)
        for found in stream.feed(chunk.data, chunk.clock or chunk.time or datetime.now(UTC)):
            yield *found, name
        capture.saw(name, chunk.data, stream)
        if chunk.end or len(streams) > MAX_STREAMS:
            closed = name if chunk.end else next(iter(streams))
            for found in streams.pop(closed).close():
                yield *found, closed
    for name, stream in streams.items():
        for found in stream.close():
            yield *found, name


def _chunks(args: argparse.Namespace, capture: Inspection) -> Iterator[Chunk]:
    try:
        yield from read_capture(args.file, start=args.start, interval=args.interval, damaged=capture.damaged)
    except OSError as error:
        raise Unavailable(f"cannot read {args.file}: {error.strerror or error}") from error


def _samples(readings: Iterator[Reading], polarity: Polarity) -> Iterator[Sample]:
    """Yield the samples between readings; at the end, report how many readings gave none, and why."""
    sampler = Consecutive(polarity, Chains({}), SampleCache(1))
    for reading in readings:
        for step in sampler.feed(reading):
            yield from step.samples
    if sampler.skipped:
        say(f"without a sample: {', '.join(f'{count} {why}' for why, count in sampler.skipped.items())}")


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
        head = f"{_format_time(record.time)} {record.serial} {record.format.name}"
    else:
        length = "restarted" if record.seconds is None else f"{record.seconds} s"
        head = f"{_format_time(record.start)} to {_format_time(record.end)} {record.serial} {length}"
    return "\n  ".join([head, *_columns(record.values)])


def _format_time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%SZ}"


def _columns(values: Mapping[str, Number], across: int = 4) -> Iterator[str]:
    """Yield lines of four labels with their values, without zeros: most channels of a panel are unused."""
    cells = [f"{label:>9} {_format_number(value):<14}" for label, value in values.items() if value != 0]
    for at in range(0, len(cells), across):
        yield "".join(cells[at : at + across]).rstrip()


def _format_number(value: Number) -> str:
    if value is None:
        return "none"
    return f"{value:z.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _split_names(text: str) -> tuple[str, ...]:
    """Split a list of names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _time(text: str) -> datetime:
    """Read a time: seconds since 1970, or ISO 8601 (UTC where it names no zone)."""
    try:
        time = _parse_time(text)
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        time = LAST
    if not FIRST <= time < LAST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a time; expected seconds since 1970 or ISO 8601, such as 2026-06-21T12:00, and before"
            f" {LAST:%Y}"
        )
    return time


def _parse_time(text: str) -> datetime:
    try:
        seconds = float(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime.fromtimestamp(seconds, UTC)


def _interval(text: str) -> timedelta:
    """Read a length of time: a number of seconds, or a number with its unit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _parse_duration(text)
    if not 0 <= seconds <= DAY:
        expected = f'expected seconds, or a time such as "10s" or "5m", up to a day ({DAY} s)'
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration; {expected}")
    return timedelta(seconds=seconds)


def _parse_duration(text: str) -> float:
    try:
        return parse_duration(text, ConversionContext(Path()))
    except InvalidValue:
        return math.nan
