# SPDX-License-Identifier: GPL-3.0-or-later
"""A sheet: which panels it has, in which order and height, put below each other."""

from collections.abc import Sequence
from math import isnan

import attrs

from btmon_rrd import panels
from btmon_rrd.calendar import divide
from btmon_rrd.curves import Curve, Directory, GraphError
from btmon_rrd.energy import bars_of, bars_printed, energy
from btmon_rrd.panels import Total, View
from btmon_rrd.png import stack
from btmon_rrd.render import CANNOT, draw, measure, shown_time

LEAST = 1.0
"""Wh below which a channel used nothing."""

FEWEST_BARS = 3

MOST_MEASURED = 500
"""Energies that RRDtool is asked for at once: a command line is bounded."""

ABOVE = -20.0
"""W by which the power of a channel that feeds all others may seem to be below theirs."""


def draw_sheet(curves: Sequence[Curve], view: View, directory: Directory, height: int) -> bytes:
    """Return a PNG of all that there is of these curves. Raises GraphError."""
    arguments = sheet(curves, view, directory, height)
    if not arguments:
        raise GraphError("these channels measured nothing in this time")
    return stack([draw(one) for one in arguments])


def damage(curve: Curve, view: View) -> list[str]:
    """Return what is wrong with the files of a curve: a line for each that RRDtool cannot read."""
    found = []
    for label, path in curve.files.items():
        try:
            measure(panels.reading_of(path, label, view))
        except GraphError as error:
            reason = str(error).removeprefix(CANNOT)
            if reason == str(error) or "connect" in reason:
                return []  # without RRDtool, or rrdcached, no file can be read
            found.append(f"{path} cannot be read ({reason}): move it away, or restore it")
    return found


def sheet(curves: Sequence[Curve], view: View, directory: Directory, height: int) -> list[list[str]]:
    """Return the panels of a sheet, each as RRDtool's arguments. `height` is that of the largest."""
    first, last = shown_time(view.times())
    view = attrs.evolve(view, first=first, last=last)
    small = height * 2 // 3
    found = power_panels([one for one in curves if one.quantity == "power"], view, directory, height)
    for quantity, title, unit, digits in (
        ("temperature", "Temperature", "°", 1),
        ("volts", "Voltage", "V", 1),
        ("amperes", "Current", "A", 2),
        ("pulses", "Pulses a second", "", 3),
        ("other", "Further numbers", "", 2),
    ):
        some = [one for one in curves if one.quantity == quantity]
        if some:
            found.append(panels.lines(some, view, small, title, unit, digits))
    return found


def power_panels(curves: Sequence[Curve], view: View, directory: Directory, height: int) -> list[list[str]]:
    """Return the panels of power and energy of the channels that used or made any."""
    totals = [one for one in measured(curves, view, directory) if one.bought + one.sold > LEAST]
    feeding = sorted((one for one in totals if one.exports), key=lambda one: one.only_exports)
    using = sorted((one for one in totals if not one.exports), key=lambda one: -one.bought)
    mains = using[:1] if not feeding and is_mains(using, view, directory) else []
    found = []
    if feeding:
        found.append(panels.flows(feeding, view, directory, height))
    if mains:
        found.append(panels.loads(mains, view, directory, height, f"Power  ·  {view.dates}"))
    if loads := using[len(mains) :]:
        title = "Consumption" if found else f"Power  ·  {view.dates}"
        found.append(panels.loads(loads, view, directory, height, title))
    if metered := feeding or mains or using:
        found += energy_panel(metered, view, directory, height // 2)
    return found


def energy_panel(totals: Sequence[Total], view: View, directory: Directory, height: int) -> list[list[str]]:
    """Return the panel of energy; none where there would be a bar or two."""
    spans = divide(view.first, view.last)
    if len(spans) < FEWEST_BARS:
        return []
    at_once = max(MOST_MEASURED // len(totals), 1)
    printed: list[float] = []
    for first in range(0, len(spans), at_once):
        some = spans[first : first + at_once]
        printed += map(_number, measure(bars_printed(totals, some, view, directory)))
    return [energy(totals, list(bars_of(totals, spans, printed)), view, directory, height)]


def is_mains(using: Sequence[Total], view: View, directory: Directory) -> bool:
    """Whether the largest of several loads is what feeds the others, so that it must not be added to them."""
    if len(using) < 3:  # noqa: PLR2004 - of two, nothing can be said
        return False
    return _number(measure(panels.feeds_the_others(using, view, directory))[0]) > ABOVE


def measured(curves: Sequence[Curve], view: View, directory: Directory) -> list[Total]:
    """Return what each channel used in the time that is shown."""
    if not curves:
        return []
    printed = list(map(_number, measure(panels.totals_of(curves, view, directory))))
    of_each = zip(printed[::3], printed[1::3], printed[2::3], strict=True)
    return [
        Total(curve, bought / panels.WH, sold / panels.WH, highest)
        for curve, (bought, sold, highest) in zip(curves, of_each, strict=True)
    ]


def _number(text: str) -> float:
    """Return a number that RRDtool printed; 0 where nothing is known."""
    number = float(text)
    return 0.0 if isnan(number) else number
