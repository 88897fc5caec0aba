# SPDX-License-Identifier: GPL-3.0-or-later
"""Topics: the templates of the settings, filled with what a number is of. Nothing is sent here."""

import re
import string
from collections.abc import Collection

MAX_TOPIC_BYTES = 65_535
"""Bytes of a topic (MQTT 5, 1.5.4)."""

_UNFIT = re.compile(r"[+#/\x00-\x1f\x7f-\x9f]")


def level(text: str) -> str:
    """Return a text as one level of a topic: without the characters that have a meaning there, or none at all."""
    return _UNFIT.sub("_", text)


def identifier(text: str) -> str:
    """Return a text as a part of an identifier: letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)


def join(above: str, rest: str) -> str:
    """Return a topic below another one."""
    return f"{above}/{rest}" if above else rest


def topic_problem(topic: str) -> str:
    """Return what is wrong with a topic to publish to, or ""."""
    if not topic or len(topic.encode("utf-8", "replace")) > MAX_TOPIC_BYTES:
        return "expected a topic, such as house/energy"
    if re.search(r"[+#]", topic):
        return "a topic to publish to has no + and no #: they are for those who subscribe"
    if not topic.isprintable() or topic.startswith("$"):
        return "expected a topic without control characters that does not begin with $"
    return ""


def template_problem(template: str, allowed: Collection[str]) -> str:
    """Return what is wrong with a template that may contain these names in braces, or ""."""
    known = ", ".join(f"{{{name}}}" for name in allowed)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        return f"a brace does not fit; a template may contain {known}"
    for _, name, detail, conversion in parts:
        if name is not None and (name not in allowed or detail or conversion):
            return f"{{{name}}} is unknown; a template may contain {known}"
    return ""


def placeholders(template: str) -> set[str]:
    """Return the names in the braces of a template that has no problem."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}
