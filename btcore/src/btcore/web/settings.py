# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that every plugin has that sends requests: addresses, keys, `timeout`, `ssl_ca`; checked in one place.

What a plugin asks for beside these, and between its settings, is its own.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from btcore.classes import NOTHING, fields, fixed_default, has_fields
from btcore.errors import Problem
from btcore.setting_checks import file_problems, timeout_problems
from btcore.settings import Secret
from btcore.web.faults import secret_problem, url_problem

T = TypeVar("T")


def setting_problems(instance: Any, *addresses: str) -> Iterator[Problem]:  # noqa: ANN401 - any plugin
    """Yield what is wrong with a plugin's settings, no request sent; no message contains a secret.

    Checked are the settings named as `addresses`, `timeout` in seconds, the file `ssl_ca`, and all that are a `Secret`,
    also within tables and lists. A secret that may be left out, and is, is no problem.
    """
    for field in fields(type(instance)):
        if not field.init:  # no setting
            continue
        value = getattr(instance, field.name)
        if field.name in addresses and (fault := url_problem(_revealed(value))):
            yield Problem(fault, field.name)
        if field.name == "timeout":
            yield from timeout_problems(instance, field.name)
        if field.name == "ssl_ca":
            yield from file_problems(instance, field.name)
        if field.name not in addresses and (value or fixed_default(field) is NOTHING):
            faults = map(secret_problem, find_instances(Secret, value))
            yield from (Problem(fault, field.name) for fault in faults if fault)


def find_instances(kind: type[T], value: Any) -> Iterator[T]:  # noqa: ANN401 - whatever a setting may be
    """Yield all instances of a class in a setting, also those in tables and lists within it."""
    if isinstance(value, kind):
        yield value
    elif has_fields(type(value)):
        yield from (
            found for field in fields(type(value)) for found in find_instances(kind, getattr(value, field.name))
        )
    elif isinstance(value, dict):
        yield from (found for item in (*value, *value.values()) for found in find_instances(kind, item))
    elif isinstance(value, list | tuple):
        yield from (found for item in value for found in find_instances(kind, item))


def _revealed(address: str | Secret) -> str:
    return address.reveal() if isinstance(address, Secret) else address
