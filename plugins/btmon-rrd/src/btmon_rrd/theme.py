# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours and fonts of the graphs: what they are, not where they are used."""

from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

from btmon_rrd.legend import Legend

ThemeName = Literal["light", "dark"]


@attrs.frozen(kw_only=True)
class Theme:
    """The colours of a sheet, as RRDtool has them: `#RRGGBB`, or `#RRGGBBAA` where what is behind shines through."""

    back: str
    canvas: str
    font: str
    grid: str
    major: str
    axis: str
    line: str
    """What stands out from the back: the sum of a house, the zero line."""
    bought: str
    sold: str
    made: str
    channels: Sequence[str]

    def colours(self) -> list[str]:
        """Return RRDtool's options."""
        of: Mapping[str, str] = {
            "BACK": self.back,
            "CANVAS": self.canvas,
            "SHADEA": self.back,
            "SHADEB": self.back,
            "FONT": self.font,
            "GRID": self.grid,
            "MGRID": self.major,
            "AXIS": self.axis,
            "ARROW": self.back,
            "FRAME": self.canvas,
        }
        return [text for name, colour in of.items() for text in ("--color", f"{name}{colour}")]

    def channel(self, index: int) -> str:
        """Return the colour of a channel, by its place among those that are drawn."""
        return self.channels[index % len(self.channels)]


THEMES: Mapping[ThemeName, Theme] = {
    "light": Theme(
        back="#FFFFFF",
        canvas="#FFFFFF",
        font="#2E3440",
        grid="#8A94A81C",
        major="#8A94A84C",
        axis="#9AA3B2",
        line="#2E3440",
        bought="#D9663F",
        sold="#4C9F70",
        made="#E8B23A",
        channels=(
            *("#4E79A7", "#F28E2B", "#76B7B2", "#E15759", "#B07AA1", "#EDC948"),
            *("#59A14F", "#9C755F", "#FF9DA7", "#86A5C9", "#A0A7B4"),
        ),
    ),
    "dark": Theme(
        back="#16191F",
        canvas="#16191F",
        font="#D8DEE9",
        grid="#A9B4C618",
        major="#A9B4C63C",
        axis="#5B6472",
        line="#ECEFF4",
        bought="#E8825A",
        sold="#66C28F",
        made="#F2C14E",
        channels=(
            *("#6C9BD1", "#F5A04C", "#83CFC9", "#EC7A7C", "#C696BA", "#F3D96B"),
            *("#7BC070", "#BB9480", "#FFB3BB", "#A3BEDD", "#8B93A1"),
        ),
    ),
}


def fonts(legend: Legend) -> list[str]:
    """Return RRDtool's options of the fonts."""
    of = {
        "DEFAULT": "9:DejaVu Sans",
        "TITLE": f"{13 if legend.is_wide else 9}:DejaVu Sans",
        "AXIS": "8:DejaVu Sans",
        "UNIT": "9:DejaVu Sans",
        "LEGEND": f"{legend.points}:DejaVu Sans Mono",  # columns of numbers stand below each other
    }
    return [text for name, font in of.items() for text in ("--font", f"{name}:{font}")]
