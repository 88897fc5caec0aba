# SPDX-License-Identifier: GPL-3.0-or-later
"""How the hooks of a plugin are found and called.

A plugin has one method for a hook, with some of the hook's arguments, and nothing around it: that is called here, as
pluggy would. To import pluggy, with `inspect` and what that brings, would be a tenth of a start. pluggy gets what is
anything else: options of `hookimpl`, unknown hooks and arguments, of which it tells what is wrong, and traced calls.
"""

from collections.abc import Callable, Mapping
from types import FunctionType, SimpleNamespace
from typing import Any

from btcore.hookspecs import PLAIN, Hooks, is_traced

ARGUMENTS: Mapping[str, frozenset[str]] = {
    name: frozenset(hook.__code__.co_varnames[1 : hook.__code__.co_argcount])
    for name, hook in vars(Hooks).items()
    if not name.startswith("_")
}
"""The arguments of each hook."""


class Hook:
    """Calls one hook of one instance, with those of the arguments that its method takes."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[..., Any], arguments: tuple[str, ...]) -> None:
        """Keep the method."""
        self.function = function
        self.arguments = arguments

    def __call__(self, **given: Any) -> Any:  # noqa: ANN401 - whatever the hook has
        """Call it."""
        return self.function(*[given[name] for name in self.arguments])


def hook_caller(instance: object, who: str = "") -> Any:  # noqa: ANN401 - calls are made by name
    """Return what calls the hooks of one instance, by name; a hook that it does not implement returns None.

    `who` is the table of the instance, for `btcore run --trace`.
    """
    plain = plain_hooks(type(instance))
    has_own = not vars(instance).keys().isdisjoint(ARGUMENTS) if hasattr(instance, "__dict__") else False
    if plain is None or has_own or is_traced():
        return _by_pluggy(instance, who)
    calls = {name: Hook(getattr(instance, name), arguments) for name, arguments in plain.items()}
    return SimpleNamespace(**{**dict.fromkeys(ARGUMENTS, _absent), **calls})


def plain_hooks(cls: type) -> dict[str, tuple[str, ...]] | None:
    """Return which hooks a class implements, with the arguments of each; None if that is for pluggy to say."""
    members: dict[str, object] = {}
    for one in reversed(cls.__mro__):
        members |= vars(one)
    found = {}
    for name, member in members.items():
        plain = member.__func__ if isinstance(member, staticmethod | classmethod) else member
        if name.startswith("__") or (mark := getattr(plain, "btcore_impl", None)) is None:
            continue
        if mark is not PLAIN or type(member) is not FunctionType or hasattr(member, "__wrapped__"):
            return None
        count = member.__code__.co_argcount - len(member.__defaults__ or ())
        arguments = member.__code__.co_varnames[:count]
        if arguments[:1] != ("self",) or not ARGUMENTS.get(name, frozenset()).issuperset(_all_arguments(member)):
            return None
        found[name] = arguments[1:]
    return found if found.keys() <= ARGUMENTS.keys() else None


def _all_arguments(function: FunctionType) -> tuple[str, ...]:
    return function.__code__.co_varnames[1 : function.__code__.co_argcount]


def _absent(**_given: object) -> None:
    """Stand for a hook that an instance does not implement."""


def _by_pluggy(instance: object, who: str) -> Any:  # noqa: ANN401 - as above
    from btcore.hook_manager import HookManager  # noqa: PLC0415 - pluggy: few need it

    manager = HookManager()
    manager.register(instance)
    if is_traced():
        from btcore.hook_trace import trace_calls  # noqa: PLC0415 - few ask for it

        trace_calls(manager, who or type(instance).__name__)
    return manager.hook
