# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the installed plugins what they find on this computer: their optional method `discover`, all at once.

A plugin that fails, hangs, or yields something else is named with the reason, and holds nobody up.
"""

import time
from collections.abc import Iterable, Mapping
from threading import Thread

from btcore.classes import define, evolve, field
from btcore.discovered import Discovered
from btcore.discovery import Installed, PluginError, find, installed
from btcore.text import describe_error

TIMEOUT = 2.0
"""Seconds for which a plugin may wait for an answer."""

PATIENCE = 8.0
"""Seconds after which those that do not return are left alone."""

MAX_FOUND = 50
"""What one plugin may offer."""


@define
class Nearby:
    """What one plugin offers. `failure`: why it could not be asked to the end."""

    plugin: str
    found: list[Discovered] = field(factory=list)
    failure: str = ""


def discover(among: Mapping[str, tuple[Installed, ...]] | None = None, patience: float = PATIENCE) -> list[Nearby]:
    """Return what each plugin offers, in the order of their names; those without the method are left out.

    They are asked at once, and all of them have `patience` seconds together.
    """
    asked = [(Nearby(name), rivals) for name, rivals in (installed() if among is None else among).items()]
    threads = [Thread(target=_ask, args=one, name=f"discover {one[0].plugin}", daemon=True) for one in asked]
    until = time.monotonic() + patience
    for thread in threads:
        thread.start()
    for (nearby, _), thread in zip(asked, threads, strict=True):
        thread.join(max(until - time.monotonic(), 0.0))
        if thread.is_alive():
            nearby.failure = f"it does not return within {patience:.0f} s"
    return [evolve(nearby, found=list(nearby.found)) for nearby, _ in asked if nearby.found or nearby.failure]


def _ask(nearby: Nearby, rivals: Iterable[Installed]) -> None:
    try:
        cls = find(nearby.plugin, {nearby.plugin: tuple(rivals)}).load()
    except PluginError as error:
        nearby.failure = str(error)
        return
    method = getattr(cls, "discover", None)
    if not callable(method):
        return
    try:
        for one in method(TIMEOUT) or ():
            if not isinstance(one, Discovered):
                raise TypeError(f"discover yielded a {type(one).__name__}; expected a Discovered")  # noqa: TRY301
            nearby.found.append(one)
            if len(nearby.found) == MAX_FOUND:
                return
    except BaseException as error:  # noqa: BLE001 - whatever a plugin raises
        nearby.failure = describe_error(error)
