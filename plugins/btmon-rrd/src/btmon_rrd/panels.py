# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels of a sheet, as RRDtool's arguments: power, energy, temperatures, volts. Pure.

Import is what flows as to a load, export as from solar panels, whatever the site's polarity is. Which panels there are
is decided in `sheet.py`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import attrs

from btmon_rrd.curves import Curve, Directory, source_of
from btmon_rrd.theme import Theme, fonts

LEGEND_ROW = 15
"""Pixels of a line below a graph."""

MARGIN = 62
"""Pixels of a graph beside what is drawn: title and time axis."""

WH = 3600
KILO = 1000

MAX_LOADS = 11
"""The most loads that are shown, the sum of the smallest among them: as many as there are colours."""

NOISE = 0.02
"""The part of a channel's energy that a sensor may show the other way."""

HOUR, DAY = 3600, 86_400


@attrs.frozen
class View:
    """What all panels have in common: the time, as RRDtool reads it, the width, the look; how long the time is."""

    start: str
    end: str
    width: int
    theme: Theme
    daemon: str = ""
    first: float = 0.0
    last: float = 0.0
    """The first and the last second that is shown, once it is known."""

    def options(self, title: str, height: int, unit: str, legend_rows: int) -> list[str]:
        """Return the options of a graph; `height` is that of what is drawn, without title, axis and legend."""
        return [
            *("--start", self.start, "--end", self.end),
            *("--width", str(self.width), "--height", str(height + MARGIN + legend_rows * LEGEND_ROW)),
            *("--full-size-mode", "--imgformat", "PNG", "--title", title, "--vertical-label", unit),
            *("--border", "0", "--slope-mode", "--disable-rrdtool-tag", "--grid-dash", "1:0", "--units-length", "7"),
            *(("--units-exponent", "0") if unit.startswith("kW") else ()),
            *self.theme.colours(),
            *fonts(),
            *(("--daemon", self.daemon) if self.daemon else ()),
        ]

    @property
    def bar(self) -> int:
        """The seconds that a bar of energy covers."""
        return HOUR if self.last - self.first <= 3 * DAY else DAY

    @property
    def dates(self) -> str:
        """The days that are shown, for a title."""
        last = self.last - (self.last - self.first) / 100  # RRDtool shows the begin of the next step
        times = [datetime.fromtimestamp(at).astimezone() for at in (self.first, last)]
        days = [f"{at:%A}, {at.day} {at:%B %Y}" for at in times]
        return " to ".join(dict.fromkeys(days)) if self.last else ""


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


def definitions(curve: Curve, index: int, directory: Directory, step: int = 0) -> Iterator[str]:
    """Yield what defines a channel's import and export in W: `i0` and `e0` for the first, and so on."""
    reduced = f":step={step}" if step else ""
    absolute = one_way = ""
    for label, path in curve.files.items():
        name = f"{label.rpartition('_')[2]}{index}"
        yield f"DEF:{name}={escaped(str(path))}:{source_of(label)}:AVERAGE{reduced}"
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
    """Return the arguments that print of each channel import and export in Ws and the highest W; then begin and end."""
    found = ["--start", view.start, "--end", view.end, *(("--daemon", view.daemon) if view.daemon else ())]
    for index, curve in enumerate(curves):
        found += definitions(curve, index, directory)
        for way in ("i", "e"):
            found += [f"VDEF:{way}t{index}={way}{index},TOTAL", f"PRINT:{way}t{index}:%lf"]
        found += [f"VDEF:x{index}=i{index},MAXIMUM", f"PRINT:x{index}:%lf"]
    found += ["CDEF:time=i0,POP,TIME", "VDEF:first=time,MINIMUM", "VDEF:last=time,MAXIMUM"]
    return [*found, "PRINT:first:%lf", "PRINT:last:%lf"]


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
    found += [heading("mean", "highest", "energy")]
    made = [index for index, total in enumerate(totals) if total.only_exports]
    both = [index for index, total in enumerate(totals) if not total.only_exports]
    for rank, index in enumerate(made):
        colour = theme.made if not rank else theme.channel(rank + 4)
        found += filled(f"ke{index}", f"{totals[index].curve.name}: generation", colour, totals[index].sold)
    for rank, index in enumerate(both):
        bought, sold = (
            (theme.bought, theme.sold) if not rank else (theme.channel(2 * rank), theme.channel(2 * rank + 1))
        )
        found += filled(f"ki{index}", f"{totals[index].curve.name}: import", bought, totals[index].bought)
        found += filled(f"kn{index}", f"{totals[index].curve.name}: export", sold, totals[index].sold)
    return [*found, f"HRULE:0{theme.axis}"]


def filled(name: str, text: str, colour: str, watt_hours: float) -> list[str]:
    """Return a curve of power, filled down or up to zero, and its line of the legend."""
    extreme = "MINIMUM" if name.startswith("kn") else "MAXIMUM"
    return [
        f"AREA:{name}{colour}80:{padded(text)}",
        f"LINE1:{name}{colour}",
        *numbers(name, watt_hours, extreme),
    ]


def loads(totals: Sequence[Total], view: View, directory: Directory, height: int, title: str) -> list[str]:
    """Return the panel of loads, stacked, the steadiest at the bottom; the smallest of many are one."""
    many = len(totals) > MAX_LOADS
    single, rest = (totals[: MAX_LOADS - 1], totals[MAX_LOADS - 1 :]) if many else (totals, [])
    single = sorted(single, key=lambda one: -one.bought / max(one.highest, 1))
    found = view.options(title, height, "kW", len(single) + bool(rest) + 1)
    for index, total in enumerate([*single, *rest]):
        found += definitions(total.curve, index, directory)
        found += [f"CDEF:k{index}=i{index},UN,0,i{index},{KILO},/,IF"]
    found += [heading("mean", "highest", "energy")]
    rows = [(f"k{index}", total.curve.name, total.bought) for index, total in enumerate(single)]
    if rest:
        found.append(f"CDEF:rest={added('k', range(len(single), len(totals)))}")
        rows.append(("rest", f"{len(rest)} others", sum(one.bought for one in rest)))
    for index, (name, text, watt_hours) in enumerate(rows):
        stacked = ":STACK" if index else ""
        found += [f"AREA:{name}{view.theme.channel(index)}D0:{padded(text)}{stacked}"]
        found += numbers(name, watt_hours, "MAXIMUM")
    return found


def feeds_the_others(totals: Sequence[Total], view: View, directory: Directory) -> list[str]:
    """Return the arguments that print by how many W the first channel is above the sum of the others, nearly always."""
    found = ["--start", view.start, "--end", view.end, *(("--daemon", view.daemon) if view.daemon else ())]
    for index, total in enumerate(totals):
        found += definitions(total.curve, index, directory)
    others = ",".join(f"i{index}" for index in range(1, len(totals))) + ",ADDNAN" * (len(totals) - 2)
    return [*found, f"CDEF:above=i0,{others},-", "VDEF:mostly=above,5,PERCENTNAN", "PRINT:mostly:%lf"]


def energy(totals: Sequence[Total], view: View, directory: Directory, height: int) -> list[str]:
    """Return the panel of energy: a bar for each hour or day, import above zero, export below, generation as a line."""
    per = "hour" if view.bar == HOUR else "day"
    both = [index for index, total in enumerate(totals) if not total.only_exports]
    made = [index for index, total in enumerate(totals) if total.only_exports]
    found = view.options(f"Energy of each {per}", height, "kWh", 4)
    for index, total in enumerate(totals):
        found += definitions(total.curve, index, directory, view.bar)
    scale = f"{view.bar / WH / KILO},*"
    names = ", ".join(totals[index].curve.name for index in both)
    text = f"{names}: " if len(both) <= 2 else ""  # noqa: PLR2004 - as many as fit
    found.append(heading("energy"))
    bought, sold = (sum(getattr(totals[index], way) for index in both) for way in ("bought", "sold"))
    if both:
        found += [f"CDEF:in={added('i', both)},{scale}", f"CDEF:out={added('e', both)},-1,*,{scale}"]
        found += [f"AREA:in{view.theme.bought}B0:{padded(f'{text}import')}", energy_text(bought)]
    if sold > 1:
        found += [f"AREA:out{view.theme.sold}B0:{padded(f'{text}export')}", energy_text(sold)]
    if made:
        generated = sum(totals[index].sold for index in made)
        found += [f"CDEF:made={added('e', made)},{scale}"]
        found += [f"LINE2:made{view.theme.made}:{padded('generation')}", energy_text(generated)]
    return [*found, f"HRULE:0{view.theme.axis}"]


def lines(curves: Sequence[Curve], view: View, height: int, title: str, unit: str, number: str) -> list[str]:
    """Return a panel of a line for each sensor."""
    found = view.options(title, height, unit, len(curves) + 1)
    found += ["--alt-autoscale", "--alt-y-grid"]
    for index, curve in enumerate(curves):
        ((label, path),) = list(curve.files.items())[:1]
        found.append(f"DEF:v{index}={escaped(str(path))}:{source_of(label)}:AVERAGE")
    found.append(heading("lowest", "mean", "highest", "last"))
    for index, curve in enumerate(curves):
        found.append(f"LINE1.6:v{index}{view.theme.channel(index)}:{padded(curve.name)}")
        for name, function in (("MINIMUM", "n"), ("AVERAGE", "a"), ("MAXIMUM", "x"), ("LAST", "l")):
            found += [f"VDEF:{function}{index}=v{index},{name}", f"GPRINT:{function}{index}:{number}"]
        found[-1] += "\\l"
    return found


NAME = 30
NUMBER = 15
"""Characters of a name, and of a number with the space that RRDtool puts before it, below a graph."""


def heading(*names: str) -> str:
    """Return the line above the numbers of a legend."""
    return f"COMMENT:{' ' * (NAME + 4)}{''.join(f'{name:>{NUMBER}}' for name in names)}\\l"


def padded(name: str) -> str:
    """Return a name for a legend, as wide as the others."""
    return escaped(f" {name[:NAME]:<{NAME}}")


def numbers(name: str, watt_hours: float, extreme: str) -> list[str]:
    """Return mean, highest value and energy of a curve, as a legend's line ends."""
    return [
        f"VDEF:a{name}={name},AVERAGE",
        f"VDEF:x{name}={name},{extreme}",
        f"GPRINT:a{name}:%{NUMBER - 5}.2lf kW",
        f"GPRINT:x{name}:%{NUMBER - 5}.2lf kW",
        energy_text(watt_hours),
    ]


def energy_text(watt_hours: float) -> str:
    """Return energy at the end of a legend's line."""
    return f"COMMENT:{watt_hours / KILO:{NUMBER - 5}.2f} kWh\\l"


def added(way: str, indexes: Sequence[int]) -> str:
    """Return the sum of channels, as RRDtool reads it: what is unknown counts as 0."""
    return ",".join(f"{way}{index}" for index in indexes) + ",ADDNAN" * (len(indexes) - 1)


def escaped(text: str) -> str:
    """Return text for an argument of RRDtool, whose colons end a part of it."""
    return text.replace("\\", "\\\\").replace(":", "\\:")
