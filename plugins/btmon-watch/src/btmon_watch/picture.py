# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture: a site as lines of text for a window of some columns and rows. Pure; nothing is written here.

A row that does not fit is left out by its importance: the circuits stay longest, then what is wrong, then the rest.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
from rich.cells import cell_len
from rich.text import Text

from btmon_watch.site import Circuit, Sink, Site

FULL, PARTS = "█", " ▏▎▍▌▋▊▉"
"""A full cell of a bar, and its eighths."""

UNKNOWN, NOT_YET = "-", "…"
"""In place of a number: nobody knows it; it is being counted."""

POWER, TODAY = 11, 13
"""Columns of these numbers."""

MIN_NAME, MAX_NAME = 8, 28
MIN_BAR, MAX_BAR = 8, 80

MAX_PROBLEMS = 3
MIN_CIRCUITS = 4
"""Rows that circuits have before anything but the first line has one."""

COLOURS = {"ok": "green", "behind": "yellow", "waiting": "yellow", "failing": "bold red", "stopped": "bold red"}


@attrs.frozen
class View:
    """What is looked at: the size of the window (`rows` None: as many as are needed), how far down, which page."""

    columns: int
    rows: int | None = None
    scroll: int = 0
    is_health: bool = False


@attrs.frozen
class Picture:
    """The lines, and how far down one can go."""

    lines: tuple[Text, ...]
    max_scroll: int = 0


def draw(site: Site, view: View, now: datetime, failure: str = "") -> Picture:
    """Draw a site. `now` is aware, in the zone to show; `failure` says why nothing newer is known."""
    head = [_head(site, now, failure, view.columns)]
    body = _health(site) if view.is_health else _circuits(site, view.columns)
    below = [] if view.is_health else _below(site, view, now)
    keys = [] if view.rows is None else [Text(_keys(view), style="dim")]
    room = None if view.rows is None else max(view.rows - len(head), 0)
    problems = [] if view.is_health else [_problem(one) for one in site.problems[:MAX_PROBLEMS]]
    title = [] if view.is_health or not body else [_title(site.circuits, view.columns)]
    if room is not None:  # the last one that still fits stays
        least = min(MIN_CIRCUITS, len(body))
        problems = problems[: max(room - least, 0)]
        keys = keys if room - len(problems) - least >= 1 else []
        below = below[: max(room - len(problems) - len(keys) - least, 0)]
        title = title if room - len(problems) - len(keys) - len(below) > len(title) + least else []
        room -= len(problems) + len(keys) + len(below) + len(title)
    visible, max_scroll = _window(body, room, view.scroll)
    gap = [] if room is None else [Text()] * (room - len(visible))
    lines = [*head, *problems, *title, *visible, *gap, *below, *keys]
    for line in lines:
        line.truncate(view.columns, overflow="ellipsis")
    return Picture(tuple(lines if view.rows is None else lines[: view.rows]), max_scroll)


def _window(body: Sequence[Text], room: int | None, scroll: int) -> tuple[list[Text], int]:
    """Return the lines that fit, and how far down one can go; where some are left out, the last line says how many."""
    if room is None or len(body) <= room:
        return list(body), 0
    if room <= 1:
        return list(body[scroll : scroll + room]), len(body) - room
    most = len(body) - room + 1
    first = min(scroll, most)
    visible = list(body[first : first + room - 1])
    below = len(body) - first - len(visible)
    parts = [f"{first} above"] * bool(first) + [f"{below} below"] * bool(below)
    return [*visible, Text(f"  … {', '.join(parts)}", style="dim")], most


def _head(site: Site, now: datetime, failure: str, columns: int) -> Text:
    line = Text("btcore ", style="bold")
    line.append(f"{now:%H:%M:%S}" if columns < 40 else f"{now:%a %d %b %H:%M:%S}")  # noqa: PLR2004 - a narrow window
    if failure:
        line.append(f"  {failure}", style="bold red")
    elif site.heard is None:
        line.append("  no meter was heard yet", style="yellow")
    else:
        line.append(f"  last reading {_ago(now.timestamp() - site.heard)}", style="dim")
        if not site.is_complete:
            line.append("  counting today's energy", style="yellow")
    return line


def _problem(text: str) -> Text:
    return Text(f"! {text}", style="bold red")


@attrs.frozen
class Widths:
    """The columns of a circuit: of its name, its bar (0: none), and whether its energy of today has room."""

    name: int
    bar: int
    has_today: bool

    @classmethod
    def of(cls, circuits: Sequence[Circuit], columns: int) -> "Widths":
        """Return those for a window."""
        widest = max((cell_len(one.name) for one in circuits), default=0)
        name = min(max(widest, MIN_NAME), MAX_NAME, max(columns - POWER - 1, 1))
        bar = columns - name - POWER - TODAY - 3
        return cls(name, min(bar, MAX_BAR) if bar >= MIN_BAR else 0, columns > name + POWER + TODAY)

    def line(self, name: str, power: str, bar: Text, today: str) -> Text:
        """Put these into their columns."""
        line = Text(name)
        line.truncate(self.name, overflow="ellipsis", pad=True)
        line.append(f"{power:>{POWER}}", style="bold")
        if self.bar:
            line.append(" ").append_text(bar).append(" " * (self.bar - len(bar)))
        return line.append(f" {today:>{TODAY}}") if self.has_today else line


def _title(circuits: Sequence[Circuit], columns: int) -> Text:
    line = Widths.of(circuits, columns).line("circuit", "now", Text(), "today")
    line.stylize("dim not bold")
    return line


def _circuits(site: Site, columns: int) -> list[Text]:
    top = max((abs(one.watts or 0) for one in site.circuits), default=0)
    widths = Widths.of(site.circuits, columns)
    return [_circuit(one, widths, top, UNKNOWN if site.is_complete else NOT_YET) for one in site.circuits]


def _circuit(one: Circuit, widths: Widths, top: float, nothing: str) -> Text:
    power = "silent" if one.is_silent else UNKNOWN if one.watts is None else _number(one.watts, "W", 0)
    bar = Text(_bar(abs(one.watts or 0), top, widths.bar), style="green" if (one.watts or 0) < 0 else "cyan")
    today = nothing if one.wh_today is None else _number(one.wh_today / 1000, "kWh", 2)
    line = widths.line(one.name, power, bar, today)
    if one.is_silent:
        line.stylize("dim")
    return line


def _bar(value: float, top: float, columns: int) -> str:
    eighths = round(value / top * columns * 8) if top > 0 else 0
    return FULL * (eighths // 8) + (PARTS[eighths % 8] if eighths % 8 else "")


def _number(value: float, unit: str, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return f"{text.removeprefix('-') if not float(text.replace(',', '')) else text} {unit}"


def _below(site: Site, view: View, now: datetime) -> list[Text]:
    """Return what is below the circuits, the most important first: sinks, sources, sensors."""
    lines = [_part("sink", one, now) for one in site.sinks] + [_part("source", one, now) for one in site.sources]
    most = len(lines) if view.rows is None else max(view.rows // 4, 1)
    if len(lines) > most:
        bad = [line for line, one in zip(lines, (*site.sinks, *site.sources), strict=True) if one.state != "ok"]
        rest = len(lines) - most + 1
        lines = [*(bad + [line for line in lines if line not in bad])[: most - 1], Text(f"… {rest} more", style="dim")]
    return [*lines, Text("   ".join(site.sensors), style="dim")] if site.sensors else lines


def _part(kind: str, one: Sink, now: datetime) -> Text:
    line = Text(f"{kind} ", style="").append(one.name, style="bold").append(" ")
    line.append(one.state, style=COLOURS.get(one.state, ""))
    if one.waiting:
        since = f", for {_span((now - one.since).total_seconds())}" if one.since is not None else ""
        line.append(f"  {one.waiting:,} waiting{since}")
    if one.dead_letters:
        line.append(f"  {one.dead_letters:,} dead letter{'s' * (one.dead_letters > 1)}", style="yellow")
    return line


def _health(site: Site) -> list[Text]:
    return [Text(line, style="bold red" if line.startswith("! ") else "") for line in site.lines]


def _keys(view: View) -> str:
    other = "n now" if view.is_health else "h health"
    return f"q leave   {other}   ↑ ↓ scroll"


def _ago(seconds: float) -> str:
    return f"{_span(seconds)} ago" if seconds >= 1 else "just now"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def local_now() -> datetime:
    """Return the time now, in this computer's zone."""
    return datetime.now(UTC).astimezone()
