# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plugin finds on this computer, or can offer, for `btcore init --interactive`.

A plugin's class may have a class method `discover(cls, timeout: float) -> Iterable[Discovered]`. It is optional, like
`diagnose`: no hook, and asked by that command alone. It looks at this computer and nowhere else, changes nothing, opens
no serial line, and waits for no answer for longer than `timeout` seconds. How plugins are asked is in
`doctor/nearby.py`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from btcore.classes import field, frozen

if TYPE_CHECKING:
    import attrs

ROLES = ("source", "sink")


def _check(_found: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    expected: Any = {"settings": Mapping, "ask": tuple, "is_present": bool}.get(attribute.name, str)
    if not isinstance(value, expected):
        raise TypeError(f"Discovered: {attribute.name}: expected {expected.__name__}, found {value!r:.80}")
    if attribute.name == "kind" and value not in ROLES:
        raise ValueError(f'Discovered: kind: expected "source" or "sink", found {value!r:.80}')


@frozen(kw_only=True)
class Discovered:
    """One table that a plugin offers: what it is, for a person, and its settings as a site.toml has them.

    `ask` names settings that the person is asked for, beside those that the plugin needs and `settings` lacks; what
    `settings` has of one of them is the answer where the person gives none. `is_present`: it was found on this
    computer; otherwise it is merely possible. Raises TypeError or ValueError for anything else.
    """

    kind: Literal["source", "sink"] = field(validator=_check)
    text: str = field(validator=_check)
    settings: Mapping[str, object] = field(factory=dict, validator=_check)
    ask: tuple[str, ...] = field(default=(), validator=_check)
    is_present: bool = field(default=True, validator=_check)
