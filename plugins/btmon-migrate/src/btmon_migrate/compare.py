# SPDX-License-Identifier: GPL-3.0-or-later
"""`btcore compare`: lines up what btmon printed with what btcore has of the same packets."""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import attrs

from btcore import API, Command, LoadConfiguration
from btmon_migrate.differences import QUIRKS, Difference, find_differences
from btmon_migrate.pairing import Pair, pair_up
from btmon_migrate.printed import Log, read_log
from btmon_migrate.shadow import ShadowError, both_ways, replay, run_btcore

MARGIN = timedelta(minutes=15)
"""How much of the journal before the log is looked at, for the reading before its first."""

MAX_LINES = 20
"""Differences of no known reason that are shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `btcore compare`."""
    parser.add_argument("log", type=Path, metavar="LOG", help="what btmon -p printed, from its standard output")
    parser.add_argument(
        "--config", type=Path, default=Path("site.toml"), metavar="FILE", help="the site whose journal is compared"
    )
    parser.add_argument("--capture", type=Path, metavar="FILE", help="compare with this capture, not with a journal")
    parser.add_argument(
        "--polarity", choices=("btmon", "brultech"), help="the sign of btmon's numbers (default: the site's; btmon)"
    )
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(args: argparse.Namespace, load: LoadConfiguration) -> int:
    """Compare: 0 if it is safe to switch, 1 if not. Raises ShadowError."""
    log = _read(args.log)
    if not log.readings:
        raise ShadowError(
            f"{args.log} has no reading of btmon: expected what btmon -p prints, with lines such as Serial:"
        )
    with tempfile.TemporaryDirectory(prefix="btcore-compare-") as name:
        directory = Path(name)
        polarity = _capture(args, log, load, directory)
        pairs = pair_up(log.readings, replay(directory, polarity).readings)
        found = list(find_differences(pairs, log.remarks, both_ways(directory)))
    report = Report(pairs, found)
    sys.stdout.write(report.json() if args.json else "".join(f"{line}\n" for line in report.lines()))
    return 0 if report.is_safe else 1


COMPARE = Command(
    api=API,
    help="compare what btmon printed with what btcore has of the same packets",
    add_arguments=add_arguments,
    run=run,
)


@attrs.frozen
class Report:
    """What was found, for a person or a program."""

    pairs: Sequence[Pair]
    differences: Sequence[Difference]

    @property
    def unknown(self) -> list[Difference]:
        """The differences that no quirk explains."""
        return [one for one in self.differences if not one.quirk]

    @property
    def is_safe(self) -> bool:
        """Whether btcore has all that btmon had, and each difference is explained."""
        return not self.unknown

    @property
    def sentence(self) -> str:
        """What to do."""
        count = sum(pair.btmon is not None for pair in self.pairs)
        if self.is_safe:
            return f"Safe to switch: btcore has all {count} readings of btmon, and each difference is a known one."
        lacking = sum(one.what == "reading" for one in self.unknown)
        reasons = [f"btcore lacks {lacking} of {count} readings of btmon"] if lacking else []
        if numbers := len(self.unknown) - lacking:
            reasons.append(f"{numbers} numbers differ for no known reason")
        return f"Not safe to switch, because {' and '.join(reasons)}."

    def lines(self) -> Iterator[str]:
        """Yield the report, line by line: what is not explained, what is, and the sentence."""
        for one in self.unknown[:MAX_LINES]:
            yield f"{one}: no known reason"
        if len(self.unknown) > MAX_LINES:
            yield f"and {len(self.unknown) - MAX_LINES} more for no known reason"
        for quirk, count in sorted(Counter(one.quirk for one in self.differences if one.quirk).items()):
            example = next(one for one in self.differences if one.quirk == quirk)
            yield f"{quirk}: {count} x {QUIRKS[quirk]}; such as {example}"
        if self.pairs and all(pair.ours is None for pair in self.pairs):
            yield "btcore has none of these: is it the same meter, the same span of time, the same time zone (TZ)?"
        yield self.sentence

    def json(self) -> str:
        """Return it as JSON."""
        found = [{**attrs.asdict(one), "at": one.at.isoformat()} for one in self.differences]
        return json.dumps({"safe": self.is_safe, "sentence": self.sentence, "differences": found}, indent=1) + "\n"


def _read(file: Path) -> Log:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return read_log(stream)
    except OSError as error:
        raise ShadowError(f"{file}: {error.strerror}") from None


def _capture(args: argparse.Namespace, log: Log, load: LoadConfiguration, directory: Path) -> str:
    """Put what is compared into `capture.json`; return the polarity. Raises ShadowError."""
    capture = directory / "capture.json"
    if args.capture is None:
        site = load(args.config)
        first = min(one.at for one in log.readings) - MARGIN
        last = max(one.at for one in log.readings) + timedelta(minutes=1)
        words = ["--from", f"{first:%Y-%m-%dT%H:%M}", "--to", f"{last:%Y-%m-%dT%H:%M}", "--output", str(capture)]
        run_btcore("journal", "export", "--config", str(site.file.absolute()), *words, directory=Path.cwd())
        return args.polarity or next((table.polarity for table in site.tables if table.kind == "sink"), "btmon")
    try:
        shutil.copy2(args.capture, capture)  # with its time, from which a plain capture counts
    except OSError as error:
        raise ShadowError(f"{args.capture}: {error.strerror}") from None
    return args.polarity or "btmon"
