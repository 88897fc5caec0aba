# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with settings that many plugins have: a file not there, a host that is none, a wait without a bound.

Nothing is opened. What a plugin that sends requests has beside them is `btcore.web`'s.
"""

import re
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


def host_problems(instance: Any, *names: str) -> Iterator[Problem]:  # noqa: ANN401 - any plugin
    """Yield a problem for each of these settings that is not the name or the address of one host, and no more."""
    for name in names:
        host = getattr(instance, name)
        if not _is_host(host):
            yield Problem(f"expected a name or an address, without a port, found {host!r:.80}", name)


def timeout_problems(instance: Any, *names: str) -> Iterator[Problem]:  # noqa: ANN401 - any plugin
    """Yield a problem for each of these settings, seconds of a wait, that is none, or longer than ten minutes."""
    for name in names:
        if not 0 < getattr(instance, name) <= MAX_TIMEOUT:
            yield Problem("expected more than 0 s, and at most 10 min", name)


def _is_host(host: str) -> bool:
    if not host or re.search(r"[\s/@\[\]]", host):
        return False
    if _is_address(host):
        return True
    try:
        return ":" not in host and bool(host.encode("idna"))
    except UnicodeError:  # a part of the name is empty or too long: to look it up would raise this, at each attempt
        return False


def _is_address(host: str) -> bool:
    """Whether a host is no name: those have an encoding, whose tables of letters few need."""
    from ipaddress import ip_address  # noqa: PLC0415 - few plugins have a host

    try:
        ip_address(host)
    except ValueError:
        return False
    return True
