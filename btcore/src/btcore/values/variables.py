# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that look like a shell variable, or like a quoted { env = ... }: a configuration takes them literally.

Resolving { env = ... } and { file = ... } belongs to `references.py`. Pure, but for reading the environment.
"""

import os
import re

ENTIRE = re.compile(r"\$(?:env:)?([A-Za-z_]\w*)|\$\{(?:env:)?([A-Za-z_]\w*)\}|%([A-Za-z_]\w*)%")
EMBEDDED = re.compile(r"\$\{[A-Za-z_]\w*\}|\$[A-Z][A-Z0-9_]{2,}\b|%[A-Z_]{3,}%")
QUOTED = re.compile(r"\{\s*(env|file)\s*[=:].*\}", re.DOTALL)
HOMES = ("HOME", "USERPROFILE")


def variable_problem(text: str) -> str:
    """Return what to write instead of a text that is a variable, or a table in quotes; "" for other texts.

    A secret can begin with a dollar sign too, so only an upper-case name or an existing variable counts.
    """
    if QUOTED.fullmatch(text):
        return "write { env = ... } and { file = ... } without quotes around them"
    found = ENTIRE.fullmatch(text)
    name = next(filter(None, found.groups())) if found else ""
    if not name or not (re.fullmatch(r"[A-Z][A-Z0-9_]{2,}", name) or name in os.environ):
        return ""
    return f'$ and % do not insert variables; write {{ env = "{name}" }}'


def find_variable(text: str) -> str:
    """Return the first variable inside a text, or ""."""
    found = EMBEDDED.search(text)
    return found[0] if found else ""


def path_variable_problem(text: str) -> str:
    """Return what to write instead of a path with a variable in it; "" for other paths."""
    variable = find_variable(text)
    if not variable:
        return ""
    is_home = variable.strip("${}%") in HOMES and text.startswith(variable)
    rest = text[len(variable) :].replace("\\", "/").lstrip("/")
    what = f'write "~/{rest}"' if is_home else "write the path itself; ~ is the home directory"
    return f"$ and % do not insert variables; {what}"
