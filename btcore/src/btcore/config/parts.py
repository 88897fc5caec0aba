"""The parts of a sink that sends to several accounts or streams: each is delivered by itself, as a sink of its own.

What a plugin answers to `split` is checked here, once. Each part's name comes behind the sink's: `things/399999`.
"""

from collections.abc import Mapping
from typing import Any

from btcore.decode.decoder import hook_caller
from btcore.discovery import Installed, PluginError, hooks_of
from btcore.errors import is_interrupt
from btcore.formats import MAX_NAME, describe_type
from btcore.text import describe_error

MOST_PARTS = 100
"""Parts of one sink: each has a thread."""


def split(plugin: Installed, instance: object) -> Mapping[str, object]:
    """Return the parts of a sink's instance by their names; the instance itself, under "", where it is one.

    Raises PluginError for a plugin that cannot be called, or whose `split` fails or answers what it must not.
    """
    try:
        calls: Any = hook_caller(instance)
        if "split" not in hooks_of(type(instance)):
            return {"": instance}
        answer = calls.split()
        parts = dict(answer) if isinstance(answer, Mapping) else answer
    except BaseException as error:
        if is_interrupt(error):
            raise
        raise PluginError(
            f"the {plugin} failed when it was split ({describe_error(error)}); this is a mistake in the plugin"
        ) from None
    if fault := _fault(parts, instance):
        raise PluginError(f"the {plugin} was split into what it must not: {fault}; this is a mistake in the plugin")
    return parts


def _fault(parts: object, instance: object) -> str:
    """Return what is wrong with the answer, or nothing."""
    if not isinstance(parts, dict):
        return f"expected an instance for each name, found {describe_type(parts)}"
    if not 1 <= len(parts) <= MOST_PARTS:
        return f"expected from 1 to {MOST_PARTS} parts, found {len(parts)}"
    if len({id(part) for part in parts.values()}) < len(parts):
        return "two of its parts are one and the same instance"
    faults = (_name_fault(name) or _part_fault(name, part, instance) for name, part in parts.items())
    return next((fault for fault in faults if fault), "")


def _name_fault(name: object) -> str:
    if not isinstance(name, str):
        return f"expected text for the name of a part, found {describe_type(name)}"
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME or "/" in name:
        return f"expected a short name without a / for each part, found {name!r:.80}"
    return ""


def _part_fault(name: str, part: object, instance: object) -> str:
    if type(part) is not type(instance):
        return f"expected an instance of the same class for part {name}, found {describe_type(part)}"
    return ""
