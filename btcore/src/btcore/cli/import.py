# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore import`: brings files into the journal, while the program runs or stands still."""

import argparse
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from btcore.cli import FAILING, OK, add_config_option, config_of
from btcore.cli.naming import naming_of
from btcore.config.load import load_site
from btcore.config.site import Site
from btcore.control.client import NotRunning, ask
from btcore.errors import Unavailable
from btcore.import_progress import ImportProgress
from btcore.imports.csv_file import is_label
from btcore.logs.handler import say
from btcore.runtime import state_directory
from btcore.runtime.at_rest import mending_at_rest
from btcore.settings import Polarity
from btcore.text import plural

PATIENCE = 600.0
"""Seconds to wait for the running program's next answer."""

Answer = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="a capture, a log of btmon, or a CSV; oldest first")
    add_config_option(parser)
    parser.add_argument("--live", action="store_true", help="hosted services get it too")
    parser.add_argument("--zone", metavar="ZONE", help="of times without one, such as America/New_York")
    parser.add_argument("--serial", metavar="SERIAL", help="the meter of a CSV that names none")
    parser.add_argument(
        "--column", action="append", default=[], metavar="NAME=LABEL", help="of a CSV: a column and what it has"
    )
    parser.add_argument("--time-format", metavar="FORMAT", help="of a CSV: its times, such as '%%m/%%d/%%Y %%H:%%M'")
    parser.add_argument("--polarity", choices=get_args(Polarity), help="the sign of its energy (default: the site's)")


def main(args: argparse.Namespace) -> int:
    """Bring the files in; return 0, or 1 where one has no reading. Raises Unavailable, WrongUse."""
    site = load_site(config_of(args))
    state_directory.check(site.state, site.file)
    request = {
        "files": [str(Path(name).absolute()) for name in args.files],
        "live": args.live,
        "zone": args.zone,
        "serial": naming_of(site).serial(args.serial) if args.serial else "",
        "columns": _columns(args),
        "time_format": args.time_format,
        "polarity": args.polarity,
    }
    progress = ImportProgress(_size(args.files), logging.getLogger("btcore"), "import", unit="bytes")
    finished = list(_finished(_answers(site, request), progress))
    progress.finish()
    for answer in finished:
        _report(answer)
    if len(finished) < len(args.files):
        raise Unavailable("btcore stops: import again what is left; what is there already is not added")
    return OK if all(one["readings"] for one in finished) else FAILING


def _columns(args: argparse.Namespace) -> dict[str, str]:
    """Return the labels of columns by their names. Ends with the usage for what is none."""
    columns = {}
    for text in args.column:
        name, _, label = text.rpartition("=")
        if not name or not is_label(label):
            args.usage(
                f"--column {text}: expected NAME=LABEL with a label such as time, serial, volts, ch1_kwh or ch1_w;"
                " docs/importing.md has all"
            )
        columns[name.strip()] = label
    return columns


def _size(names: list[str]) -> int:
    return sum(path.stat().st_size for path in map(Path, names) if path.is_file())


def _answers(site: Site, request: Answer) -> Iterator[Answer]:
    try:
        yield from ask(site.state, "import", PATIENCE, **request)
    except NotRunning:
        with mending_at_rest(site, may_create=True) as mending:
            yield from mending.import_files(request)


def _finished(answers: Iterator[Answer], progress: ImportProgress) -> Iterator[Answer]:
    """Yield the last answer of each file; show how far it is meanwhile."""
    before = 0
    for answer in answers:
        progress.add(before + answer["done"] - progress.done)
        if answer["finished"]:
            before += answer["done"]
            yield answer


def _report(answer: Answer) -> None:
    name = Path(answer["file"]).name
    for text in answer["reported"]:
        say(text)
    if (more := answer["unread"] - len(answer["reported"])) > 0:
        say(f"{name}: {more} more of these")
    refused = f", {answer['refused']} refused" if answer["refused"] else ""
    new = f"{answer['kept']} new, {answer['duplicates']} already there"
    say(f"{name}: {plural(answer['readings'], 'reading')}; {new}{refused}")
    if not answer["readings"]:
        say(f"btcore decode {name} shows what is in a capture; docs/importing.md has the kinds of files")
