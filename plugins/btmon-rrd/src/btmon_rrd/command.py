# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore graph`: its arguments, which directory it draws, and where the picture goes."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from btcore import API, Command, Configuration, LoadConfiguration, Table
from btmon_rrd.curves import Curve, Directory, GraphError, curves_of, select
from btmon_rrd.panels import View
from btmon_rrd.plugin import Rrd
from btmon_rrd.sheet import damage, draw_sheet
from btmon_rrd.theme import THEMES

SIZE = (1200, 300)
SMALLEST = (400, 80)
LARGEST = (8000, 4000)

FIRST_YEAR, LAST_YEAR = 1980, 9999


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `btcore graph`."""
    # `--from -1d`: argparse takes only numbers such as -1 for values
    parser._negative_number_matcher = re.compile(r"^-\d")  # noqa: SLF001 - it has no public way
    parser.add_argument(
        "channels",
        nargs="*",
        metavar="CHANNEL",
        help="what to draw: a name of [channels], SERIAL_CHANNEL, or CHANNEL of every meter, such as ch1, t1 or volts;"
        " default: the house, all that measured something",
    )
    parser.add_argument("--config", type=Path, default=Path("site.toml"), metavar="FILE", help="the configuration")
    parser.add_argument("--sink", metavar="NAME", help="the sink whose files are drawn, if there are several")
    parser.add_argument(
        "--from",
        dest="start",
        default="-1d",
        metavar="T",
        help='begin: -1d, -6h, "2026-06-21 06:00", or as rrdtool reads it (default: -1d)',
    )
    parser.add_argument("--to", dest="end", default="now", metavar="T", help="end, written so too (default: now)")
    parser.add_argument("-o", "--output", default="graph.png", metavar="FILE", help="the picture; -: standard output")
    parser.add_argument(
        "--size",
        type=_size,
        default=SIZE,
        metavar="WxH",
        help="pixels: width of the sheet, and height of its largest graph (default: 1200x300)",
    )
    parser.add_argument("--theme", choices=tuple(THEMES), default="light", help="colours (default: light)")


def run(args: argparse.Namespace, load: LoadConfiguration) -> int:
    """Draw a sheet. Raises BtcoreError."""
    configuration = load(args.config)
    directory = _directory(configuration, args.sink, args.usage)
    curves = curves_of(directory, configuration.channels)
    if args.channels:
        curves = select(curves, args.channels)
    else:
        curves = [one for one in curves if one.quantity in ("power", "temperature", "volts")]
    view = View(
        _time(args.start, "--from"), _time(args.end, "--to"), args.size[0], THEMES[args.theme], directory.daemon
    )
    _write(_draw(curves, view, directory, args.size[1]), args.output)
    return 0


def _draw(curves: Sequence[Curve], view: View, directory: Directory, height: int) -> bytes:
    """Return the picture; of a house one of whose files is damaged, that of the others. Raises GraphError."""
    try:
        return draw_sheet(curves, view, directory, height)
    except GraphError:
        damaged = {one.key: found for one in curves if (found := damage(one, view))}
        readable = [one for one in curves if one.key not in damaged]
        if not damaged:
            raise
        lines = [line for found in damaged.values() for line in found]
        if not readable:
            raise GraphError("; ".join(lines)) from None
        for line in lines:
            sys.stderr.write(f"btcore: left out: {line}\n")
        return draw_sheet(readable, view, directory, height)


GRAPH = Command(
    api=API,
    help="draw what RRD files hold: power, energy, temperature and voltage of a house",
    add_arguments=add_arguments,
    run=run,
)


def _directory(configuration: Configuration, name: str | None, usage: Callable[[str], None]) -> Directory:
    """Return the files of the sink, or of the source, that is meant."""
    tables = [one for one in configuration.tables if isinstance(one.instance, Rrd)]
    sinks = [one for one in tables if one.kind == "sink"] or tables
    found = [one for one in tables if name in (one.name, one.name.partition(".")[2])] if name else sinks
    if not tables:
        raise GraphError(f'{configuration.file} has no sink that stores RRD files: add [sink.NAME] with use = "rrd"')
    if len(found) != 1:
        names = " or ".join(one.name for one in tables)
        usage(f"expected --sink with the one whose files are drawn: {names}")
    return _files_of(found[0])


def _files_of(table: Table) -> Directory:
    instance = table.instance
    assert isinstance(instance, Rrd)  # noqa: S101 - as was looked for
    return Directory(instance.dir, instance.store, table.polarity, instance.daemon)


def _time(text: str, option: str) -> str:
    """Return a time as RRDtool reads it: ISO 8601 as seconds since 1970, all else as it is. Raises GraphError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    if not FIRST_YEAR < time.year < LAST_YEAR:
        raise GraphError(f"{option} {text}: expected a time after {FIRST_YEAR}, where RRDtool begins")
    return str(int(time.timestamp()))


def _write(picture: bytes, output: str) -> None:
    try:
        if output == "-":
            sys.stdout.buffer.write(picture)
            sys.stdout.buffer.flush()
        else:
            Path(output).write_bytes(picture)
    except OSError as error:
        raise GraphError(f"cannot write {output or chr(34) * 2}: {error.strerror or error}") from None


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(low <= one <= high for low, one, high in zip(SMALLEST, size, LARGEST, strict=True)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, such as 1200x300, found {text}")
    return size
