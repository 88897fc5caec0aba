# SPDX-License-Identifier: GPL-3.0-or-later
"""A plugin's hooks are called as pluggy calls them."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btcore.hook_calls import ARGUMENTS, Hook, hook_caller, plain_hooks
from btcore.hook_manager import HookManager
from btcore.hookspecs import hookimpl


def _by_pluggy(instance: object) -> Any:  # noqa: ANN401 - calls are made by name
    manager = HookManager()
    manager.register(instance)
    return manager.hook


def _made(taken: dict[str, tuple[str, ...]]) -> Any:  # noqa: ANN401 - an instance of a plugin's class
    """Make an instance that has hooks with these arguments; each returns what it was given."""
    body: dict[str, object] = {}
    for name, arguments in taken.items():
        scope: dict[str, Any] = {}
        text = f"def {name}(self, {', '.join(arguments)}): return [{', '.join(arguments)}] or None"
        exec(text, scope)
        body[name] = hookimpl(scope[name])
    return type("Made", (), body)()


@st.composite
def some_hooks(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    """Draw hooks, each with some of its arguments, in any order."""
    chosen = draw(st.sets(st.sampled_from(sorted(ARGUMENTS))))
    return {
        name: tuple(draw(st.lists(st.sampled_from(sorted(ARGUMENTS[name])), unique=True))) if ARGUMENTS[name] else ()
        for name in sorted(chosen)
    }


@given(some_hooks())
def test_hooks_are_given_what_pluggy_gives_them(taken: dict[str, tuple[str, ...]]) -> None:
    """Each hook gets the arguments that its method takes, in its order; what has none of it returns None."""
    instance = _made(taken)
    ours, theirs = hook_caller(instance), _by_pluggy(instance)
    assert all(isinstance(getattr(ours, name), Hook) for name in taken)
    for name, arguments in ARGUMENTS.items():
        values = {argument: f"the {argument}" for argument in arguments}
        assert getattr(ours, name)(**values) == getattr(theirs, name)(**values)


def _decorated(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def around(*words: object) -> object:
        return function(*words)

    return around


class Optional:
    """Has a hook that this btcore need not know."""

    @hookimpl(optionalhook=True)
    def dance(self) -> None:
        """Do nothing."""


class Static:
    """Has a hook that is no method."""

    @staticmethod
    @hookimpl
    def close() -> str:
        """Return what is found."""
        return "closed"


class Wrapped:
    """Has a hook with a function around it."""

    @hookimpl
    @_decorated
    def open(self, context: object) -> object:
        """Return what is given."""
        return context


class Foreign:
    """Has a hook with an argument that there is not."""

    @hookimpl
    def open(self, strange: object) -> object:
        """Return what is given."""
        return strange


class Named:
    """Has a hook by another name."""

    @hookimpl(specname="close")
    def finish(self) -> str:
        """Return what is found."""
        return "finished"


@pytest.mark.parametrize("cls", [Optional, Static, Wrapped, Foreign, Named])
def test_what_is_not_plain_is_left_to_pluggy(cls: type) -> None:
    """Options, wrappers and what does not fit are for pluggy to do, or to refuse."""
    assert plain_hooks(cls) is None


def test_pluggy_does_what_it_is_left() -> None:
    """A hook that is not plain is called all the same."""
    assert hook_caller(Static()).close() == "closed"
    assert hook_caller(Named()).close() == "finished"
    assert hook_caller(Wrapped()).open(context=1) == 1


def test_a_subclass_has_the_hooks_of_its_base_and_may_take_one_back() -> None:
    """A method of a subclass without the decorator is no hook."""

    class Base:
        @hookimpl
        def close(self) -> str:
            return "base"

        @hookimpl
        def split(self) -> str:
            return "parts"

    class Own(Base):
        def close(self) -> str:
            return "own"

    assert hook_caller(Base()).close() == "base"
    assert plain_hooks(Own) == {"split": ()}
    assert hook_caller(Own()).close() is None
    assert _by_pluggy(Own()).close() is None
