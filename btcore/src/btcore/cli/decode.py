"""`btcore decode`: what is in a capture, for people and for other programs."""

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
from btcore.cli import OK, UNAVAILABLE, write
from btcore.config.meters import Meters
from btcore.decode.decoders import Decoders
from btcore.decode.framing import Stream
from btcore.discovery import DISTRIBUTIONS, Installed, PluginError, find, installed, kinds_of
from btcore.errors import Unavailable, is_interrupt
from btcore.formats import Number
from btcore.logs.handler import say
from btcore.records import Chunk, Packet, Reading, Sample, reading_of
from btcore.settings import Context, Polarity
from btcore.sources.identity import Identities
from btcore.text import describe_error
from btcore.values.channels import known
from btcore.values.describe import settings_of
from btcore.values.durations import duration_of
from btcore.values.mismatch import Mismatch, Scope

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Between these, a time that somebody gives is meant."""

DAY = 86_400

BRULTECH = "brultech"
"""The decoder that is asked first."""

MOST_STREAMS = 4096
"""Framing buffers; beyond this the one unused for longest is closed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "file",
        help="a capture: plain bytes, lines of JSON, hex as text (also of xxd, hexdump, od), or a pcap file (tcpdump,"
        " Wireshark); - for standard input",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--samples", action="store_true", help="power and energy between readings, not the readings")
    parser.add_argument("--polarity", choices=("brultech", "btmon"), default="brultech", help="which sign is positive")
    parser.add_argument(
        "--formats", type=_listed, default=(), metavar="A,B", help="only these packet formats, such as gem48ptbin"
    )
    parser.add_argument(
        "--start",
        type=_time,
        metavar="TIME",
        help="of the first packet, where the capture tells no times: ISO 8601 or epoch",
    )
    parser.add_argument(
        "--interval",
        type=_interval,
        default=timedelta(seconds=10),
        metavar="TIME",
        help="between two packets, where the capture tells no times, such as 5m (10s)",
    )


def main(args: argparse.Namespace) -> int:
    """Decode a file; damage is counted, and no failure. Return 69 where there is no packet at all."""
    capture = Inspection("standard input" if args.file == "-" else args.file, args.formats, say)
    decoders = _decoders(args)
    decoders.open(leave_out=True)
    readings = _readings(args, decoders, capture)
    records = _samples(readings, args.polarity) if args.samples else readings
    write(json.dumps(_object(record), allow_nan=False) if args.json else _text(record) for record in records)
    decoders.close()
    capture.finish()
    say(str(capture.counts))
    return OK if capture.counts.packets else UNAVAILABLE


def _decoders(args: argparse.Namespace) -> Decoders:
    """Make the decoders that are installed; those that are broken are told and left out."""
    names = sorted(installed().items(), key=lambda one: one[0] != BRULTECH)
    classes = {name: cls for name, rivals in names if (cls := _decoder(name, rivals)) is not None}
    sure = known(classes.values())
    if sure.complete and (unknown := [name for name in args.formats if name not in sure.formats]):
        there_are = f"there are {', '.join(sure.formats)}"
        args.usage(f"argument --formats: no packet format {', '.join(unknown)}; {there_are}")
    made = {name: instance for name, cls in classes.items() if (instance := _instance(name, cls)) is not None}
    log = _log()
    return Decoders(list(made.values()), args.formats, [Context(f"decoder.{name}", log) for name in made], log)


def _decoder(name: str, rivals: tuple[Installed, ...]) -> type | None:
    """Load the plugin of a name, if it may be a decoder: what is ours is known, and not imported for nothing."""
    ours = all(plugin.distribution == DISTRIBUTIONS.get(name) for plugin in rivals)
    if ours and name != BRULTECH:
        return None
    try:
        cls = find(name, {name: rivals}).load()
    except PluginError as error:
        say(f"left out: {error}")
        return None
    return cls if "decoder" in kinds_of(cls) else None


def _instance(name: str, cls: type) -> object | None:
    try:
        needed = [entry.name for entry in settings_of(cls) if entry.required]
        if not needed:
            return cls()  # type: ignore[no-any-return]
        why = f"it cannot do without settings ({', '.join(needed)}), which only a site.toml gives"
    except BaseException as error:
        if is_interrupt(error):
            raise
        why = describe_error(error)
    say(f'left out: the decoder "{name}": {why}')
    return None


def _log() -> logging.Logger:
    """Make a log that tells on stderr what is wrong with a decoder, a line each."""
    log = logging.Logger("btcore.decode", logging.WARNING)  # noqa: LOG001 - of this run alone
    log.addHandler(_Saying())
    return log


class _Saying(logging.Handler):
    """Says the message of a record."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
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
    """Yield what is found, each with the name of its stream."""
    streams: OrderedDict[str, Stream] = OrderedDict()  # the last used is the last closed
    for chunk in _chunks(args, capture):
        name, stream = chunk.stream, streams.get(chunk.stream)
        if stream is None:
            stream = streams[name] = decoders.stream(capture.counts)
        streams.move_to_end(name)
        for found in stream.feed(chunk.data, chunk.clock or chunk.time or datetime.now(UTC)):
            yield *found, name
        capture.saw(name, chunk.data, stream)
        if chunk.end or len(streams) > MOST_STREAMS:
            over = name if chunk.end else next(iter(streams))
            for found in streams.pop(over).close():
                yield *found, over
    for name, stream in streams.items():
        for found in stream.close():
            yield *found, name


def _chunks(args: argparse.Namespace, capture: Inspection) -> Iterator[Chunk]:
    try:
        yield from read_capture(args.file, start=args.start, interval=args.interval, damaged=capture.damaged)
    except OSError as error:
        raise Unavailable(f"cannot read {args.file}: {error.strerror or error}") from error


def _samples(readings: Iterator[Reading], polarity: Polarity) -> Iterator[Sample]:
    """Yield what was measured between readings; say at the end which of them gave nothing, and why."""
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


def _listed(text: str) -> tuple[str, ...]:
    """Read names."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


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
    """Read a length of time: a number of seconds, or a number with its unit."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _with_unit(text)
    if not 0 <= seconds <= DAY:
        expected = f'expected seconds, or a time such as "10s" or "5m", up to a day ({DAY} s)'
        raise argparse.ArgumentTypeError(f"{text!r} is no interval; {expected}")
    return timedelta(seconds=seconds)


def _with_unit(text: str) -> float:
    try:
        return duration_of(text, Scope(Path()))
    except Mismatch:
        return math.nan
