# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore simulate`: simulates meters. The plugin `simulator` makes the packets; `destinations.py` sends them."""

import argparse
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import SplitResult, urlsplit

from btcore.cli import OK, USAGE, standard_output
from btcore.cli.destinations import Connections, Destination, Gateway, Recording, SerialPort
from btcore.cli.requests import HTTP_PORT, Requests
from btcore.config.problems import Problems
from btcore.config.tables import Reader
from btcore.config.toml import read
from btcore.decode.brultech import FORMATS
from btcore.discovery import find, installed
from btcore.errors import Problem, Unavailable
from btcore.logs.handler import say
from btcore.meter_commands import CommandFailed, MeterCommand, MeterCommands
from btcore.records import Chunk
from btcore.runtime.signals import stop_on_signals
from btcore.settings import Context
from btcore.text import plural
from btcore.values.describe import settings_of
from btcore.values.invalid_value import ConversionContext

PACKETS = 60
"""The default number of packets of each meter if they are sent all at once."""

TEXTS = "gemhttpget, gemascii, gemseg, gemseg6, gememon, gemcosm"

OVER_HTTP = "gemhttpget"
"""The default format of what is sent over HTTP."""

SETTINGS = ("format", "serial", "count", "packets", "interval", "start", "seed", "faults", "fault_rate")
"""The options that are settings of the plugin."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    house = parser.add_argument_group("the meters", "for details, run btcore plugins simulator")
    house.add_argument("--format", metavar="NAME", help=f"packet format: {', '.join(FORMATS)}; as text: {TEXTS}")
    house.add_argument("--serial", metavar="SERIAL", help="serial number of the first meter")
    house.add_argument("--meters", dest="count", type=int, metavar="N", help="number of meters (default: 1)")
    house.add_argument(
        "--packets",
        type=int,
        metavar="N",
        help=f"packets of each meter; 0: no limit (default: 0 in real time, else {PACKETS})",
    )
    house.add_argument("--interval", metavar="DURATION", help="time between two packets of a meter (default: 10s)")
    house.add_argument("--start", metavar="TIME", help="time of the first packet, ISO 8601 (default: now)")
    house.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same house (default: 1)")
    house.add_argument("--faults", type=_split_words, metavar="A,B", help="faults to inject (default: none)")
    house.add_argument(
        "--fault-rate", type=float, metavar="SHARE", help="share of packets with a fault, 0 to 1 (default: 0.1)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="-",
        help="write a capture, or plain bytes if the name ends in .bin (default: -, standard output)",
    )
    where.add_argument(
        "--connect", type=_address, metavar="HOST:PORT", help="send over TCP, with a connection for each meter"
    )
    where.add_argument(
        "--listen",
        type=_address,
        metavar="HOST:PORT",
        help="as a gateway: wait for connections, with all meters on one line",
    )
    where.add_argument(
        "--http", type=_url, metavar="URL", help=f"send over HTTP, as a GEM does (default format: {OVER_HTTP})"
    )
    where.add_argument("--serial-port", type=Path, metavar="NAME", help="make a serial line of this name")
    parser.add_argument(
        "--fleet",
        type=int,
        metavar="N",
        help="with --connect: N meters from a few processes, which connect again by themselves, and take no commands",
    )
    parser.add_argument(
        "--processes", type=int, metavar="P", help="with --fleet: how many processes (default: one for 2500 meters)"
    )
    parser.add_argument("--binary", action="store_true", help="write plain bytes instead of lines of JSON")
    parser.add_argument(
        "--realtime",
        action=argparse.BooleanOptionalAction,
        help="send each packet at its time instead of all at once (default, unless into a file)",
    )


def main(args: argparse.Namespace) -> int:
    """Simulate until all packets are sent, or until a signal arrives."""
    if args.fleet is not None:
        return _fleet(args)
    is_line = any(way is not None for way in (args.connect, args.listen, args.http, args.serial_port))
    is_live = is_line if args.realtime is None else args.realtime
    plugin, problems = _plugin(args, is_live=is_live)
    if problems:
        return _refuse(problems)
    stop = Event()
    stop_on_signals(stop)
    context = Context("source.simulator", logging.getLogger("source.simulator"))
    plugin.open(context=context)
    _play(plugin.collect(stop=stop), context.commands, args, is_live=is_live)
    return OK


def _fleet(args: argparse.Namespace) -> int:
    """Simulate a fleet: the same meters, in several processes."""
    from btcore.cli.fleet import MAX_METERS, MAX_PROCESSES, SHARE, run_fleet  # noqa: PLC0415 - it is rare, and large

    count, processes = args.fleet, args.processes
    if not args.connect:
        args.usage("--fleet needs --connect HOST:PORT")
    if args.count is not None:
        args.usage("--fleet says how many meters: omit --meters")
    if not 1 <= count <= MAX_METERS:
        args.usage(f"--fleet: expected 1 to {MAX_METERS} meters, as many as one computer can connect to one port")
    if processes is None:
        processes = -(-count // SHARE)
    if not 1 <= processes <= min(count, MAX_PROCESSES):
        args.usage(f"--processes: expected 1 to {min(count, MAX_PROCESSES)}")
    args.count = count
    _, problems = _plugin(args, is_live=True)
    if problems:
        return _refuse(problems)

    make = partial(_make_share, {name: getattr(args, name) for name in (*SETTINGS, "http")})
    with contextlib.suppress(KeyboardInterrupt):
        say(f"btcore simulate: {run_fleet(make, args.connect, count, processes)}")
    return OK


def _make_share(settings: Mapping[str, Any], first: str, count: int, number: int) -> Any:  # noqa: ANN401 - any plugin
    """Make the plugin for some meters of a fleet."""
    seed = (settings["seed"] or 1) * 1000 + number  # their houses are at other times of their lives
    share = {"serial": first or settings["serial"], "count": count, "seed": seed}
    plugin, _ = _plugin(argparse.Namespace(**{**settings, **share}), is_live=True)
    return plugin


def _refuse(problems: Sequence[Problem]) -> int:
    for problem in problems:
        say(f"btcore simulate: {_option(problem)}{problem.message}")
    return USAGE


def _plugin(args: argparse.Namespace, *, is_live: bool) -> tuple[Any, list[Problem]]:
    """Create the plugin's instance as from a table of a configuration, so that mistakes have the same messages."""
    table = {name: getattr(args, name) for name in SETTINGS if getattr(args, name) is not None}
    table.setdefault("packets", 0 if is_live else PACKETS)
    table["pace"] = "live" if is_live else "fast"
    if args.http is not None:
        table.setdefault("format", OVER_HTTP)
        table["target"] = args.http.path or "/"
    plugin = find("simulator", installed())
    cls = plugin.load()
    findings = Problems("", read(""))
    reader = Reader(findings, ConversionContext(Path.cwd()))
    return reader.instance(plugin, cls, settings_of(cls), table, ("source", "simulator")), [
        *findings.problems,
        *findings.warnings,
    ]


def _play(chunks: Iterator[Chunk], commands: MeterCommands, args: argparse.Namespace, *, is_live: bool) -> None:
    """Send the packets of the meters. However it ends, the last line on stderr says how many were sent."""
    packets, heard = 0, dict[str, object]()
    summary = ""
    try:
        destination = _destination(args, commands, is_live=is_live)
        for chunk in chunks:
            if chunk.data:
                destination.send(chunk)
                if chunk.time is not None:  # an answer to a command has none
                    packets += heard.get(chunk.stream) != chunk.time  # the pieces of a packet have one time
                    heard[chunk.stream] = chunk.time
        summary = destination.close()
    except BrokenPipeError:
        raise  # the reader is gone; the top level handles it
    except OSError as error:
        target = _target(args)
        raise Unavailable(f"cannot write to {target}: {error.strerror or error}") from error
    finally:
        what = f"{plural(packets, 'packet')} of {plural(len(heard), 'meter')}"
        say(f"{what}{summary and ': '}{summary}")


def _destination(args: argparse.Namespace, commands: MeterCommands, *, is_live: bool) -> Destination:
    def heard(stream: str, data: bytes) -> None:
        with contextlib.suppress(CommandFailed):  # more than a meter can take is lost, as with a meter
            commands.post(MeterCommand(data, stream))

    if args.connect:
        return Connections(args.connect[0], args.connect[1], heard)
    if args.http:
        return Requests(args.http.hostname, args.http.port or HTTP_PORT)
    if args.listen:
        return Gateway(args.listen[0], args.listen[1], heard)
    if args.serial_port:
        return SerialPort(args.serial_port, heard)
    plain = args.binary or args.output.endswith(".bin")
    file = standard_output().buffer if args.output == "-" else Path(args.output).open("wb")  # noqa: SIM115 - the destination closes it
    return Recording(file, plain=plain, at_once=is_live)


def _target(args: argparse.Namespace) -> str:
    if args.http:
        return str(args.http.geturl())
    if args.listen:
        return ":".join(map(str, args.listen))
    return str(args.serial_port) if args.serial_port else "standard output" if args.output == "-" else args.output


def _option(problem: Problem) -> str:
    """Return a setting's name as an option, followed by the item if the mistake is in a list."""
    name = "meters" if problem.key == "count" else problem.key  # in a site.toml, `meters` is what every source may have
    return f"--{name.replace('_', '-')}: " if name else ""


def _split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _url(text: str) -> SplitResult:
    expected = "expected the URL of a source http, such as http://localhost:8080/TOKEN/"
    try:
        url = urlsplit(text)
        is_usable = url.scheme == "http" and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or url.query or url.fragment:
        raise argparse.ArgumentTypeError(f"{expected}, not {text!r}")
    return url


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, such as localhost:8083, not {text!r}")
    return host.removeprefix("[").removesuffix("]") or "localhost", int(port)
