"""The panels of a sheet, as RRDtool's arguments: power, energy, temperatures, volts. Pure.

Import is what flows as to a load, export as from solar panels, whatever the site's polarity is. Which panels there are
is decided in `sheet.py`.
"""

from collections.abc import Iterable, Iterator, Sequence

import attrs

from btmon_rrd.curves import Curve, Directory, natural, source_of
from btmon_rrd.theme import Theme, fonts

LEGEND_ROW = 15
"""Pixels of a line below a graph."""

MARGIN = 62
"""Pixels of a graph beside what is drawn: title and time axis."""

WH = 3600
KILO = 1000

HOUR, DAY = 3600, 86_400


@attrs.frozen
class View:
    """What all panels have in common: the time, as RRDtool reads it, the width, the look; how long the time is."""

    start: str
    end: str
    width: int
    theme: Theme
    daemon: str = ""
    seconds: float = DAY

    def options(self, title: str, height: int, unit: str, legend_rows: int) -> list[str]:
        """Return the options of a graph; `height` is that of what is drawn, without title, axis and legend."""
        return [
            *("--start", self.start, "--end", self.end),
            *("--width", str(self.width), "--height", str(height + MARGIN + legend_rows * LEGEND_ROW)),
            *("--full-size-mode", "--imgformat", "PNG", "--title", title, "--vertical-label", unit),
            *("--border", "0", "--slope-mode", "--disable-rrdtool-tag", "--grid-dash", "1:0", "--units-length", "7"),
            *self.theme.colours(),
            *fonts(),
            *(("--daemon", self.daemon) if self.daemon else ()),
        ]

    @property
    def bar(self) -> int:
        """The seconds that a bar of energy covers."""
        return HOUR if self.seconds <= 3 * DAY else DAY


@attrs.frozen
class Total:
    """What a channel used in the time that is shown, in Wh."""

    curve: Curve
    bought: float
    sold: float

    @property
    def exports(self) -> bool:
        """Whether it fed in more than a sensor's noise."""
        return self.sold > 10 and self.sold > 0.01 * self.bought  # noqa: PLR2004 - 10 Wh, 1 %


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


def totals_of(curves: Sequence[Curve], view: View, directory: Directory) -> list[str]:
    """Return the arguments that print import and export of each channel in Ws, then the first and the last time."""
    found = ["--start", view.start, "--end", view.end, *(("--daemon", view.daemon) if view.daemon else ())]
    for index, curve in enumerate(curves):
        found += definitions(curve, index, directory)
        for way in ("i", "e"):
            found += [f"VDEF:{way}t{index}={way}{index},TOTAL", f"PRINT:{way}t{index}:%lf"]
    found += ["CDEF:time=i0,POP,TIME", "VDEF:first=time,MINIMUM", "VDEF:last=time,MAXIMUM"]
    return [*found, "PRINT:first:%lf", "PRINT:last:%lf"]


def flows(totals: Sequence[Total], view: View, directory: Directory, height: int) -> list[str]:
    """Return the panel of channels that feed in: import above zero, export below."""
    theme = view.theme
    found = view.options("Import and export", height, "kW", len(totals) * 2 + 1)
    for index, total in enumerate(totals):
        found += definitions(total.curve, index, directory)
        found += [f"CDEF:ki{index}=i{index},{KILO},/", f"CDEF:ke{index}=e{index},-{KILO},/"]
    found += [heading(view, "mean", "highest", "kWh")]
    colours = [(theme.bought, theme.sold), *((theme.channel(n), theme.channel(n + 1)) for n in range(5, 50, 2))]
    for index, total in enumerate(totals):
        bought, sold = colours[index]
        if total.bought > 10:  # noqa: PLR2004 - Wh
            found += flow(f"ki{index}", f"{total.curve.name}: import", bought, filled=index == 0)
            found += numbers(f"ki{index}", total.bought, "MAXIMUM")
        found += flow(f"ke{index}", f"{total.curve.name}: export", sold, filled=index == 0)
        found += numbers(f"ke{index}", -total.sold, "MINIMUM")
    return [*found, f"HRULE:0{theme.axis}"]


def flow(name: str, text: str, colour: str, *, filled: bool) -> list[str]:
    """Return a curve of power: filled, or a line."""
    legend = f"{padded(text)}"
    if filled:
        return [f"AREA:{name}{colour}99:{legend}", f"LINE1:{name}{colour}"]
    return [f"LINE1.6:{name}{colour}:{legend}"]


def loads(
    totals: Sequence[Total], view: View, directory: Directory, height: int, title: str = "Consumption"
) -> list[str]:
    """Return the panel of loads, stacked; the sum of the smallest is one."""
    shown = list(totals)
    found = view.options(title, height, "kW", len(shown) + 1)
    for index, total in enumerate(shown):
        found += definitions(total.curve, index, directory)
        found += [f"CDEF:k{index}=i{index},UN,0,i{index},{KILO},/,IF"]
    found += [heading(view, "mean", "highest", "kWh")]
    for index, total in enumerate(shown):
        stacked = ":STACK" if index else ""
        colour = view.theme.channel(index)
        found += [f"AREA:k{index}{colour}:{padded(total.curve.name)}{stacked}"]
        found += numbers(f"k{index}", total.bought, "MAXIMUM")
    return found


def energy(totals: Sequence[Total], view: View, directory: Directory, height: int) -> list[str]:
    """Return the panel of energy: a bar for each hour or day, import above zero, export below."""
    per = "hour" if view.bar == HOUR else "day"
    found = view.options(f"Energy of each {per}", height, "kWh", 2 if any(one.exports for one in totals) else 1)
    for index, total in enumerate(totals):
        found += definitions(total.curve, index, directory, view.bar)
    scale = f"{view.bar / WH / KILO},*"
    found += [f"CDEF:in={added('i', len(totals))},{scale}", f"CDEF:out={added('e', len(totals))},-1,*,{scale}"]
    bought, sold = (sum(getattr(one, way) for one in totals) for way in ("bought", "sold"))
    names = ", ".join(one.curve.name for one in totals)
    text = names if len(totals) <= 2 else "all channels"  # noqa: PLR2004 - as many as fit
    found += [f"AREA:in{view.theme.bought}CC:{padded(f'{text}: import')}", kwh(bought)]
    if sold:
        found += [f"AREA:out{view.theme.sold}CC:{padded(f'{text}: export')}", kwh(sold)]
    return [*found, f"HRULE:0{view.theme.axis}", "--no-gridfit"]


def lines(curves: Sequence[Curve], view: View, height: int, title: str, unit: str, number: str) -> list[str]:
    """Return a panel of a line for each sensor."""
    found = view.options(title, height, unit, len(curves) + 1)
    found += ["--alt-autoscale", "--alt-y-grid"]
    for index, curve in enumerate(curves):
        ((label, path),) = list(curve.files.items())[:1]
        found.append(f"DEF:v{index}={escaped(str(path))}:{source_of(label)}:AVERAGE")
    found.append(heading(view, "lowest", "mean", "highest", "last"))
    for index, curve in enumerate(curves):
        found.append(f"LINE1.6:v{index}{view.theme.channel(index)}:{padded(curve.name)}")
        for name, function in (("MINIMUM", "n"), ("AVERAGE", "a"), ("MAXIMUM", "x"), ("LAST", "l")):
            found += [f"VDEF:{function}{index}=v{index},{name}", f"GPRINT:{function}{index}:{number}"]
        found[-1] += "\\l"
    return found


def heading(view: View, *names: str) -> str:
    """Return the line above the numbers of a legend."""
    del view
    return f"COMMENT:{' ' * (NAME + 3)}{''.join(f'{name:>{NUMBER}}' for name in names)}\\l"


NAME = 26
NUMBER = 11
"""Characters of a name, and of a number, below a graph."""


def padded(name: str) -> str:
    """Return a name for a legend, as wide as the others."""
    return escaped(f"{name[:NAME]:<{NAME}}")


def numbers(name: str, watt_hours: float, extreme: str) -> list[str]:
    """Return mean, highest value and energy of a curve, as a legend's line ends."""
    return [
        f"VDEF:a{name}={name},AVERAGE",
        f"VDEF:x{name}={name},{extreme}",
        f"GPRINT:a{name}:%{NUMBER - 3}.2lf kW",
        f"GPRINT:x{name}:%{NUMBER - 3}.2lf kW",
        kwh(abs(watt_hours)),
    ]


def kwh(watt_hours: float) -> str:
    """Return energy at the end of a legend's line."""
    return f"COMMENT:{watt_hours / KILO:{NUMBER}.2f}\\l"


def added(way: str, count: int) -> str:
    """Return the sum of channels, as RRDtool reads it: what is unknown counts as 0."""
    return ",".join(f"{way}{index}" for index in range(count)) + ",ADDNAN" * (count - 1)


def escaped(text: str) -> str:
    """Return text for an argument of RRDtool, whose colons end a part of it."""
    return text.replace("\\", "\\\\").replace(":", "\\:")


def by_name(curves: Iterable[Curve]) -> list[Curve]:
    """Return curves in the order of meters and channels."""
    return sorted(curves, key=lambda curve: natural(curve.key))
