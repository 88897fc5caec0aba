"""Where readings come from: a meter, now; a recording of one; or nowhere, as they are made up.

What a source's plugin class says, and how readings and the journal keep it. Who gets which of them is not decided here.
"""

from typing import Literal, get_args

import attrs

Origin = Literal["live", "recorded", "made up"]
"""What the class of a source says of its readings, as its attribute `origin`."""

LIVE = ""
"""What readings have that are live."""

KEPT = (LIVE, "recorded", "made up")
"""What readings and the journal's entries may have."""


def origin_of(cls: type) -> str:
    """Return what a plugin class says of its readings, as they have it. Raises ValueError or TypeError for nonsense."""
    field = attrs.fields_dict(cls).get("origin") if attrs.has(cls) else None
    if field is not None and "help" not in field.metadata:  # a setting of that name is the plugin's own affair
        raise TypeError('origin: it has a type, so it is a field; write it without one: origin = "made up"')
    said = getattr(cls, "origin", "live")
    if said not in get_args(Origin):
        raise ValueError(f'origin: expected "live", "recorded" or "made up", found {said!r:.80}')
    return LIVE if said == "live" else str(said)


def check_origin(kept: object) -> None:
    """Raise ValueError for what is no origin that a reading may have."""
    if kept not in KEPT:
        raise ValueError(f'a reading\'s origin: expected "" (live), "recorded" or "made up", found {kept!r:.80}')
