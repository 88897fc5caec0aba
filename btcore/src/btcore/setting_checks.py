# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with settings that many plugins have: files that are not there, a wait without a bound.

Nothing is opened. What a plugin that sends requests has beside them is `btcore.web`'s.
"""

from collections.abc import Iterator
from typing import Any

from btcore.errors import Problem

MAX_TIMEOUT = 600.0
"""Seconds that an answer may be waited for."""


def file_problems(instance: Any, *names: str) -> Iterator[Problem]:  # noqa: ANN401 - any plugin
    """Yield a problem for each of these settings that names a file which is not there; one that names none is well."""
    for name in names:
        file = getattr(instance, name)
        if file and not file.is_file():
            yield Problem(f"there is no file {file}", name)


def timeout_problems(instance: Any, *names: str) -> Iterator[Problem]:  # noqa: ANN401 - any plugin
    """Yield a problem for each of these settings, seconds of a wait, that is none, or longer than ten minutes."""
    for name in names:
        if not 0 < getattr(instance, name) <= MAX_TIMEOUT:
            yield Problem("expected more than 0 s, and at most 10 min", name)
