# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprints of a sink's settings, which show whether they have changed since the last run, and nothing else.

A setting at its default is not included, so a new version of a plugin with more settings changes nothing.
"""

import json
from collections.abc import Iterator, Sequence

from btcore.classes import frozen, has_fields
from btcore.digest import sha256
from btcore.settings import Secret
from btcore.values.describe import Setting, plain_value, settings_of
from btcore.values.nested import is_table

SECRET_BYTES = 2
"""The bytes of a secret's hash in a fingerprint: enough to notice a change, too few to find the secret by trying."""


@frozen
class Fingerprint:
    """Two hashes: of the settings that choose which readings a sink wants, and of all settings with the secrets."""

    choosing: str
    all: str


def fingerprint(instance: object, meters: Sequence[str]) -> Fingerprint:
    """Return the fingerprint of a plugin's instance, with the `meters` of its table."""
    format_value = [(entry, value) for entry, value in changed_settings(instance) if not isinstance(value, Secret)]
    plain_values = {entry.name: plain_value(value, entry.annotation) for entry, value in format_value}
    choosing = json.dumps([plain_values, list(meters)], sort_keys=True, default=repr)
    secrets = b"".join(_hash(secret) for _, value in changed_settings(instance) for secret in _secrets(value))
    return Fingerprint(_mark(choosing.encode()), _mark(choosing.encode() + b"\0" + secrets))


def changed_settings(instance: object) -> Iterator[tuple[Setting, object]]:
    """Yield the settings of an instance that are not at their defaults, with their values."""
    for entry in settings_of(type(instance)) if has_fields(type(instance)) else ():
        value = getattr(instance, entry.field.name)
        if entry.required or value != entry.default:
            yield entry, value


def _secrets(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif is_table(type(value)):
        yield from (found for _, inner in changed_settings(value) for found in _secrets(inner))
    elif isinstance(value, dict):
        yield from (found for key in sorted(value, key=str) for found in _secrets(value[key]))
    elif isinstance(value, list | tuple):
        yield from (found for item in value for found in _secrets(item))


def _hash(secret: Secret) -> bytes:
    return sha256(secret.reveal().encode(errors="surrogatepass"))[:SECRET_BYTES]


def _mark(data: bytes) -> str:
    return sha256(data).hex()[:16]
