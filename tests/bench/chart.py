# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts as SVG: a line of points, with the numbers written at them. No library, and no other kind of chart."""

import math
from collections.abc import Sequence
from html import escape

import attrs

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 48


@attrs.frozen
class Chart:
    """A chart: what it shows, its two axes, and its points from left to right. The axis of y begins at 0.

    `is_log`: that of x is logarithmic.
    """

    title: str
    x_label: str
    y_label: str
    points: Sequence[tuple[float, float]]
    is_log: bool = False

    def svg(self) -> str:
        """Draw it."""
        top = _nice(max(y for _, y in self.points))
        places = [(self._x(x), _y(y, top)) for x, y in self.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
            f' aria-label="{escape(self.title)}">',
            "<style>text{font:12px sans-serif;fill:#333}.t{font-size:15px;font-weight:bold}line{stroke:#ccc}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            _text(LEFT, 22, self.title, "t"),
            _text(LEFT, 40, self.y_label),
            _text(WIDTH - RIGHT, HEIGHT - 8, self.x_label, anchor="end"),
            *(part for step in range(5) for part in _grid(top * step / 4, top)),
            f'<polyline points="{line}" fill="none" stroke="#1f6feb" stroke-width="2"/>',
        ]
        for (x, y), (at, value) in zip(places, self.points, strict=True):
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#1f6feb"/>',
                _text(x, y - 8, write(value), anchor="middle"),
                _text(x, HEIGHT - BOTTOM + 16, write(at), anchor="middle"),
            ]
        return "\n".join([*parts, "</svg>", ""])

    def _x(self, value: float) -> float:
        scale = (lambda one: math.log10(max(one, 1e-9))) if self.is_log else float
        first, last = (scale(self.points[at][0]) for at in (0, -1))
        share = (scale(value) - first) / (last - first) if last > first else 0.5
        return LEFT + 16 + share * (WIDTH - LEFT - RIGHT - 32)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)


def _grid(value: float, top: float) -> list[str]:
    y = _y(value, top)
    rule = f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
    return [rule, _text(LEFT - 6, y + 4, write(value), anchor="end")]


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    of_class = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{of_class}>{escape(text)}</text>'


def _nice(value: float) -> float:
    """Return a round number that is not below this one."""
    unit = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(unit * step for step in (1, 2, 4, 5, 10) if unit * step >= value) if value > 0 else 1.0


def write(value: float) -> str:
    """Write a number with three digits."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
