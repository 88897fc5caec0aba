# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a sink that sends to several accounts or streams: each is delivered as a sink of its own.

The result of a plugin's `split` is checked here, once. A part is named after its sink: `things/399999`.
"""

from collections.abc import Mapping
from typing import Any

from btcore.discovery import Installed, PluginError, hooks_of
from btcore.errors import is_interrupt
from btcore.formats import MAX_NAME, describe_type
from btcore.hook_calls import hook_caller
from btcore.text import describe_error

MAX_PARTS = 100
"""The most parts of one sink: each has a thread."""


def split(plugin: Installed, instance: object) -> Mapping[str, object]:
    """Return the parts of a sink's instance by their names; or the instance under "", if it is not split.

    Raises PluginError if the plugin cannot be called, or if its `split` fails or returns something invalid.
    """
    try:
        calls: Any = hook_caller(instance, plugin.name)
        if "split" not in hooks_of(type(instance)):
            return {"": instance}
        answer = calls.split()
        parts = dict(answer) if isinstance(answer, Mapping) else answer
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise PluginError(
            f"the {plugin} failed while it was split ({describe_error(error)}); this is a mistake in the plugin"
        ) from None
    if problem := _parts_problem(parts, instance):
        raise PluginError(f"the {plugin} returned invalid parts: {problem}; this is a mistake in the plugin")
    return parts


def _parts_problem(parts: object, instance: object) -> str:
    """Return what is wrong with the parts, or ""."""
    if not isinstance(parts, dict):
        return f"expected an instance for each name, found {describe_type(parts)}"
    if not 1 <= len(parts) <= MAX_PARTS:
        return f"expected from 1 to {MAX_PARTS} parts, found {len(parts)}"
    if len({id(part) for part in parts.values()}) < len(parts):
        return "two parts are the same instance"
    problems = (_name_problem(name) or _part_problem(name, part, instance) for name, part in parts.items())
    return next((problem for problem in problems if problem), "")


def _name_problem(name: object) -> str:
    if not isinstance(name, str):
        return f"expected text for the name of a part, found {describe_type(name)}"
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME or "/" in name:
        return f"expected a short name without a / for each part, found {name!r:.80}"
    return ""


def _part_problem(name: str, part: object, instance: object) -> str:
    if type(part) is not type(instance):
        return f"expected an instance of the same class for part {name}, found {describe_type(part)}"
    return ""
