"""A sheet: which panels it has, in which order and height, put below each other."""

from collections.abc import Sequence
from math import isnan

import attrs

from btmon_rrd import panels
from btmon_rrd.curves import Curve, Directory, GraphError
from btmon_rrd.panels import Total, View
from btmon_rrd.png import stack
from btmon_rrd.render import draw, measure

MAX_LOADS = 10
"""The most loads that are shown each by itself."""

LEAST = 1.0
"""Wh below which a channel used nothing."""

MOST_OF_ALL = 0.8
"""A channel that used this part of what all others used is the one that feeds them."""


def draw_sheet(curves: Sequence[Curve], view: View, directory: Directory, height: int) -> bytes:
    """Return a PNG of all that there is of these curves. Raises GraphError."""
    arguments = sheet(curves, view, directory, height)
    if not arguments:
        raise GraphError("these channels measured nothing in this time")
    return stack([draw(one) for one in arguments])


def sheet(curves: Sequence[Curve], view: View, directory: Directory, height: int) -> list[list[str]]:
    """Return the panels of a sheet, each as RRDtool's arguments. `height` is that of the largest."""
    small = height * 2 // 3
    found = power_panels([one for one in curves if one.quantity == "power"], view, directory, height)
    for quantity, title, unit, number in (
        ("temperature", "Temperature", "degrees", "%8.1lf °"),
        ("volts", "Voltage", "V", "%8.1lf V"),
        ("amperes", "Current", "A", "%8.2lf A"),
        ("pulses", "Pulses", "pulses a second", "%8.3lf  "),
        ("other", "Further numbers", "", "%10.2lf"),
    ):
        some = [one for one in curves if one.quantity == quantity]
        if some:
            found.append(panels.lines(some, view, small, title, unit, number))
    return found


def power_panels(curves: Sequence[Curve], view: View, directory: Directory, height: int) -> list[list[str]]:
    """Return the panels of power and energy of the channels that used or made any."""
    totals, seconds = measured(curves, view, directory)
    totals = [one for one in totals if one.bought + one.sold > LEAST]
    view = attrs.evolve(view, seconds=seconds)
    feeding = sorted((one for one in totals if one.exports), key=lambda one: one.bought == 0)
    using = sorted((one for one in totals if not one.exports), key=lambda one: -one.bought)
    mains = using[:1] if is_mains(using) else []
    found = []
    if feeding:
        found.append(panels.flows(feeding, view, directory, height))
    if mains:
        found.append(panels.loads(mains, view, directory, height * 2 // 3, mains[0].curve.name))
    if loads := using[len(mains) :][:MAX_LOADS]:
        found.append(panels.loads(loads, view, directory, height))
    if counted := feeding[:1] or mains or using:
        found.append(panels.energy(counted, view, directory, height // 2))
    return found


def is_mains(using: Sequence[Total]) -> bool:
    """Whether the largest of several loads is what feeds the others, so that it must not be added to them."""
    return len(using) > 2 and using[0].bought > MOST_OF_ALL * sum(one.bought for one in using[1:])  # noqa: PLR2004 - several


def measured(curves: Sequence[Curve], view: View, directory: Directory) -> tuple[list[Total], float]:
    """Return what each channel used in the time that is shown, and how many seconds that is."""
    if not curves:
        return [], 0.0
    *printed, first, last = map(_number, measure(panels.totals_of(curves, view, directory)))
    watt_hours = iter([one / panels.WH for one in printed])
    return [Total(curve, next(watt_hours), next(watt_hours)) for curve in curves], last - first


def _number(text: str) -> float:
    """Return a number that RRDtool printed; 0 where nothing is known."""
    number = float(text)
    return 0.0 if isnan(number) else number
