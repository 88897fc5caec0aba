# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of a sheet, as RRDtool's arguments: power, temperatures, volts. Pure. Those of energy are `energy.py`'s.

Import is what flows as to a load, export as from solar panels, whatever the site's polarity is. Which panels there are
is decided in `sheet.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import attrs

from btmon_rrd.calendar import Span, grid, shown_end
from btmon_rrd.curves import Curve, Directory, source_of
from btmon_rrd.legend import KILO, Legend, escaped, legend_of
from btmon_rrd.theme import Theme, fonts

LEGEND_ROW = 15
"""Pixels of a line below a graph."""

BESIDE = 96
"""Pixels beside what is drawn: the numbers of the vertical axis, and a little on the right."""

MARGIN = 62
"""Pixels of a graph beside what is drawn: title and time axis."""

WH = 3600

MAX_LOADS = 11
"""The most loads that are shown, the sum of the smallest among them: as many as there are colours."""

LITTLE = 0.01
"""The part of all energy below which a load used next to nothing."""

NOISE = 0.02
"""The part of a channel's energy that a sensor may show the other way."""


@attrs.frozen
class View:
    """What all panels have in common: the time, as RRDtool reads it, the width, the look; how long the time is."""

    start: str
    end: str
    width: int
    theme: Theme
    daemon: str = ""
    first: float = 0.0
    last: float = 1.0
    """The seconds between which it is, once RRDtool has said them."""

    @property
    def plot_width(self) -> int:
        """The pixels of what is drawn, without what stands beside it."""
        return self.width - BESIDE

    def times(self) -> list[str]:
        """Return the options of a graph that is not drawn."""
        return ["--start", self.start, "--end", self.end, *(("--daemon", self.daemon) if self.daemon else ())]

    def options(self, title: str, height: int, unit: str, legend_rows: int) -> list[str]:
        """Return the options of a graph; `height` is that of what is drawn, without title, axis and legend."""
        return [
            *("--start", self.start, "--end", str(shown_end(self.first, self.last, self.plot_width))),
            *("--width", str(self.width), "--height", str(height + MARGIN + legend_rows * LEGEND_ROW)),
            *("--full-size-mode", "--imgformat", "PNG", "--title", title, "--vertical-label", unit),
            *("--border", "0", "--slope-mode", "--disable-rrdtool-tag", "--grid-dash", "1:0", "--units-length", "7"),
            *("--x-grid", grid(self.first, self.last, self.plot_width)),
            *(("--units-exponent", "0") if unit.startswith("kW") else ()),
            *self.theme.colours(),
            *fonts(self.legend),
            *(("--daemon", self.daemon) if self.daemon else ()),
        ]

    @property
    def legend(self) -> Legend:
        """How wide the columns below a graph are."""
        return legend_of(self.width)

    @property
    def dates(self) -> str:
        """The days that are shown, for a title."""
        times = [datetime.fromtimestamp(at).astimezone() for at in (self.first, max(self.last - 1, self.first))]
        day, month = ("%A", "%B") if self.legend.is_wide else ("%a", "%b")
        days = [f"{at.strftime(day)}, {at.day} {at.strftime(month)} {at.year}" for at in times]
        return " to ".join(dict.fromkeys(days))


@attrs.frozen
class Total:
    """What a channel used in the time that is shown, in Wh, and the most that it drew, in W."""

    curve: Curve
    bought: float
    sold: float
    highest: float

    @property
    def exports(self) -> bool:
        """Whether it fed in more than a sensor's noise."""
        return self.sold > NOISE * max(self.bought, KILO)

    @property
    def only_exports(self) -> bool:
        """Whether it took next to nothing, as solar panels do."""
        return self.exports and self.bought < NOISE * self.sold


def definitions(curve: Curve, index: int, directory: Directory, span: Span | None = None) -> Iterator[str]:
    """Yield what defines a channel's import and export in W: `i0` and `e0` for the first, and so on.

    With a `span`, only what is between its begin and its end.
    """
    within = f":step=1:start={span.begin}:end={span.end - 1}" if span else ""
    absolute = one_way = ""
    for label, path in curve.files.items():
        name = f"{label.rpartition('_')[2]}{index}"
        yield f"DEF:{name}={escaped(str(path))}:{source_of(label)}:AVERAGE{within}"
        absolute = name if label.endswith(("_aws", "_ws")) else absolute
        one_way = name if label.endswith("_pws") else one_way
        if label.endswith("_w"):
            sign = "-1,*," if directory.polarity == "btmon" else ""
            yield f"CDEF:i{index}={name},{sign}0,MAX"
            yield f"CDEF:e{index}={name},-1,*,{sign}0,MAX"
    if one_way:
        yield f"CDEF:e{index}={one_way},1,*"
        yield f"CDEF:i{index}={absolute},{one_way},-,0,MAX" if absolute else f"CDEF:i{index}={one_way},0,*"
    elif absolute:
        yield f"CDEF:i{index}={absolute},1,*"
        yield f"CDEF:e{index}={absolute},0,*"


def reading_of(path: Path, label: str, view: View) -> list[str]:
    """Return the arguments that do nothing but read one file."""
    daemon = ("--daemon", view.daemon) if view.daemon else ()
    return [
        *("--start", "-1h", "--end", "now", *daemon, f"DEF:a={escaped(str(path))}:{source_of(label)}:AVERAGE"),
        *("VDEF:last=a,LAST", "PRINT:last:%lf"),
    ]


def totals_of(curves: Sequence[Curve], view: View, directory: Directory) -> list[str]:
    """Return the arguments that print of each channel import and export in Ws, and the highest W."""
    found = view.times()
    for index, curve in enumerate(curves):
        found += [*definitions(curve, index, directory), *totals_printed(index)]
        found += [f"VDEF:x{index}=i{index},MAXIMUM", f"PRINT:x{index}:%lf"]
    return found


def totals_printed(index: int) -> list[str]:
    """Return what prints import and export of a channel that is defined, in Ws."""
    return [
        text for way in ("i", "e") for text in (f"VDEF:{way}t{index}={way}{index},TOTAL", f"PRINT:{way}t{index}:%lf")
    ]


def flows(totals: Sequence[Total], view: View, directory: Directory, height: int) -> list[str]:
    """Return the panel of channels that feed in: generation and import above zero, export below."""
    theme = view.theme
    found = view.options(f"Power  ·  {view.dates}", height, "kW", len(totals) * 2 + 1)
    for index, total in enumerate(totals):
        found += definitions(total.curve, index, directory)
        found += [
            f"CDEF:ki{index}=i{index},{KILO},/",
            f"CDEF:ke{index}=e{index},{KILO},/",
            f"CDEF:kn{index}=ke{index},-1,*",
        ]
    found += [view.legend.heading("mean", "highest", "energy")]
    made = [index for index, total in enumerate(totals) if total.only_exports]
    both = [index for index, total in enumerate(totals) if not total.only_exports]
    for rank, index in enumerate(made):
        colour = theme.made if not rank else theme.channel(rank + 4)
        found += filled(
            view.legend,
            f"ke{index}",
            f"{totals[index].curve.name}: generation",
            colour,
            f"ke{index}",
            totals[index].sold,
        )
    for rank, index in enumerate(both):
        bought, sold = (
            (theme.bought, theme.sold) if not rank else (theme.channel(2 * rank), theme.channel(2 * rank + 1))
        )
        name = totals[index].curve.name
        found += filled(view.legend, f"ki{index}", f"{name}: import", bought, f"ki{index}", totals[index].bought)
        found += filled(view.legend, f"kn{index}", f"{name}: export", sold, f"ke{index}", totals[index].sold)
    return [*found, f"HRULE:0{theme.axis}"]


def filled(legend: Legend, name: str, text: str, colour: str, flow: str, watt_hours: float) -> list[str]:
    """Return a curve of power, filled down or up to zero, and its line of the legend, with the numbers of a flow."""
    return [f"AREA:{name}{colour}80:{legend.padded(text)}", f"LINE1:{name}{colour}", *legend.power(flow, watt_hours)]


def loads(totals: Sequence[Total], view: View, directory: Directory, height: int, title: str) -> list[str]:
    """Return the panel of loads, stacked, the steadiest at the bottom, on top what used next to nothing.

    The smallest of many are one.
    """
    many = len(totals) > MAX_LOADS
    single, rest = (totals[: MAX_LOADS - 1], totals[MAX_LOADS - 1 :]) if many else (totals, [])
    little = LITTLE * sum(one.bought for one in totals)
    single = sorted(single, key=lambda one: (one.bought < little, -one.bought / max(one.highest, 1)))
    found = [*view.options(title, height, "kW", len(single) + bool(rest) + 1), "--lower-limit", "0"]
    for index, total in enumerate([*single, *rest]):
        found += definitions(total.curve, index, directory)
        found += [f"CDEF:k{index}=i{index},UN,0,i{index},{KILO},/,IF"]
    found += [view.legend.heading("mean", "highest", "energy")]
    rows = [(f"k{index}", total.curve.name, total.bought) for index, total in enumerate(single)]
    if rest:
        found.append(f"CDEF:rest={added('k', range(len(single), len(totals)))}")
        rows.append(("rest", f"{len(rest)} others", sum(one.bought for one in rest)))
    for index, (name, text, watt_hours) in enumerate(rows):
        stacked = ":STACK" if index else ""
        found += [f"AREA:{name}{view.theme.channel(index)}D0:{view.legend.padded(text)}{stacked}"]
        found += view.legend.power(name, watt_hours)
    return found


def feeds_the_others(totals: Sequence[Total], view: View, directory: Directory) -> list[str]:
    """Return the arguments that print by how many W the first channel is above the sum of the others, nearly always."""
    found = view.times()
    for index, total in enumerate(totals):
        found += definitions(total.curve, index, directory)
    others = ",".join(f"i{index}" for index in range(1, len(totals))) + ",ADDNAN" * (len(totals) - 2)
    return [*found, f"CDEF:above=i0,{others},-", "VDEF:mostly=above,5,PERCENTNAN", "PRINT:mostly:%lf"]


def lines(curves: Sequence[Curve], view: View, height: int, title: str, unit: str, digits: int) -> list[str]:
    """Return a panel of a line for each sensor."""
    found = view.options(title, height, unit, len(curves) + 1)
    found += ["--alt-autoscale", "--alt-y-grid"]
    for index, curve in enumerate(curves):
        ((label, path),) = list(curve.files.items())[:1]
        found.append(f"DEF:v{index}={escaped(str(path))}:{source_of(label)}:AVERAGE")
    found.append(view.legend.heading("lowest", "mean", "highest", "last"))
    for index, curve in enumerate(curves):
        found.append(f"LINE1.6:v{index}{view.theme.channel(index)}:{view.legend.padded(curve.name)}")
        found += view.legend.measured(f"v{index}", digits, unit)
    return found


def added(way: str, indexes: Sequence[int]) -> str:
    """Return the sum of channels, as RRDtool reads it: what is unknown counts as 0."""
    return ",".join(f"{way}{index}" for index in indexes) + ",ADDNAN" * (len(indexes) - 1)
