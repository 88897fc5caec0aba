# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel of energy: a bar for each hour, day or month of the owner's calendar. Pure.

RRDtool itself divides time by UTC alone. So the energy of each bar is asked for first, and then drawn as a number.
"""

from collections.abc import Iterator, Sequence

import attrs

from btmon_rrd.calendar import Span, unit_of
from btmon_rrd.curves import Directory
from btmon_rrd.legend import KILO
from btmon_rrd.panels import WH, Total, View, definitions, totals_printed

GAP = 3
"""Pixels between two bars, where there is room."""

ROOM = 4
"""How many times as wide as a gap a bar must be."""


RRDTOOLS_WIDTH = 400
"""Pixels of a graph for which no width is set."""


@attrs.frozen
class Bar:
    """What a site took, fed in, and made between two seconds, in kWh."""

    span: Span
    bought: float
    sold: float
    made: float


def bars_printed(totals: Sequence[Total], spans: Sequence[Span], view: View, directory: Directory) -> list[str]:
    """Return the arguments that print of each bar import and export of each channel, in Ws.

    RRDtool takes the finest rows that a file has of a bar, as the graph's own time has a second for each pixel.
    """
    begin = spans[0].begin
    found = attrs.evolve(view, start=str(begin), end=str(begin + RRDTOOLS_WIDTH)).times()
    for number, span in enumerate(spans):
        for index, total in enumerate(totals, number * len(totals)):
            found += [*definitions(total.curve, index, directory, span), *totals_printed(index)]
    return found


def bars_of(totals: Sequence[Total], spans: Sequence[Span], printed: Sequence[float]) -> Iterator[Bar]:
    """Yield the bars, of the Ws that were printed."""
    of_a_bar = 2 * len(totals)
    for number, span in enumerate(spans):
        kwh = [one / WH / KILO for one in printed[number * of_a_bar : (number + 1) * of_a_bar]]
        flows = [*zip(totals, kwh[::2], kwh[1::2], strict=True)]
        yield Bar(
            span,
            bought=sum(bought for total, bought, _ in flows if not total.only_exports),
            sold=sum(sold for total, _, sold in flows if not total.only_exports),
            made=sum(sold for total, _, sold in flows if total.only_exports),
        )


def energy(totals: Sequence[Total], bars: Sequence[Bar], view: View, directory: Directory, height: int) -> list[str]:
    """Return the panel: import above zero, export below, generation as a line."""
    both = [one for one in totals if not one.only_exports]
    made = [one for one in totals if one.only_exports]
    found = view.options(f"Energy of each {unit_of(view.first, view.last)}", height, "kWh", 4)
    found.remove("--slope-mode")  # bars have right angles
    found += definitions(totals[0].curve, 0, directory)
    names = ", ".join(one.curve.name for one in both)
    text = f"{names}: " if len(both) <= 2 else ""  # noqa: PLR2004 - as many as fit
    bought, sold = sum(one.bought for one in both), sum(one.sold for one in both)
    legend, gap = view.legend, gap_of(bars, view)
    found.append(legend.heading("energy"))
    if both:
        found += [
            steps("in", [(one.span, one.bought) for one in bars], gap),
            f"AREA:in{view.theme.bought}C0:{legend.padded(f'{text}import')}",
            legend.energy(bought),
        ]
    if sold > 1:
        found += [
            steps("out", [(one.span, -one.sold) for one in bars], gap),
            f"AREA:out{view.theme.sold}C0:{legend.padded(f'{text}export')}",
            legend.energy(sold),
        ]
    if made:
        found += [
            steps("made", [(one.span, one.made) for one in bars], 0),
            f"LINE2:made{view.theme.made}:{legend.padded('generation')}",
            legend.energy(sum(one.sold for one in made)),
        ]
    return [*found, f"HRULE:0{view.theme.axis}"]


def gap_of(bars: Sequence[Bar], view: View) -> int:
    """Return the seconds that are left free between two bars; 0 where these are narrow."""
    gap = GAP * (view.last - view.first) / view.plot_width
    shortest = min(one.span.end - one.span.begin for one in bars)
    return round(gap) if shortest >= ROOM * gap else 0


def steps(name: str, values: Sequence[tuple[Span, float]], gap: int) -> str:
    """Return the definition of a curve that has one value in each span, but for the gap at its end."""
    tests = ",".join(f"TIME,{one.begin},GT,TIME,{one.end - gap},LE,*,{value:.6f}" for one, value in values)
    return f"CDEF:{name}=i0,POP,{tests},UNKN{',IF' * len(values)}"
