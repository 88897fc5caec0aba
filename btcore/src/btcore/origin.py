# SPDX-License-Identifier: GPL-3.0-or-later
"""The origin of readings: a meter now, a recording of one, or a simulation.

What a source's plugin class declares, and how readings and the journal keep it. Which sink gets which readings is not
decided here.
"""

from typing import Literal, get_args

from btcore.classes import fields, has_fields

Origin = Literal["live", "recorded", "simulated"]
"""What the class of a source declares of its readings, as its attribute `origin`."""

LIVE = ""
"""The origin of live readings."""

KEPT = (LIVE, "recorded", "simulated")
"""The origins that readings and the journal's entries may have."""

DERIVED = "virtual channels"
"""The name of the core's own source, whose readings are calculated from others, and come behind those."""

FORMER = {"made up": "simulated"}
"""Origins in journals of earlier versions, and what they are called now."""


def origin_of(cls: type) -> str:
    """Return the origin that a plugin class declares, as readings have it. Raises ValueError or TypeError."""
    known = fields(cls) if has_fields(cls) else ()
    field = next((one for one in known if one.name == "origin"), None)
    if field is not None and "help" not in field.metadata:  # a setting of that name belongs to the plugin
        raise TypeError('origin: it has a type, so it is a field; write it without one: origin = "simulated"')
    declared = getattr(cls, "origin", "live")
    if declared not in get_args(Origin):
        raise ValueError(f'origin: expected "live", "recorded" or "simulated", found {declared!r:.80}')
    return LIVE if declared == "live" else str(declared)


def current_origin(kept: str) -> str:
    """Return the present name of an origin that the journal may have kept under a former one."""
    return FORMER.get(kept, kept)


def check_origin(kept: object) -> None:
    """Raise ValueError for an origin that a reading cannot have."""
    if kept not in KEPT:
        raise ValueError(f'a reading\'s origin: expected "" (live), "recorded" or "simulated", found {kept!r:.80}')
