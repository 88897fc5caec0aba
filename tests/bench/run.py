# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures speed and memory, beside a peer in the same run, and says what must be reached.

    nox -s bench                          # the table
    nox -s bench -- --json FILE           # and as JSON
    nox -s bench -- --compare REV         # and beside what the commit REV takes now
    nox -s bench -- --page                # and into docs/performance.md, with its charts

The peer is siobrultech-protocols, which Home Assistant reads these meters with. It decodes one packet, and calculates
power; what it does not do has no ratio. Processor time is what is measured, so that a busy machine does not lie, but
for waits. The median of several rounds counts, with the lowest and the highest.

What must be reached in packets a second or ms was set where the peer takes 163 µs for a packet; "reckoned" is the
median for such a machine, by what the peer takes beside the work.
"""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import backlog, compare, micro, stored, whole
from bench.growth import CHARTS
from bench.rows import Row, comparison, markdown, table

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = "pictures/performance"

PAGE = """# Performance

What one packet costs, and what must be reached. `nox -s bench -- --page` has written this page, on {date}, with
{python} on {machine}, beside a load of {load:.0f} from other programs. Times are of the processor (user and system),
but for those of waiting. The peer is siobrultech-protocols, which Home Assistant uses, in the same run.
What must be reached in packets a second or ms was set where the peer takes 163 µs for a packet; "reckoned" is the
median for such a machine, by what the peer takes beside the work.
What was decided is in [ADR 65](adr/0065-what-is-known-is-not-found-out-again.md) and
[ADR 72](adr/0072-a-burst-waits-for-the-sinks-that-keep-up.md).

{table}

## How the cost grows

{charts}
"""


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measures speed and memory, beside a peer in the same run.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows into a file, too")
    parser.add_argument("--compare", metavar="REV", help="measure an earlier commit as well, and say what has changed")
    parser.add_argument("--page", action="store_true", help="measure how the cost grows, and write docs/performance.md")
    parser.add_argument("--rounds", type=int, default=3, help="runs of the whole program for each row (default: 3)")
    parser.add_argument("--entries", type=int, default=stored.BACKLOG, help="entries of a journal that is full")
    return parser.parse_args()


def measure(given: argparse.Namespace) -> list[Row]:
    """Measure all rows; what an earlier commit cannot do is left out."""
    found: list[Row] = []
    late = partial(backlog.rows, given.entries)
    for part in (micro.rows, partial(stored.rows, given.entries), partial(whole.rows, given.rounds), late):
        try:
            found += part()
        except (ImportError, AttributeError, TypeError) as error:
            print(f"not measured: {error}", file=sys.stderr)
    return found


def write_page(rows: list[Row], load: float) -> None:
    """Write the page and its charts."""
    (DOCS / PICTURES).mkdir(parents=True, exist_ok=True)
    lines = []
    for name, make in CHARTS.items():
        chart = make()
        (DOCS / PICTURES / f"{name}.svg").write_text(chart.svg())
        lines.append(f"![{chart.title}: {chart.y_label}, over {chart.x_label}]({PICTURES}/{name}.svg)")
    date, python = datetime.now(UTC).date().isoformat(), f"Python {platform.python_version()}"
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    charts = "\n\n".join(lines)
    page = PAGE.format(date=date, python=python, machine=machine, load=load, table=markdown(rows), charts=charts)
    (DOCS / "performance.md").write_text(page)


def main() -> int:
    """Measure, and print."""
    given = options()
    load = os.getloadavg()[0]
    rows = measure(given)
    print(table(rows))
    if given.json:
        given.json.write_text(json.dumps([row.record() for row in rows], indent=1))
    if given.compare:
        before = compare.measure(given.compare, given.rounds, given.entries)
        print(f"\nbeside {given.compare}, measured now:\n{comparison(rows, before)}")
    if given.page:
        write_page(rows, load)
    return 0


if __name__ == "__main__":
    sys.exit(main())
