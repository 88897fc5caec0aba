# SPDX-License-Identifier: GPL-3.0-or-later
"""A question to the archive: which of these readings it has. What identifies them is sent, and no number; pure, no I/O.

A question is a message (`messages.py`) whose readings are empty, on a subject with the publisher's name; the answer is
a line of JSON: for each reading, in its order, whether it is stored.
"""

import json
from collections.abc import Collection, Sequence
from functools import lru_cache

from btcore import Format, Number, Reading, Retry
from btmon_nats.messages import encode

MAX_ASKED = 500
"""Readings of a question."""

MAX_WHY = 300
"""Characters of a reason."""


def stored_subject(stream: str, publisher: str) -> str:
    """Return where a publisher asks; `*` for all of them. No stream listens there."""
    return f"{stream}-stored.{publisher}"


def question(readings: Sequence[Reading]) -> bytes:
    """Return the question which of these readings are stored."""
    return encode([_bare(one) for one in readings])


def answer(readings: Sequence[Reading], stored: Collection[tuple[str, int]]) -> bytes:
    """Return the answer: serial numbers and keys of what is stored."""
    return json.dumps({"stored": "".join("01"[(one.serial, one.key) in stored] for one in readings)}).encode()


def refusal(why: str) -> bytes:
    """Return the answer of an archive that cannot tell now."""
    return json.dumps({"error": " ".join(why.split())[:MAX_WHY]}).encode()


def stored_in(data: bytes, readings: Sequence[Reading]) -> set[tuple[str, int]]:
    """Return what an answer says to be stored. Raises Retry where it says nothing."""
    try:
        found = json.loads(data)
        if error := found.get("error"):
            raise Retry(f"the archive cannot tell what it has: {str(error)[:MAX_WHY]}")
        marks = ["01".index(mark) for mark in found["stored"]]
        return {(one.serial, one.key) for one, mark in zip(readings, marks, strict=True) if mark}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Retry("the archive's answer is not as it should be: is its btcore of another version?") from None


def _bare(reading: Reading) -> Reading:
    return Reading(
        time=reading.time, format=reading.format, serial=reading.serial, raw=b"", numbers=_none(reading.format)
    )


@lru_cache(maxsize=64)
def _none(form: Format) -> tuple[Number, ...]:
    """Return numbers that say nothing: a reading has as many as its format has labels."""
    return (0,) * len(form.labels)
