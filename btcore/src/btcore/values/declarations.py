# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a plugin class as it is declared: its hooks, and its settings with their help and defaults.

Nothing is made an instance of, or opened. What is wrong with a table of a configuration belongs to `config/tables.py`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from btcore.classes import fields, fixed_default
from btcore.discovery import HOOKS, KIND_HOOKS, Installed, PluginError, hooks_of, kinds_of
from btcore.errors import is_interrupt
from btcore.settings import Kind, Secret
from btcore.text import describe_error, likely
from btcore.values.constraints import validation_problem
from btcore.values.convert import check_choice, convert
from btcore.values.describe import Setting, first_line, settings_of
from btcore.values.invalid_value import ConversionContext, InvalidValue

SECRET_NAME = re.compile(r"(^|_)(pass(word|wd)?|secret|token|api_?key|auth_?key)s?$")
"""The name of a setting that has a secret."""


SETTING_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""A name that can stand before `=` without quotes."""

RETURNING = ("open", "close", "process_batch", "decode_packet", "split")
"""Hooks that are no generators."""

PLUGIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
"""A name that can stand in a table's heading, `[sink.NAME]`, without quotes, and in a column of a listing."""

CoreSettings = Callable[[Kind, type], Iterable[Setting]]
"""Returns the settings that the core adds to each table of a kind: those of `config/site.py`."""


def faults_of(installed: Installed, core_settings: CoreSettings) -> Iterator[str]:
    """Load a plugin; yield what is wrong with it, a sentence each. A class that cannot be loaded has one fault."""
    try:
        cls = installed.load()
    except PluginError as error:
        yield str(error)
        return
    try:
        yield from class_faults(cls, core_settings)
    except BaseException as error:
        if is_interrupt(error):
            raise
        yield f"its settings cannot be read: {describe_error(error)}"


def name_faults(name: str) -> Iterator[str]:
    """Yield what is wrong with the name of an entry point."""
    if not PLUGIN_NAME.fullmatch(name):
        allowed = "at most 40 ASCII letters, digits and hyphens"
        yield f"its name {name!r:.60} cannot stand in [sink.NAME] as it is: use {allowed}"


def class_faults(cls: type, core_settings: CoreSettings) -> Iterator[str]:
    """Yield what is wrong with the class of a plugin that could be loaded. Raises what reading its settings raises."""
    if not first_line(cls):
        yield "the class has no docstring: its first line is what `btcore plugins` and `btcore init` show of it"
    yield from _hook_faults(cls)
    yield from _undeclared(cls)
    taken = {entry.name for kind in kinds_of(cls) for entry in core_settings(kind, cls)} | {"use"}
    for entry in settings_of(cls):
        if entry.name in taken:
            yield f"the setting `{entry.name}` has the name of a setting that every such table has: rename it"
        yield from _setting_faults(entry)


def _hook_faults(cls: type) -> Iterator[str]:
    hooks = hooks_of(cls)
    for name in HOOKS:
        if name not in hooks and callable(getattr(cls, name, None)):
            yield f"the method `{name}` is not decorated with @hookimpl, so it is never called"
        elif name in hooks:
            yield from _called_faults(name, getattr(cls, name, None))
    if kinds_of(cls):
        return
    public = [name for name, value in vars(cls).items() if callable(value) and not name.startswith("_")]
    near = [f"`{name}` looks like `{hook}`" for name in public for hook in likely(name, KIND_HOOKS.values())]
    hint = f"; {near[0]}, misspelt" if near else ""
    yield f"the class has none of the hooks {', '.join(KIND_HOOKS.values())}, so it is of no kind{hint}"


def _called_faults(name: str, method: Any) -> Iterator[str]:  # noqa: ANN401 - whatever stands there
    """Yield what keeps the body of a hook from being run when it is called."""
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        yield f"the hook `{name}` is async, so its body is never run: a hook is a plain method, in a thread of its own"
    elif inspect.isgeneratorfunction(method) and name in RETURNING:
        yield f"the hook `{name}` has a yield in it, so its body is never run: it returns its answer"


def _undeclared(cls: type) -> Iterator[str]:
    """Yield the fields that a person could take for settings, and that no table can set."""
    for field in fields(cls):
        if field.init and not field.name.startswith("_") and "help" not in field.metadata:
            yield (
                f"the field `{field.name}` is no setting: declare it with setting(help=...), or with"
                " attrs.field(init=False) where it is the plugin's own"
            )


def _setting_faults(entry: Setting) -> Iterator[str]:
    name = f"the setting `{entry.name}`"
    if not isinstance(entry.help, str) or not entry.help.strip():
        yield f"{name} has no help: say in a line what it is, `btcore plugins` and `btcore init` show that"
    elif "\n" in entry.help or entry.help.rstrip().endswith("."):
        yield f"{name} has a help of more than a line, or with a full stop: {entry.help!r:.80}"
    if entry.type == "text" and SECRET_NAME.search(entry.name):
        yield f"{name} is a plain text, which logs and listings show: its type should be Secret"
    if not SETTING_NAME.fullmatch(entry.name):
        yield f"{name} needs quotes in a site.toml: use ASCII letters, digits and _"
    if wrong := default_fault(entry):
        yield f"{name} has a default that a configuration could not have: {wrong}"


def default_fault(entry: Setting) -> str:
    """Return what is wrong with a default, or ""."""
    if entry.required or entry.default is None:
        return ""
    try:
        value: Any = entry.default
        if not isinstance(value, Secret):
            value = convert(entry.plain_default, entry.annotation, ConversionContext(Path.cwd()))
            check_choice(value, entry.choices)
    except InvalidValue as error:
        return "; ".join(problem.message for problem in error.problems)
    except TypeError as error:
        return describe_error(error)
    if isinstance(value, Secret | Path) and not isinstance(entry.default, Secret | Path):
        kind = "Secret" if isinstance(value, Secret) else "Path"
        return f"it is a {type(entry.default).__name__}, which is not converted: write default={kind}(...)"
    if isinstance(entry.default, list | dict | set) and fixed_default(entry.field) is entry.default:
        return "all instances share it, and one may change it: use setting(factory=...)"
    return validation_problem(entry.field, entry.annotation, entry.default)
