# SPDX-License-Identifier: GPL-3.0-or-later
"""A configuration in YAML, as texts: a serial number keeps its zeros. PyYAML reads it (`btmon-migrate[yaml]`).

YAML has too many ways to write a text for a small reader of our own, and few need it.
"""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from btcore import BtcoreError
from btmon_migrate.given import Doubts

MAX_ITEMS = 200
"""Items of a list that are looked at."""


class YamlError(BtcoreError):
    """A file that is no YAML, or none that is known; or PyYAML is missing."""


class Elsewhere(str):
    """The name of what stands in another file: `!secret mqtt_password`."""

    __slots__ = ()


@attrs.frozen
class Node:
    """A table of the file: `path` is where it stands. What is not as expected becomes a doubt."""

    path: str
    values: Mapping[str, object]
    doubts: Doubts

    def text(self, name: str, default: str = "") -> str:
        """Return a text; "" too where it stands in another file, which becomes a doubt."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, Elsewhere):
            self.doubt(f"{name}: it is {value} of another file, which is not read; fill it in")
            return default
        if isinstance(value, str):
            return default if value.lower() in {"", "null", "~"} else value
        self.doubt(f"{name}: expected a text; it is left out")
        return default

    def number(self, name: str, default: int) -> int:
        """Return a whole number."""
        text = self.text(name, str(default))
        if text.isascii() and text.isdecimal() and len(text) < 10:  # noqa: PLR2004 - nine digits are a number for sure
            return int(text)
        self.doubt(f"{name}: expected a whole number, found {text}; {default} is written")
        return default

    def is_on(self, name: str, *, default: bool) -> bool:
        """Return whether a switch is on, as YAML 1.1 has it."""
        text = self.text(name).lower()
        return text in {"true", "yes", "on", "y"} if text else default

    def node(self, name: str) -> "Node":
        """Return a table within; an empty one if there is none."""
        value = self.values.get(name)
        if value and not isinstance(value, dict):
            self.doubt(f"{name}: expected a table; it is left out")
        return Node(f"{self.path}: {name}", value if isinstance(value, dict) else {}, self.doubts)

    def nodes(self, name: str) -> Iterator["Node"]:
        """Yield the tables of a list; one alone is a list of one."""
        value = self.values.get(name) or []
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items[:MAX_ITEMS], 1):
            if isinstance(item, dict):
                yield Node(f"{self.path}: {name} {number}", item, self.doubts)
            else:
                self.doubt(f"{name}: expected tables, each with its number; one is left out")
        if len(items) > MAX_ITEMS:
            self.doubt(f"{name}: only the first {MAX_ITEMS} are read")

    def doubt(self, text: str) -> None:
        """Add a doubt."""
        self.doubts.add(self.path, text)


def read_yaml(text: str, file: str, doubts: Doubts) -> Node:
    """Read a file. Raises YamlError."""
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError:
        raise YamlError(f"{file} is in YAML; to read it, pip install 'btmon-migrate[yaml]'") from None
    try:
        content = yaml.load(text, Loader=_loader(yaml))
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = file if line is None else f"{file}:{line + 1}"
        raise YamlError(f"{where}: this is no YAML: {getattr(error, 'problem', None) or 'it cannot be read'}") from None
    return Node(file, content if isinstance(content, dict) else {}, doubts)


def _loader(yaml: Any) -> Any:  # noqa: ANN401 - a module that may be missing
    """Return a loader that leaves all as texts, and knows what Home Assistant keeps elsewhere."""
    loader: Any = type("Texts", (yaml.BaseLoader,), {})
    for tag in ("!secret", "!include", "!env_var"):
        loader.add_constructor(tag, lambda one, node: Elsewhere(one.construct_scalar(node)))
    return loader
